"""Writes PyTorch checkpoint files, good and evil, opcode by opcode and without PyTorch.

``assemble`` turns nested Python values into pickle opcodes. ``Global``, ``Call`` and the others
below stand for what a plain value can't say. Nothing here uses the reader under test.
"""

import dataclasses
import struct
import zipfile
from typing import Any

import ml_dtypes
import numpy as np

STORAGE_NAMES = {
    np.dtype(np.float64): "DoubleStorage",
    np.dtype(np.float32): "FloatStorage",
    np.dtype(np.float16): "HalfStorage",
    np.dtype(ml_dtypes.bfloat16): "BFloat16Storage",
    np.dtype(np.int64): "LongStorage",
    np.dtype(np.int32): "IntStorage",
    np.dtype(np.int16): "ShortStorage",
    np.dtype(np.int8): "CharStorage",
    np.dtype(np.uint8): "ByteStorage",
    np.dtype(np.bool_): "BoolStorage",
    np.dtype(np.complex64): "ComplexFloatStorage",
}
MAGIC = 0x1950A86A20F9469CFC6C


@dataclasses.dataclass(frozen=True)
class Raw:
    """Opcodes as they stand."""

    code: bytes


@dataclasses.dataclass(frozen=True)
class Global:
    """An imported name."""

    module: str
    name: str


@dataclasses.dataclass(frozen=True)
class Call:
    """A function applied to arguments: opcode REDUCE."""

    function: Any
    arguments: tuple


@dataclasses.dataclass(frozen=True)
class Built:
    """An object and the state set on it: opcode BUILD."""

    target: Any
    state: Any


@dataclasses.dataclass(frozen=True)
class Persistent:
    """An object kept outside the pickle: opcode BINPERSID."""

    identifier: Any


def _assemble_int(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def assemble(value: Any) -> bytes:
    """Opcodes that push ``value``."""
    if isinstance(value, Raw):
        return value.code
    if isinstance(value, Global):
        return f"c{value.module}\n{value.name}\n".encode()
    if isinstance(value, Call):
        return assemble(value.function) + assemble(value.arguments) + b"R"
    if isinstance(value, Built):
        return assemble(value.target) + assemble(value.state) + b"b"
    if isinstance(value, Persistent):
        return assemble(value.identifier) + b"Q"
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        return _assemble_int(value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return b"X" + struct.pack("<I", len(data)) + data
    if isinstance(value, tuple):
        return b"(" + b"".join(map(assemble, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(assemble, value)) + b"e"
    pairs = b"".join(assemble(key) + assemble(item) for key, item in value.items())
    return b"}(" + pairs + b"u"


def pickled(value: Any, protocol: int = 2) -> bytes:
    """A whole pickle of ``value``."""
    return b"\x80" + bytes([protocol]) + assemble(value) + b"."


def storage(key: str, dtype: Any, size: int, *rest: Any) -> Persistent:
    """A storage as ``torch.save`` refers to it; ``rest`` is ``(view,)`` in legacy files."""
    kind = Global("torch", STORAGE_NAMES[np.dtype(dtype)])
    return Persistent(("storage", kind, key, "cpu", size, *rest))


def tensor(stored: Any, shape: tuple, strides: tuple | None = None, offset: int = 0) -> Call:
    """A tensor as ``torch.save`` refers to it; strides default to row-major."""
    if strides is None:
        strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    hooks = Call(Global("collections", "OrderedDict"), ())
    arguments = (stored, offset, shape, strides, False, hooks)
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), arguments)


def write_zip(
    path: Any,
    root: Any,
    buffers: dict[str, bytes],
    *,
    byte_order: str | None = "little",
    compression: int = zipfile.ZIP_STORED,
) -> None:
    """Writes the zip format; ``root`` is a value for ``assemble`` or the pickle's bytes."""
    data = root if isinstance(root, bytes) else pickled(root)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        if byte_order is not None:
            archive.writestr("archive/byteorder", byte_order)
        for key, buffer in buffers.items():
            archive.writestr(f"archive/data/{key}", buffer)
        archive.writestr("archive/version", "3\n")


def legacy_bytes(root: Any, buffers: dict[str, tuple[int, bytes]]) -> bytes:
    """The legacy format; ``buffers`` gives the count of elements and the bytes of each key."""
    sizes = {"short": 2, "int": 4, "long": 4}
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
    data = root if isinstance(root, bytes) else pickled(root)
    parts = [pickled(MAGIC), pickled(1001), pickled(machine), data, pickled(list(buffers))]
    for size, buffer in buffers.values():
        parts += [struct.pack("<q", size), buffer]
    return b"".join(parts)


def state_dict(arrays: dict[str, np.ndarray], *, legacy: bool = False) -> tuple[dict, dict]:
    """Records and buffers of arrays, each in a storage of its own; for ``write_*``."""
    records, buffers = {}, {}
    for number, (name, array) in enumerate(arrays.items()):
        view = (None,) if legacy else ()
        stored = storage(str(number), array.dtype, array.size, *view)
        records[name] = tensor(stored, array.shape)
        buffers[str(number)] = (array.size, array.tobytes()) if legacy else array.tobytes()
    return records, buffers
