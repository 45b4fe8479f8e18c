"""Killed at random steps and started again, a run ends as if nothing had happened.

The whole path is exercised: the script, real data, a real network, the files on disk.
"""

import os
import random
import signal

import pytest

from aa_jax.training.checkpoint import Checkpoints
from tests.training import runs
from tests.training.runs import curve

TOTAL_STEPS = 24
SETTINGS = {
    "steps": TOTAL_STEPS,
    "every.log": 1,
    "every.save": 5,
    "every.evaluate": 12,
    "ema_decay": 0.9,
    "model.width": 4,
    "model.stage_sizes": "1,1",
    "data.train_options.size": 16,
    "data.test_options.size": 16,
    "tensorboard": False,
}


def command(workdir, **settings):
    config = "experiments/classification/configs/quickstart.py:smoke,variant=blur"
    return runs.command(config, workdir, SETTINGS | settings)


def stop(workdir, *, at_step: int, how: signal.Signals) -> int:
    return runs.stop(command(workdir), at=f"step {at_step}/{TOTAL_STEPS}", how=how)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("uninterrupted")
    runs.run(command(workdir))
    rows = curve(workdir)
    assert [row["step"] for row in rows if "loss" in row] == list(range(1, TOTAL_STEPS + 1))
    assert len({row["loss"] for row in rows if "loss" in row}) == TOTAL_STEPS
    return rows


def test_killed_twice_it_ends_with_the_same_losses(uninterrupted, tmp_path):
    seed = int(os.environ.get("AA_JAX_KILL_SEED", "0"))
    first, second = sorted(random.Random(seed).sample(range(2, TOTAL_STEPS - 4), 2))
    for step in (first, second):
        assert stop(tmp_path, at_step=step, how=signal.SIGKILL) == -signal.SIGKILL
    runs.run(command(tmp_path))
    assert curve(tmp_path) == uninterrupted, (seed, first, second)
    names = {path.name for path in tmp_path.iterdir()} - {"compilation_cache"}
    assert names == {"checkpoints", "config.json", "metrics.jsonl", "versions.json"}
    with Checkpoints(tmp_path / "checkpoints", read_only=True) as checkpoints:
        assert checkpoints.latest_step == TOTAL_STEPS


def test_sigterm_saves_leaves_with_code_zero_and_goes_on(uninterrupted, tmp_path):
    assert stop(tmp_path, at_step=7, how=signal.SIGTERM) == 0
    with Checkpoints(tmp_path / "checkpoints", read_only=True) as checkpoints:
        saved = checkpoints.latest_step
    assert saved == curve(tmp_path)[-1]["step"] >= 7  # not only the regular one of step 5

    # A network of another width is refused in this folder, and changes nothing there.
    before = (tmp_path / "config.json").read_text()
    errors = runs.run(command(tmp_path, **{"model.width": 6}), fails=True)
    assert "is of another model or optimiser" in errors and "Traceback" not in errors
    expected = "params/conv1/kernel: checkpoint float32(3, 3, 3, 4), model float32(3, 3, 3, 6)"
    assert expected in errors
    assert (tmp_path / "config.json").read_text() == before

    runs.run(command(tmp_path))
    assert curve(tmp_path) == uninterrupted
