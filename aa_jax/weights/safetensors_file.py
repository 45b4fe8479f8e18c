"""Reads and writes ``.safetensors`` files, with errors of ours and writes that can't half happen.

The ``safetensors`` library checks a header fully before any tensor is touched: its length, its
nesting, unknown fields, sizes that don't match shapes, overlaps and gaps.
"""

import os
import pathlib
import tempfile
from collections.abc import Mapping

import ml_dtypes  # Also registers bfloat16 with NumPy, which safetensors relies on.
import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import ArrayLike

from aa_jax.weights.errors import WeightsError

_WRITABLE = frozenset(
    np.dtype(kind)
    for kind in (
        *(np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.bool_),
        *(np.int64, np.int32, np.int16, np.int8, np.uint64, np.uint32, np.uint16, np.uint8),
    )
)


def read_safetensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads every tensor of a ``.safetensors`` file.

    Args:
        path: the file.

    Returns:
        Read-only arrays by name, in the file's dtypes (bfloat16 as ``ml_dtypes.bfloat16``).

    Raises:
        WeightsError: the header is damaged or inconsistent, or a dtype has no NumPy counterpart.
    """
    tensors = {}
    name = None
    try:
        with safetensors.safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118 (the handle isn't iterable)
                tensors[name] = file.get_tensor(name)
                tensors[name].flags.writeable = False
    except OSError:
        raise
    except (safetensors.SafetensorError, ValueError, TypeError, AttributeError) as error:
        where = "its header" if name is None else f"entry {name[:120]!r}"
        raise WeightsError(
            f"{os.fspath(path)}: not a readable safetensors file, at {where}: {error}"
        ) from error
    return tensors


def read_metadata(path: str | os.PathLike) -> dict[str, str]:
    """Reads the strings by name that a ``.safetensors`` file carries beside its tensors.

    Raises:
        WeightsError: the header is damaged or inconsistent.
    """
    try:
        with safetensors.safe_open(path, framework="np") as file:
            return file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise WeightsError(
            f"{os.fspath(path)}: not a readable safetensors file, at its header: {error}"
        ) from error


def is_safetensors(head: bytes, file_bytes: int) -> bool:
    """Whether a file of so many bytes that begins with ``head`` (9 or more) is ``.safetensors``."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= file_bytes - 8


def write_safetensors(
    path: str | os.PathLike,
    tensors: Mapping[str, ArrayLike],
    *,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes named arrays as a ``.safetensors`` file, whole or not at all.

    The data go to a temporary file in the same folder, which replaces ``path`` only once it is
    complete and on the disk: after a full disk or a crash an earlier file is intact.

    Args:
        path: the file to write; its folder must exist.
        tensors: arrays of any layout by name; NumPy or JAX; floats up to 64 bits, bfloat16,
            integers or booleans.
        metadata: strings by name to store beside them.

    Raises:
        WeightsError: a name isn't a string or an array's dtype can't be stored.
        OSError: the file can't be written, for example because the disk is full.

    Example:
        >>> write_safetensors("model.safetensors", {"weight": np.ones((2, 3))})
    """
    path = pathlib.Path(path)
    arrays = {name: _storable(name, value) for name, value in tensors.items()}
    # The library's own writer makes files that only the owner can read, and hides errno.
    data = safetensors.numpy.save(arrays, dict(metadata) if metadata else None)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        temporary = pathlib.Path(folder) / path.name
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            what = f"could not write {path}, an earlier file is intact: {error.strerror}"
            raise OSError(error.errno, what) from error


def _storable(name: str, value: ArrayLike) -> np.ndarray:
    """A little-endian row-major copy of ``value``, or itself where it is that already."""
    if not isinstance(name, str) or not name or name == "__metadata__":
        raise WeightsError(
            f"tensors must be named by strings other than '' and '__metadata__', got {name!r:.80}"
        )
    array = np.asarray(value, order="C")
    if array.dtype.newbyteorder("=") not in _WRITABLE:
        raise WeightsError(
            f"tensor {name!r} has dtype {array.dtype}; expected floats up to 64 bits, bfloat16, "
            "integers or booleans"
        )
    return array
