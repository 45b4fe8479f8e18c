"""Scattered samples from files: `.csv` with a line for each, or `.npz` with points and values."""

import dataclasses
import os
import pathlib

import numpy as np

from aa_jax.data.array_file import MOST_BYTES, ArrayFileError, read_arrays


@dataclasses.dataclass(frozen=True)
class Samples:
    """Samples of an image.

    Attributes:
      points: (N, 2), x and y in pixels; the first pixel's centre is at (0, 0).
      values: (N, channels), one or three channels, in [0, 1].
    """

    points: np.ndarray
    values: np.ndarray


def read_samples(path: str | os.PathLike, *, maximum: float = 1.0) -> Samples:
    """Reads samples.

    Args:
      path: `.csv` with columns x, y and one or three values, a heading if you like; or `.npz` with
        arrays `points` (N, 2) and `values` (N, 1 or 3).
      maximum: the value that shall be white.

    Raises:
      ArrayFileError: the file isn't that, or its numbers are not finite or out of range.
      OSError: there is no such file, or it can't be read.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() == ".csv":
        table = _read_table(path)
        points, values = table[:, :2], table[:, 2:]
    elif path.suffix.lower() == ".npz":
        arrays = read_arrays(path)
        missing = {"points", "values"} - set(arrays)
        if missing:
            raise ArrayFileError(
                f"{path}: expected arrays points and values, got {', '.join(sorted(arrays))}."
            )
        points, values = (np.asarray(arrays[name], np.float64) for name in ("points", "values"))
        values = values[:, None] if values.ndim == 1 else values
    else:
        raise ArrayFileError(f"{path}: expected a file that ends in .csv or .npz.")
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ArrayFileError(f"{path}: points must be (N, 2), x and y, got {points.shape}.")
    if values.ndim != 2 or values.shape[1] not in (1, 3) or len(values) != len(points):
        raise ArrayFileError(
            f"{path}: values must be ({len(points)}, 1) or ({len(points)}, 3), got {values.shape}."
        )
    bad = ~(np.isfinite(points).all(1) & np.isfinite(values).all(1))
    if bad.any():
        raise ArrayFileError(
            f"{path}: samples must be finite; {bad.sum()} are not, the first is number "
            f"{int(np.argmax(bad)) + 1}."
        )
    if values.min() < 0 or values.max() > maximum:
        raise ArrayFileError(
            f"{path}: values must lie from 0 to {maximum:g}, got {values.min():g} to "
            f"{values.max():g}; say --maximum 255 for bytes."
        )
    return Samples(points, values / maximum)


def _read_table(path: pathlib.Path) -> np.ndarray:
    if path.stat().st_size > MOST_BYTES:
        raise ArrayFileError(f"{path}: larger than {MOST_BYTES} bytes.")
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        lines = [line for line in file if line.strip()]
    if lines and not _is_numbers(lines[0]):
        lines = lines[1:]
    rows = []
    for number, line in enumerate(lines, 1):
        if not _is_numbers(line):
            raise ArrayFileError(f"{path}: sample {number} isn't numbers and commas: {line!r:.80}.")
        rows.append([float(cell) for cell in line.split(",")])
        if len(rows[-1]) not in (3, 5) or len(rows[-1]) != len(rows[0]):
            raise ArrayFileError(
                f"{path}: a sample must have x, y and one or three values; sample {number} has "
                f"{len(rows[-1])} numbers."
            )
    if not rows:
        raise ArrayFileError(f"{path}: no samples.")
    return np.asarray(rows)


def _is_numbers(line: str) -> bool:
    try:
        [float(cell) for cell in line.split(",")]
    except ValueError:
        return False
    return True
