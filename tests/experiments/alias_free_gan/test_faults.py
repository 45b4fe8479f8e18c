"""What can go wrong while a GAN trains, and that it ends in a clear error with nothing lost."""

import errno
import json
import resource
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from aa_jax.data import UnreadableImageError
from aa_jax.training import config as configs, distributed, pictures
from aa_jax.training.checkpoint import CheckpointError
from aa_jax.training.logging import DivergenceError
from aa_jax.training.loop import RunFolderError
from experiments.alias_free_gan import images, inspection, program as programs, train
from tests.experiments.alias_free_gan import tiny_config
from tests.training import runs

STEPS = 10
# Compilation depends on these parts of a config only; runs that share them share a program.
COMPILED = ("data.resolution", "batch_size", "generator", "discriminator", "loss", "augment")


def tiny(**settings):
    """Ten steps, a checkpoint after 4 and 8, pictures after 6; without augmentation."""
    config = tiny_config.get_config()
    batch = tiny_config.BATCH / 1000
    defaults = {
        "augment.kind": "none",
        "loss.r1_interval": "4",
        "total_kimg": str(STEPS * batch),
        "every.snapshot_kimg": str(6 * batch),
    }
    configs.override(config, defaults | settings)
    return config


@pytest.fixture(scope="module", autouse=True)
def program():
    """Compiles in seconds what runs for less, and once for all runs of this file."""
    build, programs_built = programs.build, {}

    def build_once(config, c_dim, mesh):
        fields = config.to_dict() | {"data.resolution": config.data.resolution}
        key = json.dumps([fields[name] for name in COMPILED])
        if key not in programs_built:
            programs_built[key] = build(config, c_dim, mesh)
        return programs_built[key]

    jax.config.update("jax_disable_most_optimizations", True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "build", build_once)
        patch.setattr(inspection, "write_layers", lambda *args, **options: None)
        make_mesh = distributed.data_mesh
        patch.setattr(distributed, "data_mesh", lambda: make_mesh(jax.devices()[:1]))
        yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run without faults."""
    workdir = tmp_path_factory.mktemp("finished")
    train.run(tiny(), workdir)
    return workdir


@pytest.fixture(scope="module")
def whole(finished):
    """Its metrics."""
    return runs.curve(finished)


def at_step(monkeypatch, number: int, action):
    """Calls `action(state) -> state` before a step."""
    iterate = programs.Iteration.__call__

    def acting(self, state, batch):
        return iterate(self, action(state) if int(state.step) + 1 == number else state, batch)

    monkeypatch.setattr(programs.Iteration, "__call__", acting)


def test_the_last_step_is_saved_without_metrics(finished, whole):
    assert [row["step"] for row in whole] == list(range(1, STEPS + 1))
    saved = sorted(int(path.name) for path in (finished / "checkpoints").iterdir())
    assert saved == [8, 10]  # the last is neither a multiple of 4 nor of 6


def test_weights_that_are_not_numbers(whole, tmp_path, monkeypatch):
    def poison(state):
        return state.replace(generator=jax.tree.map(lambda x: x * np.nan, state.generator))

    with monkeypatch.context() as patch:
        at_step(patch, 7, poison)
        with pytest.raises(DivergenceError, match="at step 7.*last good checkpoint is: step 6 in"):
            train.run(tiny(), tmp_path)
    train.run(tiny(), tmp_path)
    assert runs.curve(tmp_path) == whole


# Orbax leaves coroutines of its own unfinished.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_disk_that_is_full_while_a_checkpoint_is_written(whole, tmp_path, monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(state):
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, hard))
        return state

    try:
        with monkeypatch.context() as patch:
            at_step(patch, 8, fill)
            with pytest.raises(CheckpointError, match="could not be saved.*of step [46] is intact"):
                train.run(tiny(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    train.run(tiny(), tmp_path)
    assert runs.curve(tmp_path) == whole


def test_a_disk_that_is_full_while_a_picture_is_written(whole, tmp_path, monkeypatch):
    def save_png(path, image):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:

        def fill(state):
            patch.setattr(pictures, "save_png", save_png)
            return state

        at_step(patch, 6, fill)
        with pytest.raises(RunFolderError, match="No space.*fakes_000000.png.*is: step 4 in"):
            train.run(tiny(), tmp_path)
    train.run(tiny(), tmp_path)
    assert runs.curve(tmp_path) == whole


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", ["data", "information", "layout", "empty"])
def test_a_damaged_checkpoint_is_named_and_the_earlier_one_serves(
    damage, whole, finished, tmp_path
):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    last = workdir / "checkpoints" / str(STEPS)
    files = {
        "data": sorted((last / "state").rglob("*"), key=lambda path: path.stat().st_size),
        "information": [last / "info" / "metadata"],
        "layout": [last / "state" / "_METADATA"],
    }
    if damage == "empty":
        shutil.rmtree(last)
        last.mkdir()
    else:
        for file in files[damage][-1:]:
            content = file.read_bytes()
            file.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=f"of step {STEPS} .* cannot be read.*remove {last}"):
        train.run(tiny(), workdir)
    shutil.rmtree(last)
    train.run(tiny(), workdir)
    assert runs.curve(workdir) == whole


def test_a_checkpoint_left_half_written_is_cleared_away(whole, finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    last = workdir / "checkpoints" / str(STEPS)
    half = last.rename(last.with_name(f"{STEPS}.orbax-checkpoint-tmp"))
    shutil.rmtree(half / "info")
    train.run(tiny(), workdir)
    assert runs.curve(workdir) == whole and not half.exists()


def test_another_resolution_is_refused_and_changes_nothing(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match="is of another model"):
        train.run(tiny(**{"data.resolution": "32"}), workdir)
    assert {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()} == before


def test_another_batch_size_goes_on_to_as_many_images(finished, tmp_path, capsys):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    train.run(tiny(batch_size="16", total_kimg="0.15"), workdir)
    assert "batch_size: 8 -> 16" in capsys.readouterr().out
    rows = runs.curve(workdir)[STEPS:]
    assert [row["step"] for row in rows] == list(range(STEPS + 1, STEPS + 6))
    np.testing.assert_allclose([row["kimg"] for row in rows], [0.096, 0.112, 0.128, 0.144, 0.16])


@pytest.fixture
def folder(tmp_path):
    """Thirty pictures of 16 pixels, made by hand."""
    root = tmp_path / "pictures"
    root.mkdir()
    rng = np.random.default_rng(0)
    for number in range(30):
        image = rng.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(image).save(root / f"{number:02d}.png")
    return root


def test_an_unreadable_picture_is_named_and_once_repaired_nothing_is_lost(folder, tmp_path):
    settings = {"data.source": str(folder), "data.num_images": "0"}
    train.run(tiny(**settings), tmp_path / "whole")
    # The first picture of the seventh batch: in the second epoch.
    source = images.open_source(tiny(**settings))
    batches = images.batches(tiny(**settings), source, distributed.data_mesh())
    batch = [next(batches) for _ in range(7)][-1]
    numbers = range(len(source))
    number = next(n for n in numbers if np.array_equal(source[n]["image"], batch["image"][0]))
    file = folder / f"{number:02d}.png"
    content = file.read_bytes()

    # It breaks while the run is under way.
    train.run(tiny(**settings, total_kimg=str(4 * tiny_config.BATCH / 1000)), tmp_path / "run")
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableImageError, match=file.name):
        train.run(tiny(**settings), tmp_path / "run")
    file.write_bytes(content)
    train.run(tiny(**settings), tmp_path / "run")
    assert runs.curve(tmp_path / "run") == runs.curve(tmp_path / "whole")


def test_data_of_another_size_is_refused(folder, tmp_path):
    config = tiny(**{"data.source": str(folder), "data.resolution": "32"})
    with pytest.raises(ValueError, match="16 x 16 pixels and 3 channels, expected data.resolution"):
        train.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
