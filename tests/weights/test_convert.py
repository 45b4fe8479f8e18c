"""From a PyTorch training checkpoint to a safetensors file that loads, and the launcher."""

import runpy

import numpy as np
import pytest
from flax import nnx

from aa_jax import models
from aa_jax.weights import (
    WeightsError,
    convert,
    export,
    export_torch,
    load_into,
    read_checkpoint,
    read_checkpoint_with_report,
    write_safetensors,
)
from tests.weights.attacks import OS, by_reduce
from tests.weights.torch_files import legacy_bytes, state_dict, write_zip

OPTIONS = {"antialias": "adaptive", "filter_size": 3, "groups": 2}


def network(seed: int) -> nnx.Module:
    return models.create("small_resnet", num_classes=5, rngs=nnx.Rngs(seed), **OPTIONS)


@pytest.fixture(scope="module")
def trained():
    """A network whose every number, statistics too, differs from a fresh one's."""
    model = network(1)
    rng = np.random.default_rng(7)
    values = {name: rng.uniform(0.1, 1, array.shape) for name, array in export(model).items()}
    load_into(model, values, source="aa_jax")
    return model


@pytest.fixture(scope="module")
def published(trained):
    """Its state dict as a data-parallel PyTorch run would save it."""
    tensors = {f"module.{name}": array for name, array in export_torch(trained).items()}
    counters = [name for name in tensors if name.endswith("running_mean")]
    for name in counters:
        tensors[name.replace("running_mean", "num_batches_tracked")] = np.array(100)
    return tensors


def write_training_checkpoint(path, tensors, *, legacy=False):
    records, buffers = state_dict(tensors, legacy=legacy)
    root = {"epoch": 90, "state_dict": records, "best_acc1": 71.5}
    if legacy:
        path.write_bytes(legacy_bytes(root, buffers))
    else:
        write_zip(path, root, buffers)


@pytest.mark.parametrize("legacy", [False, True])
def test_converted_file_gives_the_same_network(legacy, trained, published, tmp_path):
    write_training_checkpoint(tmp_path / "a.pth", published, legacy=legacy)
    checkpoint = read_checkpoint_with_report(tmp_path / "a.pth")
    conversion = convert(checkpoint, tmp_path / "a.safetensors", model=network(2))
    written = read_checkpoint(tmp_path / "a.safetensors")
    expected = export(trained)
    assert written.keys() == expected.keys() == conversion.arrays.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(written[name], value, err_msg=name)
    restored = network(3)
    load_into(restored, written, source="aa_jax")
    for name, value in export(restored).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_report_names_everything_read_and_ignored(published, tmp_path):
    write_training_checkpoint(tmp_path / "a.pth", published)
    checkpoint = read_checkpoint_with_report(tmp_path / "a.pth")
    conversion = convert(checkpoint, tmp_path / "a.safetensors", model=network(2))
    counters = {name for name in published if name.endswith("num_batches_tracked")}
    assert conversion.format == "torch-zip"
    assert conversion.ignored == {"epoch": "int", "best_acc1": "float"} | {
        name.removeprefix("module."): "not needed" for name in counters
    }
    lines = str(conversion).splitlines()
    assert len(lines) == len(published) + 3  # the two beside the state dict, and the summary
    assert any(line.split()[:3] == ["fc.weight", "fc.kernel", "float32"] for line in lines)
    assert lines[-1].startswith(f"{len(published) - len(counters)} arrays written")


def test_checkpoint_of_another_network_lists_what_differs_and_writes_nothing(published, tmp_path):
    target = tmp_path / "a.safetensors"
    write_safetensors(target, {"earlier": np.ones(2)})
    earlier = target.read_bytes()
    lacking = {name: value for name, value in published.items() if "fc.bias" not in name}
    lacking["module.fc.weight"] = lacking["module.fc.weight"][:, 1:]
    lacking["module.head.weight"] = np.ones(3)
    write_training_checkpoint(tmp_path / "a.pth", lacking)
    with pytest.raises(WeightsError) as caught:
        convert(read_checkpoint_with_report(tmp_path / "a.pth"), target, model=network(2))
    for entry in ("fc.bias", "fc.weight", "head.weight"):
        assert entry in str(caught.value)
    assert target.read_bytes() == earlier


@pytest.fixture
def launch(request):
    """The launcher's ``main``, called with the arguments of a command line."""
    path = request.config.rootpath / "scripts" / "convert_weights.py"
    main = runpy.run_path(str(path))["main"]
    options = ["--model", "small_resnet", "--num-classes", "5", "--antialias", "adaptive"]
    return lambda *paths: main([*map(str, paths), *options, "--filter-size", "3", "--groups", "2"])


def test_launcher_converts(launch, trained, published, tmp_path, capsys):
    source, target = tmp_path / "a.pth", tmp_path / "a.safetensors"
    write_training_checkpoint(source, published)
    assert launch(source, target) == 0
    assert "arrays written and" in capsys.readouterr().out
    expected = export(trained)
    for name, value in read_checkpoint(target).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_launcher_refuses_in_one_message(launch, tmp_path, capsys):
    marker = tmp_path / "marker"
    write_zip(tmp_path / "evil.pth", by_reduce(f"touch {marker}")[0], {})
    for name, message in (("evil.pth", f"'{OS}.system'"), ("none.pth", "No such file")):
        assert launch(tmp_path / name, tmp_path / "a.safetensors") == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error
    assert not marker.exists()
    assert not (tmp_path / "a.safetensors").exists()
