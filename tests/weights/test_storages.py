"""Storages and the tensors in them: views read right, lies about sizes refused."""

import io
import struct
import zipfile

import numpy as np
import pytest

from aa_jax.weights import WeightsError, torch_file
from aa_jax.weights.torch_file import open_zip
from tests.weights.reading import FLOATS, assert_same, one, read_legacy, read_zip
from tests.weights.torch_files import Call, Global, state_dict, storage, tensor, write_zip

VIEWS = {
    "transposed": (
        tensor(storage("0", np.float32, 24), (4, 6), (1, 4)),
        lambda f: f.reshape(6, 4).T,
    ),
    "offset": (
        tensor(storage("0", np.float32, 24), (2, 3), (6, 2), 5),
        lambda f: f[5:].take([[0, 2, 4], [6, 8, 10]]),
    ),
    "last": (tensor(storage("0", np.float32, 24), (1,), (1,), 23), lambda f: f[-1:]),
    "long stride on an axis of one": (
        tensor(storage("0", np.float32, 24), (1, 24), (2**62, 1)),
        lambda f: f[None],
    ),
    "empty at the end": (tensor(storage("0", np.float32, 24), (0,), (1,), 24), lambda f: f[:0]),
    "scalar": (tensor(storage("0", np.float32, 24), (), (), 7), lambda f: f[7]),
}


def test_views_of_one_shared_storage():
    flat = np.arange(24, dtype=np.float32)
    root = {name: record for name, (record, _) in VIEWS.items()}
    actual = read_zip(root, {"0": flat.tobytes()})
    assert_same(actual, {name: np.asarray(view(flat)) for name, (_, view) in VIEWS.items()})
    assert np.shares_memory(actual["transposed"], actual["offset"])
    assert not any(array.flags.writeable for array in actual.values())


def test_older_ways_of_saying_tensor():
    flat = np.arange(6, dtype=np.float32)
    stored = storage("0", np.float32, 6)
    plain = Call(Global("torch._utils", "_rebuild_tensor"), (stored, 0, (6,), (1,)))
    sized = Call(Global("torch", "Size"), ((2, 3),))
    hooks = Call(Global("collections", "OrderedDict"), ())
    rebuilt = Call(
        Global("torch._utils", "_rebuild_tensor_v2"), (stored, 0, sized, (3, 1), True, hooks, None)
    )
    parameter = Call(Global("torch._utils", "_rebuild_parameter"), (rebuilt, True, hooks))
    actual = read_zip({"plain": plain, "parameter": parameter}, {"0": flat.tobytes()})
    assert_same(actual, {"plain": flat, "parameter": flat.reshape(2, 3)})


def test_legacy_storage_views():
    """Before PyTorch 0.4 a storage could itself be a window of another."""
    flat = np.arange(10, dtype=np.int64)
    window = tensor(storage("0", np.int64, 10, ("0-window", 4, 3)), (3,))
    whole = tensor(storage("0", np.int64, 10, None), (10,))
    actual = read_legacy({"window": window, "whole": whole}, {"0": (10, flat.tobytes())})
    assert_same(actual, {"window": flat[4:7], "whole": flat})


def test_only_the_storages_asked_for_are_read(monkeypatch):
    root, buffers = state_dict({"a": np.ones(3, np.float32), "b": np.ones(4, np.float32)})
    file = io.BytesIO()
    write_zip(file, root, buffers)
    read = []
    original = torch_file._read_member
    monkeypatch.setattr(
        torch_file, "_read_member", lambda *args: read.append(args[2]) or original(*args)
    )
    opened = open_zip(file)
    opened.tensor(opened.root["b"])
    opened.tensor(opened.root["b"])
    assert [name for name in read if "/data/" in name] == ["archive/data/1"]


LIES = {
    "beyond the end": (one((7,), (1,)), "outside its storage of 6"),
    "offset beyond the end": (one((2,), (1,), 5), "outside its storage of 6"),
    "stride beyond the end": (one((2, 2), (5, 1)), "outside its storage of 6"),
    "negative offset": (one((2,), (1,), -1), "offset must be an integer >= 0, got -1"),
    "negative stride": (one((2,), (-1,), 3), "must be an integer >= 0, got -1"),
    "negative size": (one((-2,), (1,)), "must be an integer >= 0, got -2"),
    "one element expanded to terabytes": (one((2**20, 2**20), (0, 0)), "outside its storage"),
    "sizes that overflow": (one((2**40, 2**40), (1, 1)), "outside its storage"),
    "empty yet enormous": (one((0, 2**62, 2**62), (1, 1, 1)), "shape"),
    "more strides than sizes": (one((2,), (1, 1)), "with strides"),
    "shape of floats": (one((2.0,), (1,)), "got float"),
    "shape of booleans": (one((True,), (1,)), "got bool"),
    "too many axes": (one((1,) * 40, (1,) * 40), "32 integers"),
    "huge storage": (one((6,), (1,), size=2**60), "more bytes than the file has"),
    "storage larger than its member": (one((6,), (1,), size=7), "24 bytes; the pickle says 28"),
    "storage smaller than its member": (one((5,), (1,), size=5), "24 bytes; the pickle says 20"),
    "negative storage": (one((0,), (1,), size=-1), "storage size must be"),
    "missing member": (one((6,), (1,), key="9"), "no member 'archive/data/9'"),
    "member of another folder": (one((6,), (1,), key="../../etc/passwd"), "no member"),
    "tensor without storage": ({"a": tensor([1, 2], (2,))}, "storage is a list"),
    "two sizes of one storage": (
        one((6,), (1,)) | {"b": tensor(storage("0", np.float64, 6), (6,))},
        "with two sizes",
    ),
    "lazily negated": (
        {
            "a": Call(
                Global("torch._utils", "_rebuild_tensor_v2"),
                (storage("0", np.float32, 6), 0, (6,), (1,), False, None, {"neg": True}),
            )
        },
        "negated",
    ),
}


@pytest.mark.parametrize("case", LIES)
def test_lies_in_a_zip(case):
    root, message = LIES[case]
    with pytest.raises(WeightsError, match=message):
        read_zip(root, {"0": FLOATS})


def test_overlapping_members_do_not_multiply_memory():
    """Many names for one region of the file: refused before they are read into memory."""
    flat = np.zeros(5000, np.float32)
    root, buffers = state_dict({"a": flat, "b": flat})
    file = io.BytesIO()
    write_zip(file, root, buffers)
    data = bytearray(file.getvalue())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        first, second = (archive.getinfo(f"archive/data/{key}").header_offset for key in "01")
    # Cut the second member out and let the directory point both names at the first.
    cut = bytes(data[:second]) + bytes(data[second + 30 + 14 + flat.nbytes :])
    shift = len(data) - len(cut)
    at = cut.rindex(b"PK\x01\x02", 0, cut.rindex(b"archive/data/1"))
    cut = cut[: at + 42] + struct.pack("<I", first) + cut[at + 46 :]
    at = cut.rindex(b"PK\x01\x02")
    last = struct.unpack_from("<I", cut, at + 42)[0] - shift
    cut = cut[: at + 42] + struct.pack("<I", last) + cut[at + 46 :]
    at = cut.rindex(b"PK\x05\x06")
    start = struct.unpack_from("<I", cut, at + 16)[0] - shift
    cut = cut[: at + 16] + struct.pack("<I", start) + cut[at + 20 :]
    opened = open_zip(io.BytesIO(cut))
    opened.tensor(opened.root["a"])
    with pytest.raises(WeightsError, match="more bytes than the file has"):
        opened.tensor(opened.root["b"])


@pytest.mark.parametrize("view", [("v", 4, 3), ("v", -1, 2), ("v", 0, -1), (0, 6), [0, 1, 2]])
def test_legacy_storage_view_outside_its_storage(view):
    root = {"a": tensor(storage("0", np.float32, 6, view), (2,))}
    with pytest.raises(WeightsError, match="view"):
        read_legacy(root, {"0": (6, FLOATS)})
