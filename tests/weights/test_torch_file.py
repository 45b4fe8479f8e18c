"""The two formats of torch.save: tensors read right, damage and lies refused."""

import io
import pathlib
import struct
import warnings
import zipfile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from aa_jax.weights import WeightsError, read_checkpoint
from aa_jax.weights.torch_file import open_legacy, open_zip
from tests.weights.reading import FLOATS, assert_same, one, read_legacy, read_zip
from tests.weights.torch_files import (
    STORAGE_NAMES,
    legacy_bytes,
    pickled,
    state_dict,
    write_zip,
)

DTYPES = list(STORAGE_NAMES)


def samples(rng) -> dict[str, np.ndarray]:
    values = {dtype.name: (rng.normal(size=(2, 3)) * 50).astype(dtype) for dtype in DTYPES}
    values["nan"] = np.array([np.nan, np.inf, -0.0], np.float32)
    return values | {"scalar": np.array(3.5, np.float32), "empty": np.zeros((0, 4), np.int64)}


@pytest.mark.parametrize("read, legacy", [(read_zip, False), (read_legacy, True)])
def test_every_dtype(read, legacy, rng):
    values = samples(rng)
    assert_same(read(*state_dict(values, legacy=legacy)), values)


def test_big_endian_zip(rng):
    values = samples(rng)
    root, buffers = state_dict(values)
    for key, value in zip(buffers, values.values(), strict=True):
        parts = 2 if value.dtype.kind == "c" else 1
        width = value.dtype.itemsize // parts
        raw = np.frombuffer(buffers[key], np.uint8).reshape(-1, width)
        buffers[key] = raw[:, ::-1].tobytes()
    assert_same(read_zip(root, buffers, byte_order="big"), values)


def test_no_byte_order_means_little_and_an_unknown_one_is_refused():
    values = {"a": np.arange(3, dtype=np.float32)}
    root, buffers = state_dict(values)
    assert_same(read_zip(root, buffers, byte_order=None), values)
    with pytest.raises(WeightsError, match="must be 'little' or 'big', got 'middle'"):
        read_zip(root, buffers, byte_order="middle")


def test_compressed_member_is_refused():
    root, buffers = state_dict({"a": np.zeros(100_000, np.float32)})
    with pytest.raises(WeightsError, match="'archive/byteorder' is compressed"):
        read_zip(root, buffers, compression=zipfile.ZIP_DEFLATED)


def test_duplicated_member_is_refused():
    file = io.BytesIO()
    write_zip(file, one((6,), (1,)), {"0": FLOATS})
    with zipfile.ZipFile(file, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        archive.writestr("archive/data/0", FLOATS[::-1])
    with pytest.raises(WeightsError, match="two members named 'archive/data/0'"):
        open_zip(file)


@pytest.mark.parametrize(
    "names, message",
    [
        (["picture.png"], "0 members '<name>/data.pkl'"),
        (["a/data.pkl", "b/data.pkl"], "2 members '<name>/data.pkl'"),
        (["a/data.pkl", "a/constants.pkl"], "TorchScript program"),
    ],
)
def test_other_zip_files(names, message):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, pickled({}))
    with pytest.raises(WeightsError, match=message):
        open_zip(file)


def test_members_before_the_start_of_the_file(tmp_path):
    """The directory's offset is moved, and with it every member's, to below zero."""
    path = tmp_path / "a.pth"
    write_zip(path, one((6,), (1,)), {"0": FLOATS})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x05\x06") + 16
    data[at : at + 4] = struct.pack("<I", struct.unpack_from("<I", data, at)[0] + 10_000)
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged or truncated"):
        read_checkpoint(path)


def test_flipped_bit_in_a_tensor_is_noticed():
    file = io.BytesIO()
    write_zip(file, one((6,), (1,)), {"0": FLOATS})
    data = bytearray(file.getvalue())
    data[data.index(FLOATS) + 5] ^= 1
    opened = open_zip(io.BytesIO(data))
    with pytest.raises(WeightsError, match="damaged"):
        opened.tensor(opened.root["a"])


def test_legacy_header_claims_more_than_the_file_has():
    """2**60 elements declared by pickle and header alike; nothing is allocated for them."""
    root = one((6,), (1,), size=2**60)
    with pytest.raises(WeightsError, match="truncated: storage '0' ends at byte"):
        read_legacy(root, {"0": (2**60, FLOATS)})


@pytest.mark.parametrize("size", [5, 7, -1, 2**62])
def test_legacy_header_disagrees_with_the_pickle(size):
    with pytest.raises(WeightsError, match="another size than declared"):
        read_legacy(one((6,), (1,)), {"0": (size, FLOATS)})


@pytest.mark.parametrize("keys", [[], ["0", "0"], ["0", "1"], ["1"], [0], "0", {"0": 1}, None])
def test_legacy_list_of_storages_disagrees_with_the_pickle(keys):
    good = legacy_bytes(one((6,), (1,)), {"0": (6, FLOATS)})
    with pytest.raises(WeightsError, match="list"):
        open_legacy(io.BytesIO(good.replace(pickled(["0"]), pickled(keys))))


def test_other_pickles_are_no_legacy_checkpoints():
    with pytest.raises(WeightsError, match="not one that torch.save has written"):
        open_legacy(io.BytesIO(pickled({"a": 1})))
    good = legacy_bytes({}, {})
    with pytest.raises(WeightsError, match="protocol must be 1001"):
        open_legacy(io.BytesIO(good.replace(pickled(1001), pickled(1002))))
    with pytest.raises(WeightsError, match="little-endian"):
        open_legacy(io.BytesIO(good.replace(b"endian\x88", b"endian\x89")))


def test_every_truncation_raises_a_weights_error(tmp_path):
    root, buffers = state_dict({"a": np.ones(3, np.float32), "b": np.ones(2, np.int64)})
    write_zip(tmp_path / "zip", root, buffers)
    root, buffers = state_dict({"a": np.ones(3, np.float32)}, legacy=True)
    for data in ((tmp_path / "zip").read_bytes(), legacy_bytes(root, buffers)):
        for length in range(len(data)):
            (tmp_path / "cut.pth").write_bytes(data[:length])
            with pytest.raises(WeightsError):
                read_checkpoint(tmp_path / "cut.pth")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_files_raise_only_weights_errors(data, tmp_path_factory):
    """Whatever happens to a few bytes: tensors or a WeightsError, nothing else."""
    folder = tmp_path_factory.getbasetemp()
    path = pathlib.Path(folder) / "damaged.pth"
    legacy = data.draw(st.booleans())
    values = {"a": np.ones((2, 3), np.float32), "b": np.zeros(2, ml_dtypes.bfloat16)}
    root, buffers = state_dict(values, legacy=legacy)
    if legacy:
        path.write_bytes(legacy_bytes(root, buffers))
    else:
        write_zip(path, root, buffers)
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    try:
        read_checkpoint(path)
    except WeightsError:
        pass


GOLDEN = ["training_zip.pth", "training_legacy.pth", "state_dict_protocol4.pth"]


@pytest.mark.parametrize("name", GOLDEN)
def test_files_that_pytorch_wrote(name):
    path = pathlib.Path(__file__).parents[1] / "golden" / "weights" / name
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    expected = {
        "a": a,
        "permuted": a.transpose(2, 0, 1),
        "window": np.array([3, 5, 7, 9, 11, 13], np.float32),
        "parameter": a[1, :2],
        "half": (a / 16).astype(np.float16),
        "bfloat": (a / 16).astype(ml_dtypes.bfloat16),
        "double": a / np.float64(16),
        "count": np.array(7),
        "flags": np.array([True, False, True]),
        "bytes": np.array([1, 255], np.uint8),
        "empty": np.zeros((0, 3), np.float32),
    }
    assert_same(read_checkpoint(path), expected)
