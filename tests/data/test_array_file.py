"""Files of arrays: what comes back, and what strangers may send."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from aa_jax.data import array_file
from aa_jax.data.array_file import ArrayFileError, read_arrays


def _npz(path, header: bytes, body: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("points.npy", b"\x93NUMPY\x01\x00" + header + body)


def test_hostile_archives_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    np.savez(path, points=np.array([{}], object), allow_pickle=True)
    with pytest.raises(ArrayFileError, match="not a number"):
        read_arrays(path)
    # A header that promises more than the file has.
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }\n"
    _npz(path, len(text).to_bytes(2, "little") + text, b"\0" * 16)
    with pytest.raises(ArrayFileError, match="longer than the file"):
        read_arrays(path)
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n"
    _npz(path, len(text).to_bytes(2, "little") + text, b"\0" * 16)
    with pytest.raises(ArrayFileError):
        read_arrays(path)
    path.write_bytes(pickle.dumps({"points": 1}))
    with pytest.raises(ArrayFileError, match="not a readable"):
        read_arrays(path)
    np.savez_compressed(path, points=np.zeros(10_000))
    monkeypatch.setattr(array_file, "MOST_BYTES", 1000)
    with pytest.raises(ArrayFileError, match="unpacks to"):
        read_arrays(path)


def test_fortran_order_is_read():
    array = np.asfortranarray(np.random.default_rng(0).normal(size=(3, 4)))
    file = io.BytesIO()
    np.savez(file, a=array)
    file.seek(0)
    np.testing.assert_array_equal(read_arrays(file)["a"], array)
