"""Reads what the writers of ``torch_files`` wrote, through the reader under test."""

import io

import numpy as np

from aa_jax.weights.storages import TorchFile
from aa_jax.weights.torch_file import open_legacy, open_zip
from tests.weights.torch_files import legacy_bytes, storage, tensor, write_zip

FLOATS = np.arange(6, dtype=np.float32).tobytes()


def one(shape, strides, offset=0, size=6, key="0"):
    return {"a": tensor(storage(key, np.float32, size), shape, strides, offset)}


def arrays_of(opened: TorchFile) -> dict[str, np.ndarray]:
    return {name: opened.tensor(record) for name, record in opened.root.items()}


def read_zip(root, buffers, **options) -> dict[str, np.ndarray]:
    file = io.BytesIO()
    write_zip(file, root, buffers, **options)
    return arrays_of(open_zip(file))


def read_legacy(root, buffers) -> dict[str, np.ndarray]:
    return arrays_of(open_legacy(io.BytesIO(legacy_bytes(root, buffers))))


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert actual[name].dtype == value.dtype, name
        np.testing.assert_array_equal(actual[name], value, err_msg=name)
