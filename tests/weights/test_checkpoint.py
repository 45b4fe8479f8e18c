"""Whole checkpoints: format by content, containers, prefixes, and what was left out."""

import io
import tarfile

import numpy as np
import pytest

from aa_jax.weights import (
    UnsafePickleError,
    WeightsError,
    read_checkpoint,
    read_checkpoint_with_report,
    write_safetensors,
)
from tests.weights.reading import assert_same
from tests.weights.torch_files import legacy_bytes, state_dict, storage, tensor, write_zip

VALUES = {"conv.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(7)}


def _prefixed(values, prefix):
    return {prefix + name: value for name, value in values.items()}


def _write(path, wrap=lambda records: records, values=VALUES, extra=None):
    records, buffers = state_dict(values)
    write_zip(path, wrap(records), {**buffers, **(extra or {})})
    return path


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "a.bin", "a"])
def test_format_is_found_by_content_not_by_extension(name, tmp_path):
    path = tmp_path / name
    _write(path)
    assert read_checkpoint_with_report(path).format == "torch-zip"
    path.write_bytes(legacy_bytes(*state_dict(VALUES, legacy=True)))
    assert read_checkpoint_with_report(path).format == "torch-legacy"
    assert_same(read_checkpoint(path), VALUES)
    write_safetensors(path, VALUES)
    assert read_checkpoint_with_report(path).format == "safetensors"
    assert_same(read_checkpoint(path), VALUES)


@pytest.mark.parametrize("key", ["state_dict", "model_state", "model_state_dict", "model"])
def test_container_is_unwrapped_and_the_rest_reported(key, tmp_path):
    best = tensor(storage("best", np.float32, 1), ())
    optimiser = {"state": {0: {"momentum": best}}, "param_groups": [{"lr": 0.1}]}
    path = _write(
        tmp_path / "a.pth",
        lambda records: {
            "epoch": 90,
            "arch": "resnet18",
            key: records,
            "best_acc1": best,
            "optimizer": optimiser,
            5: None,
        },
    )
    checkpoint = read_checkpoint_with_report(path)
    assert_same(checkpoint.tensors, VALUES)
    assert checkpoint.ignored == {
        "epoch": "int",
        "arch": "str",
        "best_acc1": "tensor ()",
        "optimizer": "dict of 2",
        "5": "NoneType",
    }


def test_nested_containers_and_entries_that_are_no_tensors(tmp_path):
    path = _write(
        tmp_path / "a.pth",
        lambda records: {
            "step": 1,
            "model": {"ema": 0.9, "state_dict": {**records, "extra_state": {"a": 1}, "note": "x"}},
        },
    )
    checkpoint = read_checkpoint_with_report(path)
    assert_same(checkpoint.tensors, VALUES)
    assert checkpoint.ignored == {
        "step": "int",
        "model.ema": "float",
        "model.state_dict.extra_state": "dict of 1",
        "model.state_dict.note": "str",
    }


def test_entry_called_model_that_is_a_tensor_is_no_container(tmp_path):
    values = {"model": np.ones(2, np.float32), "state_dict": np.zeros(3, np.float32)}
    assert_same(read_checkpoint(_write(tmp_path / "a.pth", values=values)), values)


def test_prefix_of_data_parallel_training(tmp_path):
    everywhere = _prefixed(VALUES, "module.")
    assert_same(read_checkpoint(_write(tmp_path / "a.pth", values=everywhere)), VALUES)
    write_safetensors(tmp_path / "b.safetensors", everywhere)
    assert_same(read_checkpoint(tmp_path / "b.safetensors"), VALUES)
    # Where one name lacks it, it belongs to the names.
    mixed = {**everywhere, "bias": np.ones(2, np.float32)}
    assert_same(read_checkpoint(_write(tmp_path / "c.pth", values=mixed)), mixed)


def test_training_checkpoint_of_pytorch_reports_what_it_ignored(request):
    folder = request.config.rootpath / "tests" / "golden" / "weights"
    for name, format in (("training_zip", "torch-zip"), ("training_legacy", "torch-legacy")):
        checkpoint = read_checkpoint_with_report(folder / f"{name}.pth")
        assert checkpoint.format == format
        assert checkpoint.ignored == {
            "epoch": "int",
            "arch": "str",
            "best_acc1": "tensor ()",
            "best_acc5": "float64",
            "optimizer": "dict of 2",
            "scheduler": "dict of 8",
        }


def test_whole_module_of_pytorch_is_refused_by_name_with_the_remedy(request):
    path = request.config.rootpath / "tests" / "golden" / "weights" / "whole_module.pth"
    with pytest.raises(UnsafePickleError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict"):
        read_checkpoint(path)


def test_damaged_tensor_is_named(tmp_path):
    missing = tensor(storage("gone", np.float32, 3), (3,))
    path = _write(tmp_path / "a.pth", lambda records: {**records, "fc.bias": missing})
    with pytest.raises(WeightsError, match=r"a\.pth: entry 'fc\.bias': .*'archive/data/gone'"):
        read_checkpoint(path)


def test_damage_outside_the_weights_does_not_matter(tmp_path):
    missing = tensor(storage("gone", np.float32, 3), (3,))
    path = _write(
        tmp_path / "a.pth", lambda records: {"state_dict": records, "optimizer": {"buf": missing}}
    )
    assert_same(read_checkpoint(path), VALUES)


@pytest.mark.parametrize(
    "root, message",
    [
        ({}, "holds no tensors"),
        ({"epoch": 3, "lr": 0.1}, "holds no tensors where a state dict has them: epoch, lr"),
        ([1, 2], "holds a list of 2; expected a dictionary"),
        ("text", "holds a str"),
    ],
)
def test_no_weights_in_it(root, message, tmp_path):
    write_zip(tmp_path / "a.pth", root, {})
    with pytest.raises(WeightsError, match=message):
        read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><html>", r"begins with b'<!DOCTYPE ht'"),
        (b"\x93NUMPY\x01\x00", "neither a PyTorch"),
        (b"\xff" * 8 + b"{}", "neither a PyTorch"),
        (b"cos\nsystem\n(S'exit'\ntR.", "neither a PyTorch"),
    ],
)
def test_other_files(data, message, tmp_path):
    (tmp_path / "a.pth").write_bytes(data)
    with pytest.raises(WeightsError, match=message):
        read_checkpoint(tmp_path / "a.pth")


def test_tar_of_the_first_pytorch_is_refused_with_a_remedy(tmp_path):
    with tarfile.open(tmp_path / "a.pth", "w") as archive:
        info = tarfile.TarInfo("pickle")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"\x80\x02N."))
    with pytest.raises(WeightsError, match="a tar file, as PyTorch 0.1 wrote"):
        read_checkpoint(tmp_path / "a.pth")


def test_missing_file_is_an_ordinary_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        read_checkpoint(tmp_path / "nothing.pth")
