"""Reading `.npz` files of strangers: numbers only, and no more than fit."""

import os
import zipfile

import numpy as np

MOST_BYTES = 2**30
"""Files that would unpack to more are refused before anything is unpacked."""


class ArrayFileError(ValueError):
    """A file isn't what it should be."""


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads all arrays of an `.npz`.

    Args:
      path: the file.

    Returns:
      Arrays by name.

    Raises:
      ArrayFileError: it is damaged, too large, or holds other things than arrays of numbers.
      OSError: there is no such file, or it can't be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > MOST_BYTES:
                raise ArrayFileError(f"{path}: unpacks to {size} bytes, more than {MOST_BYTES}.")
            arrays = {}
            for member in archive.infolist():
                with archive.open(member) as file:
                    arrays[member.filename.removesuffix(".npy")] = _read(file, member.file_size)
            return arrays
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ArrayFileError(f"{path}: not a readable .npz file: {error}.") from error
    except ValueError as error:
        if isinstance(error, ArrayFileError):
            raise
        raise ArrayFileError(f"{path}: not a file of plain arrays: {error}.") from error


def _read(file, size: int) -> np.ndarray:
    """One `.npy` member; the header's promise is held against the member's size first."""
    version = np.lib.format.read_magic(file)
    header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in header:
        raise ValueError(f"unknown version {version}")
    shape, fortran, dtype = header[version](file)
    if dtype.hasobject or dtype.kind not in "fiub":
        raise ValueError(f"it holds {dtype}, which is not a number")
    count = 1
    for n in shape:
        count *= n
    if count * dtype.itemsize > size:
        raise ValueError(f"an array of shape {shape} is longer than the file")
    data = file.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise ValueError("an array is cut off")
    array = np.frombuffer(data, dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
