"""Weights that resize an axis, as Pillow has them: a kernel stretched over what it reduces."""

import functools
import math
from collections.abc import Callable

import numpy as np


def _box(x: np.ndarray) -> np.ndarray:
    # Half open, so that a sample between two boxes belongs to one of them.
    return np.where((x > -0.5) & (x <= 0.5), 1.0, 0.0)


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0.0)


def _hamming(x: np.ndarray) -> np.ndarray:
    # Pillow's two constants are rounded to float32.
    window = float(np.float32(0.54)) + float(np.float32(0.46)) * np.cos(np.pi * x)
    return np.where(np.abs(x) < 1, np.sinc(x) * window, 0.0)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' convolution kernel (1981) with a = -0.5."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = -0.5 * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.where((x >= -3) & (x < 3), np.sinc(x) * np.sinc(x / 3), 0.0)


# Kernel and half of its width, in samples of the coarser grid.
_KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "box": (_box, 0.5),
    "bilinear": (_triangle, 1.0),
    "hamming": (_hamming, 1.0),
    "bicubic": (_cubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}
RESIZE_METHODS = ("nearest", *_KERNELS)


@functools.lru_cache(maxsize=128)
def resize_weights(
    in_size: int,
    out_size: int,
    method: str = "bicubic",
    *,
    antialias: bool = True,
    box: tuple[float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Designs the weights with which one axis is resized; the same as Pillow's.

    Output sample j is `sum(taps[j, k] * x[starts[j] + k] for k)`. Its centre lies at
    `(j + 1/2) * in_size / out_size` (pixel centres are at halves). Where the axis shrinks, the
    kernel is stretched by the reduction, which makes it the low-pass filter that the new grid
    needs. At the borders the kernel is cut off, and its rest normalised again.

    Args:
      in_size: samples before.
      out_size: samples after.
      method: "nearest", "box", "bilinear", "hamming", "bicubic" (Keys, a = -0.5) or "lanczos"
        (three lobes).
      antialias: False never stretches the kernel, so that a smaller axis aliases.
      box: (begin, end) of what is resized, in input samples; None is the whole axis. Samples
        outside of it still count where the kernel reaches them.

    Returns:
      starts, int64 (out_size,), and taps, float64 (out_size, width), both read-only. Rows of taps
      sum to 1, and end in zeros where they are shorter than others; no tap that is not zero lies
      beyond the axis.

    Raises:
      ValueError: if a size is not positive, there is no such method, or the box is not in the axis.

    Example:
      >>> starts, taps = resize_weights(4, 2, "box")
      >>> starts.tolist(), taps[:, :2].tolist()
      ([0, 2], [[0.5, 0.5], [0.5, 0.5]])
    """
    _check(in_size, out_size, method, box)
    # Pillow holds boxes in float32.
    begin, end = np.float32((0, in_size) if box is None else box)
    begin, length = float(begin), float(end - begin)
    scale = length / out_size
    if method == "nearest":
        # Added up one by one, as Pillow does: rounding decides which of two equals is taken.
        places = np.add.accumulate(np.r_[begin + 0.5 * scale, np.full(out_size - 1, scale)])
        starts = np.clip(places.astype(np.int64), 0, in_size - 1)
        return _read_only(starts, np.ones((out_size, 1)))
    stretch = max(scale, 1.0) if antialias else 1.0
    return _weights_around(begin + (np.arange(out_size) + 0.5) * scale, in_size, method, stretch)


@functools.lru_cache(maxsize=128)
def centered_weights(
    in_size: int, out_size: int, method: str, *, first: float, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """`resize_weights` with the outputs at places of one's own.

    Args:
      in_size: samples before.
      out_size: samples after.
      method: see `resize_weights`; not "nearest".
      first: centre of output 0, in input samples; sample j itself lies at j (not at j + 1/2).
      step: distance of the outputs, in input samples; the kernel is stretched by it, if above 1.

    Returns:
      As `resize_weights`.

    Raises:
      ValueError: as `resize_weights`, or if an output lies beyond the samples.
    """
    _check(in_size, out_size, method, None)
    if method == "nearest":
        raise ValueError("method must have a kernel to centre, got 'nearest'.")
    centers = first + 0.5 + np.arange(out_size) * float(step)
    if not (step > 0 and 0 <= centers[0] and centers[-1] <= in_size):
        raise ValueError(
            f"first and step must place {out_size} outputs within an axis of {in_size} samples, "
            f"got first={first!r}, step={step!r}."
        )
    return _weights_around(centers, in_size, method, max(step, 1.0))


def _weights_around(centers: np.ndarray, in_size: int, method: str, stretch: float):
    kernel, half_width = _KERNELS[method]
    support = half_width * stretch
    starts = np.maximum((centers - support + 0.5).astype(np.int64), 0)
    stops = np.minimum((centers + support + 0.5).astype(np.int64), in_size)
    # A kernel may fall between two samples, if it is narrower than their distance.
    starts = np.minimum(starts, in_size - 1)
    places = starts[:, None] + np.arange(max(int((stops - starts).max()), 1))
    # Reciprocal and running sum as Pillow has them: the last bit may decide an 8-bit rounding.
    taps = kernel((places - centers[:, None] + 0.5) * (1 / stretch))
    taps = np.where(places < stops[:, None], taps, 0.0)
    sums = np.add.accumulate(taps, axis=1)[:, -1:]
    return _read_only(starts, taps / np.where(sums == 0, 1.0, sums))


def resize_matrix(
    in_size: int,
    out_size: int,
    method: str = "bicubic",
    *,
    antialias: bool = True,
    box: tuple[float, float] | None = None,
) -> np.ndarray:
    """`resize_weights` as a banded matrix.

    Args:
      in_size: samples before.
      out_size: samples after.
      method: see `resize_weights`.
      antialias: see `resize_weights`.
      box: see `resize_weights`.

    Returns:
      float64 (out_size, in_size); its product with an axis resizes it.

    Raises:
      ValueError: as `resize_weights`.
    """
    starts, taps = resize_weights(in_size, out_size, method, antialias=antialias, box=box)
    return weights_matrix(starts, taps, in_size)


def weights_matrix(starts: np.ndarray, taps: np.ndarray, in_size: int) -> np.ndarray:
    """Spells weights out as a matrix.

    Args:
      starts: (out_size,), the first sample of each row.
      taps: (out_size, width); what lies beyond the axis must be zero.
      in_size: samples of the axis.

    Returns:
      float64 (out_size, in_size).
    """
    out_size, width = taps.shape
    matrix = np.zeros((out_size, in_size + width))  # shorter rows have zeros beyond the axis
    matrix[np.arange(out_size)[:, None], starts[:, None] + np.arange(width)] = taps
    return matrix[:, :in_size]


def _read_only(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    for array in arrays:
        array.setflags(write=False)
    return arrays


def _check(in_size: int, out_size: int, method: str, box) -> None:
    for name, size in (("in_size", in_size), ("out_size", out_size)):
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"{name} must be a positive integer, got {size!r}.")
    if method not in RESIZE_METHODS:
        raise ValueError(f"method must be one of {', '.join(RESIZE_METHODS)}, got {method!r}.")
    if box is not None:
        begin, end = box
        if not (math.isfinite(begin) and math.isfinite(end) and 0 <= begin < end <= in_size):
            raise ValueError(
                f"box must be (begin, end) with 0 <= begin < end <= {in_size} along an axis, got "
                f"{box!r}."
            )
