"""Reads the files of ``torch.save``, zip and legacy, without PyTorch and without trusting them.

Neither reader executes the pickle (see ``pickle_reader``), extracts a member to disk, or believes
a declared size before comparing it with the bytes that are there.
"""

import io
import os
import struct
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO

from aa_jax.weights.errors import WeightsError
from aa_jax.weights.pickle_globals import StorageRecord
from aa_jax.weights.pickle_reader import CHECKPOINT, MAX_PICKLE_BYTES, Dialect, RestrictedUnpickler
from aa_jax.weights.storages import StorageRegistry, TorchFile

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""The number that every legacy file begins with."""

_LEGACY_PROTOCOL = 1001
# The pickles of a nested storage take 250 bytes or so; few opcodes fit where many files nest.
_NESTED_PICKLES_BYTES = 1024


def open_zip(file: BinaryIO) -> TorchFile:
    """Opens a checkpoint of PyTorch >= 1.6: an uncompressed zip with ``data.pkl`` and buffers.

    Args:
        file: seekable binary file; must stay open while tensors are read.

    Raises:
        UnsafePickleError: its pickle asks for more than tensors and containers.
        WeightsError: not such a file, or it is damaged, compressed or inconsistent.
    """
    file_bytes = _file_bytes(file)
    archive = _zip_errors(lambda: zipfile.ZipFile(file))
    members = _members(archive)
    folder = _root_folder(members)

    def read(name: str, count: int | None = None) -> bytes:
        return _read_member(archive, members, folder + name, count)

    byte_order = "little"
    if folder + "byteorder" in members:
        byte_order = read("byteorder").decode("latin-1").strip()
        if byte_order not in ("little", "big"):
            raise WeightsError(
                f"the checkpoint's byteorder must be 'little' or 'big', got {byte_order[:20]!r}"
            )
    pickled = io.BytesIO(read("data.pkl"))
    root = RestrictedUnpickler(pickled, persistent_load=StorageRegistry()).load()
    return TorchFile(
        root,
        format="torch-zip",
        file_bytes=file_bytes,
        read_bytes=lambda storage: read(f"data/{storage.key}", storage.byte_count),
        byte_order=byte_order,
    )


def _file_bytes(file: BinaryIO) -> int:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def _zip_errors(action: Callable[[], Any]) -> Any:
    """Runs a step of ``zipfile``, turning each of the ways it fails into a ``WeightsError``."""
    try:
        return action()
    except (
        zipfile.BadZipFile,
        EOFError,
        NotImplementedError,
        OSError,  # A seek to a negative offset that the directory declares.
        OverflowError,
        RuntimeError,
        ValueError,
        struct.error,
    ) as error:
        raise WeightsError(
            f"the checkpoint's zip file is damaged or truncated ({type(error).__name__}: "
            f"{error}); fetch it again"
        ) from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.filename in members:
            raise WeightsError(f"the zip file has two members named {info.filename[:120]!r}")
        members[info.filename] = info
    return members


def _root_folder(members: dict[str, zipfile.ZipInfo]) -> str:
    """The single top folder, which bears the name the file had when it was saved."""
    folders = [
        name.removesuffix("data.pkl")
        for name in members
        if name.endswith("/data.pkl") and name.count("/") == 1
    ]
    if len(folders) != 1:
        raise WeightsError(
            f"the zip file has {len(folders)} members '<name>/data.pkl'; expected exactly one, as "
            "torch.save writes"
        )
    if folders[0] + "constants.pkl" in members:
        raise WeightsError(
            "the file is a TorchScript program; expected a checkpoint: save its state_dict() with "
            "torch.save and read that"
        )
    return folders[0]


def _read_member(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, count: int | None
) -> bytes:
    """Reads a stored member of exactly ``count`` bytes (``None``: at most a pickle's limit)."""
    info = members.get(name)
    if info is None:
        raise WeightsError(f"the checkpoint has no member {name[:120]!r}, which its pickle needs")
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise WeightsError(
            f"the member {name[:120]!r} is compressed; torch.save stores without compression, and "
            "a small file that would unpack to a large one is refused"
        )
    if count is None and info.file_size > MAX_PICKLE_BYTES:
        raise WeightsError(
            f"the member {name[:120]!r} declares {info.file_size} bytes; expected at most "
            f"{MAX_PICKLE_BYTES}"
        )
    if count is not None and info.file_size != count:
        raise WeightsError(
            f"the member {name[:120]!r} declares {info.file_size} bytes; the pickle says {count}"
        )
    data = _zip_errors(lambda: archive.read(info))
    if len(data) != info.file_size:
        raise WeightsError(f"the member {name[:120]!r} is truncated; fetch the file again")
    return data


def open_legacy(file: BinaryIO) -> TorchFile:
    """Opens a checkpoint of PyTorch 0.2 to 1.5: five pickles in a row, then raw buffers.

    The pickles are a magic number, a protocol version, facts about the writer's machine, the
    object, and the order of the buffers. Each buffer is its count of elements (int64) and its
    bytes, always little-endian.

    Args:
        file: seekable binary file; must stay open while tensors are read.

    Raises:
        UnsafePickleError: one of its pickles asks for more than tensors and containers.
        WeightsError: not such a file, or it is damaged or inconsistent.
    """
    file_bytes = _file_bytes(file)
    head = io.BytesIO(file.read(MAX_PICKLE_BYTES))
    root, keys, records = _legacy_pickles(head)
    positions = _legacy_positions(file, head.tell(), keys, records, file_bytes)

    def read(storage: StorageRecord) -> bytes:
        file.seek(positions[storage.key])
        data = file.read(storage.byte_count)
        if len(data) != storage.byte_count:
            raise WeightsError("the checkpoint became shorter while it was read")
        return data

    return TorchFile(root, format="torch-legacy", file_bytes=file_bytes, read_bytes=read)


def read_nested_storage(data: bytes, dialect: Dialect) -> tuple[StorageRecord, memoryview]:
    """Reads a legacy file that holds one bare storage, as ``pickle.dump`` of a tensor nests it.

    Args:
        data: the whole nested file.
        dialect: what its pickles may say.

    Returns:
        The storage, and its bytes within ``data``.

    Raises:
        UnsafePickleError: one of its pickles asks for more than the storage.
        WeightsError: not such a file, or it is damaged or inconsistent.
    """
    head = io.BytesIO(data[:_NESTED_PICKLES_BYTES])
    root, keys, records = _legacy_pickles(head, dialect)
    if not isinstance(root, StorageRecord):
        raise WeightsError(f"a tensor's storage is a file with a {type(root).__name__} in it")
    start = _legacy_positions(io.BytesIO(data), head.tell(), keys, records, len(data))[root.key]
    return root, memoryview(data)[start : start + root.byte_count]


def _legacy_pickles(
    head: io.BytesIO, dialect: Dialect = CHECKPOINT
) -> tuple[Any, Any, dict[str, StorageRecord]]:
    """The object, the list of storage keys, and the storages; leaves ``head`` behind the list."""
    magic = RestrictedUnpickler(head, dialect=dialect).load()
    if type(magic) is not int or magic != LEGACY_MAGIC:
        raise WeightsError("the file is a pickle, but not one that torch.save has written")
    protocol = RestrictedUnpickler(head, dialect=dialect).load()
    if type(protocol) is not int or protocol != _LEGACY_PROTOCOL:
        raise WeightsError(f"the legacy checkpoint's protocol must be {_LEGACY_PROTOCOL}")
    machine = RestrictedUnpickler(head, dialect=dialect).load()
    if type(machine) is not dict or machine.get("little_endian") is not True:
        raise WeightsError("the legacy checkpoint was not written on a little-endian machine")
    registry = StorageRegistry()
    root = RestrictedUnpickler(head, persistent_load=registry, dialect=dialect).load()
    keys = RestrictedUnpickler(head, dialect=dialect).load()
    return root, keys, registry.records


def _legacy_positions(
    file: BinaryIO, start: int, keys: Any, records: dict[str, StorageRecord], file_bytes: int
) -> dict[str, int]:
    """Where each buffer's bytes begin, found by stepping over them; all are checked to be there."""
    if type(keys) is not list or any(type(key) is not str for key in keys):
        raise WeightsError("the legacy checkpoint's list of storages isn't a list of names")
    if len(set(keys)) != len(keys) or set(keys) != set(records):
        raise WeightsError(
            f"the legacy checkpoint lists {len(keys)} storages, its tensors use {len(records)}: "
            "they are not the same"
        )
    positions = {}
    for key in keys:
        file.seek(start)
        header = file.read(8)
        size = int.from_bytes(header, "little", signed=True)
        if len(header) != 8 or size != records[key].size:
            raise WeightsError(
                f"the legacy checkpoint's storage {key[:80]!r} is truncated or has another size "
                f"than declared ({size} elements, its pickle says {records[key].size})"
            )
        positions[key] = start + 8
        start += 8 + records[key].byte_count
        if start > file_bytes:
            raise WeightsError(
                f"the legacy checkpoint is truncated: storage {key[:80]!r} ends at byte {start} "
                f"of {file_bytes}"
            )
    return positions
