"""safetensors: round trips, hostile headers, and writes that leave an earlier file intact."""

import json
import os
import stat
import struct

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from aa_jax.weights import WeightsError, read_checkpoint, write_safetensors
from tests.weights.reading import assert_same

KINDS = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]
DTYPES = [np.dtype(kind) for kind in KINDS] + [np.dtype(ml_dtypes.bfloat16)]


def _arrays(dtype):
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    if dtype == ml_dtypes.bfloat16:
        return hnp.arrays(np.uint16, shapes).map(lambda bits: bits.view(dtype))
    return hnp.arrays(dtype, shapes)


TENSORS = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(
        lambda name: name != "__metadata__" and name.isprintable() and not name.startswith("module")
    ),
    st.sampled_from(DTYPES).flatmap(_arrays),
    min_size=1,
    max_size=4,
)


@settings(max_examples=80, deadline=None)
@given(tensors=TENSORS)
def test_round_trip_is_bit_exact(tensors, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "round_trip.safetensors"
    write_safetensors(path, tensors)
    result = read_checkpoint(path)
    assert result.keys() == tensors.keys()
    for name, value in tensors.items():
        assert result[name].dtype == value.dtype
        assert result[name].shape == value.shape
        assert result[name].tobytes() == value.tobytes()  # NaN payloads included
        assert not result[name].flags.writeable


def test_any_layout_and_byte_order_and_jax_arrays(tmp_path):
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    given_tensors = {
        "transposed": a.transpose(2, 0, 1),
        "reversed": a[::-1, :, ::2],
        "broadcast": np.broadcast_to(np.float32(3), (2, 2)),
        "big": a.astype(">f4"),
        "jax": jnp.asarray(a, jnp.bfloat16).swapaxes(0, 2),
        "scalar": np.float64(2.5),
    }
    expected = {name: np.array(value) for name, value in given_tensors.items()}
    expected["big"] = a
    write_safetensors(tmp_path / "a.safetensors", given_tensors)
    assert_same(read_checkpoint(tmp_path / "a.safetensors"), expected)


@pytest.mark.parametrize("value", [np.array(["a"]), np.array([object()]), np.zeros(2, "c8")])
def test_dtype_that_cannot_be_stored_is_named(value, tmp_path):
    with pytest.raises(WeightsError, match=f"'layer.weight' has dtype {value.dtype}"):
        write_safetensors(tmp_path / "a.safetensors", {"layer.weight": value})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", [1, "", "__metadata__"])
def test_name_that_cannot_be_stored(name, tmp_path):
    with pytest.raises(WeightsError, match="must be named by strings"):
        write_safetensors(tmp_path / "a.safetensors", {name: np.ones(2)})


def test_file_has_the_permissions_of_any_new_file(tmp_path):
    write_safetensors(tmp_path / "a.safetensors", {"a": np.ones(2)})
    (tmp_path / "other").write_bytes(b"")
    modes = [stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("a.safetensors", "other")]
    assert modes[0] == modes[1]


def test_full_disk_leaves_the_earlier_file_intact(tmp_path):
    """A real failing write: the process may not make files longer than 4 KiB for a moment."""
    resource = pytest.importorskip("resource", reason="file size limits are POSIX")
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"a": np.ones(3)})
    earlier = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="could not write .*a.safetensors, an earlier file is"):
            write_safetensors(path, {"a": np.ones(5000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == earlier
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.safetensors"]


def entry(dtype="F32", shape=(2,), begin=0, end=8):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


HOSTILE = {
    "more elements than bytes": ({"a": entry(shape=(2**40,), end=2**42)}, "header"),
    "size that overflows": ({"a": entry(shape=(2**40, 2**40))}, "header"),
    "shape that disagrees with its bytes": ({"a": entry(shape=(3,))}, "header"),
    "gap": ({"a": entry(begin=4, end=12)}, "header"),
    "overlap": ({"a": entry(), "b": entry()}, "header"),
    "bytes nobody claims": ({"a": entry(shape=(1,), end=4)}, "header"),
    "empty yet enormous": (
        {"a": entry(), "b": entry(shape=(0, 2**62, 2**62), begin=8)},
        "entry 'b'",
    ),
    "dtype without NumPy counterpart": ({"a": entry("F8_E4M3", (8,))}, "entry 'a'"),
    "unknown dtype": ({"a": entry("F31")}, "header"),
    "negative size": ({"a": entry(shape=(-2,))}, "header"),
    "no entry": ({"a": 3}, "header"),
    "bad metadata": ({"__metadata__": {"a": 1}, "a": entry()}, "header"),
}


def write_raw(path, header, body=b"\0" * 8):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_header(case, tmp_path):
    header, where = HOSTILE[case]
    write_raw(tmp_path / "a.safetensors", header)
    with pytest.raises(WeightsError, match=f"a.safetensors: .*{where}"):
        read_checkpoint(tmp_path / "a.safetensors")


def test_duplicated_name_and_bottomless_nesting(tmp_path):
    one = json.dumps(entry(shape=(1,), end=4)).encode()
    two = json.dumps(entry(shape=(1,), begin=4, end=8)).encode()
    for header in (b'{"a":' + one + b',"a":' + two + b"}", b'{"a":' * 100_000):
        write_raw(tmp_path / "a.safetensors", header)
        with pytest.raises(WeightsError):
            read_checkpoint(tmp_path / "a.safetensors")


def test_every_truncation_raises_a_weights_error(tmp_path):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"a": np.ones(3), "b": np.arange(4)})
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(WeightsError):
            read_checkpoint(path)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_headers_raise_only_weights_errors(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    write_safetensors(path, {"a": np.ones((2, 3)), "b": np.arange(4, dtype=np.int32)})
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    try:
        read_checkpoint(path)
    except WeightsError:
        pass
