"""The flat buffers behind a checkpoint's tensors: collected from its pickle, read on demand.

Nothing is allocated because a header says so: a buffer's declared size is compared with the bytes
in the file first, and only the buffers of the tensors asked for are read.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from aa_jax.weights.errors import UnsafePickleError, WeightsError
from aa_jax.weights.pickle_globals import StorageRecord, StorageType, TensorRecord, check_count


class StorageRegistry:
    """Turns the persistent ids of a PyTorch pickle into storage records and remembers them."""

    def __init__(self):
        self.records: dict[str, StorageRecord] = {}

    def __call__(self, identifier: Any) -> StorageRecord:
        """Reads ``('storage', type, key, location, size)``; legacy ids have a view as well."""
        if type(identifier) is not tuple or not identifier or identifier[0] != "storage":
            kind = identifier[0] if type(identifier) is tuple and identifier else identifier
            shown = repr(kind[:80]) if type(kind) is str else f"of type {type(kind).__name__}"
            raise UnsafePickleError(
                f"the checkpoint has a persistent id {shown}; only 'storage' is read"
            )
        if len(identifier) not in (5, 6):
            raise WeightsError(f"the checkpoint has a storage id of {len(identifier)} parts")
        kind, key, size = identifier[1], identifier[2], identifier[4]
        if not isinstance(kind, StorageType):
            raise UnsafePickleError(f"the checkpoint has a storage of type {type(kind).__name__}")
        if type(key) is not str:
            raise WeightsError(f"the checkpoint has a storage key of type {type(key).__name__}")
        size = check_count(size, "storage size")
        start, length = _view_bounds(identifier[5] if len(identifier) == 6 else None, size)
        record = StorageRecord(key, kind.dtype, size, start, length)
        known = self.records.setdefault(key, record)
        if known.byte_count != record.byte_count:
            raise WeightsError(f"the checkpoint declares storage {key[:80]!r} with two sizes")
        return record


def _view_bounds(view: Any, size: int) -> tuple[int, int]:
    """Start and length of a legacy storage view ``(key, offset, length)`` of ``size`` elements."""
    if view is None:
        return 0, size
    if type(view) is not tuple or len(view) != 3:
        raise WeightsError("the checkpoint has a storage view that isn't (key, offset, length)")
    start = check_count(view[1], "storage view offset")
    length = check_count(view[2], "storage view length")
    if start + length > size:
        raise WeightsError(
            f"the checkpoint has a storage view [{start}, {start + length}) outside its storage "
            f"of {size} elements"
        )
    return start, length


class TorchFile:
    """An open checkpoint: what was saved, with the tensors in it read on demand.

    Args:
        root: what was saved; each tensor in it is a ``TensorRecord``.
        format: ``"torch-zip"`` or ``"torch-legacy"``.
        file_bytes: size of the file, the most that its tensors may occupy.
        read_bytes: gives the bytes of a storage, exactly as many as declared, or raises.
        byte_order: ``"little"`` or ``"big"``, of the buffers in the file.
    """

    def __init__(
        self,
        root: Any,
        *,
        format: str,
        file_bytes: int,
        read_bytes: Callable[[StorageRecord], bytes],
        byte_order: str = "little",
    ):
        self.root = root
        self.format = format
        self._budget = file_bytes
        self._read_bytes = read_bytes
        self._byte_order = byte_order
        self._arrays: dict[tuple[str, np.dtype], np.ndarray] = {}

    def tensor(self, record: TensorRecord) -> np.ndarray:
        """Reads one tensor as a read-only array; tensors of one storage share its memory.

        Raises:
            WeightsError: the storage is missing, truncated or of another size than declared.
        """
        storage = record.storage
        flat = self._array(storage)[storage.start : storage.start + storage.length]
        # The stride along an axis of length one means nothing and may not fit a machine word.
        strides = tuple(
            stride * flat.itemsize if size > 1 and 0 not in record.shape else 0
            for size, stride in zip(record.shape, record.strides, strict=True)
        )
        begin = 0 if 0 in record.shape else record.offset
        try:
            return np.ndarray(record.shape, flat.dtype, flat[begin:], 0, strides)
        except ValueError as error:  # An empty shape can still be too large for NumPy.
            raise WeightsError(
                f"the checkpoint has a tensor of shape {record.shape}: {error}"
            ) from error

    def _array(self, storage: StorageRecord) -> np.ndarray:
        key = (storage.key, storage.dtype)
        if key not in self._arrays:
            # Zip members may overlap: many names for one region would multiply its memory.
            self._budget -= storage.byte_count
            if self._budget < 0:
                raise WeightsError("the checkpoint's tensors declare more bytes than the file has")
            flat = np.frombuffer(self._read_bytes(storage), storage.dtype)
            if self._byte_order == "big":
                flat = flat.byteswap()
                flat.flags.writeable = False
            self._arrays[key] = flat
        return self._arrays[key]
