"""Moving pictures: crops at whole and fractional positions, circular and sub-pixel shifts.

Host-side NumPy on NHWC arrays. A shift (rows, columns) moves the content down and right; a crop
position (row, column) is where its upper left corner lies, so a larger position moves the content
up and left.
"""

import math

import numpy as np
import scipy.fft

BOUNDARIES = ("mirror", "circular")


def check_images(images: np.ndarray, *, name: str = "images") -> np.ndarray:
    """Returns `images` as an array, or raises ValueError unless it is a non-empty NHWC batch."""
    images = np.asarray(images)
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            f"{name} must be a non-empty batch (N, height, width, channels), got shape "
            f"{images.shape}"
        )
    return images


def check_pair(name: str, pair: tuple[float, float]) -> tuple[float, float]:
    """Returns two finite numbers as a tuple, or raises ValueError."""
    values = np.asarray(pair, np.float64)
    if values.shape != (2,) or not np.isfinite(values).all():
        raise ValueError(f"{name} must be two finite numbers (row, column), got {pair!r}")
    return float(values[0]), float(values[1])


def circular_shift(images: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """Rolls images by whole pixels; what leaves on one side enters on the other.

    Args:
        images: (N, H, W, C).
        shift: integers (rows, columns), down and right.

    Returns:
        Array of the same shape and dtype.

    Raises:
        ValueError: the shift is not two integers, or `images` is not a batch.
    """
    rows, columns = check_pair("shift", shift)
    if rows != math.floor(rows) or columns != math.floor(columns):
        raise ValueError(
            f"shift must be whole pixels (rows, columns), got {shift!r}; fractional_shift takes "
            "fractions"
        )
    return np.roll(check_images(images), (int(rows), int(columns)), axis=(1, 2))


def fractional_shift(
    images: np.ndarray, shift: tuple[float, float], *, boundary: str = "mirror"
) -> np.ndarray:
    """Shifts images by any amount with ideal (trigonometric) interpolation.

    Every frequency keeps its magnitude and has its phase turned by 2 pi k shift / L: the samples
    of the continuous band-limited image through these pixels, moved. An even period's Nyquist
    frequency has no phase; it is multiplied by cos(pi shift), which keeps the result real.
    Results may leave the input's range a little (the continuous image does); they are not clipped.

    Args:
        images: (N, H, W, C), any real dtype.
        shift: (rows, columns) in pixels, down and right.
        boundary: "circular" treats the image as one period, as in AFC (Michaeli et al., CVPR
            2023): exact for periodic images, but a photograph's opposite sides do not match and
            ring. "mirror" makes the image one half of a period whose other half is its
            reflection (DCT interpolation): continuous at the border, so ringing dies off fast.

    Returns:
        float32 array (float64 for float64 images) of the same shape.

    Raises:
        ValueError: unknown boundary, a shift that is not two finite numbers, or not a batch.

    Example:
        >>> row = np.cos(2 * np.pi * np.arange(8) / 8).reshape(1, 1, 8, 1)
        >>> moved = fractional_shift(row, (0, 0.5), boundary="circular")
        >>> np.allclose(moved[0, 0, :, 0], np.cos(2 * np.pi * (np.arange(8) - 0.5) / 8))
        True
    """
    images = check_images(images)
    if boundary not in BOUNDARIES:
        raise ValueError(f"boundary must be one of {', '.join(BOUNDARIES)}, got {boundary!r}")
    if images.dtype != np.float64:
        images = images.astype(np.float32)
    for axis, amount in zip((1, 2), check_pair("shift", shift), strict=True):
        if amount:
            images = _shift_axis(images, amount, axis, boundary)
    return images


def _shift_axis(images: np.ndarray, amount: float, axis: int, boundary: str) -> np.ndarray:
    """Turns the phases along one axis."""
    size = images.shape[axis]
    if boundary == "mirror":
        images = np.concatenate([images, np.flip(images, axis)], axis)
    period = images.shape[axis]
    bins = np.arange(period // 2 + 1)
    phase = np.exp(-2j * np.pi * bins * amount / period)
    if period % 2 == 0:
        phase[-1] = math.cos(math.pi * amount)
    spectrum = scipy.fft.rfft(images, axis=axis)
    phase = phase.astype(spectrum.dtype).reshape([-1 if a == axis else 1 for a in range(4)])
    moved = scipy.fft.irfft(spectrum * phase, n=period, axis=axis)
    return np.take(moved, np.arange(size), axis=axis)


def crop(
    images: np.ndarray, position: tuple[float, float], size: int, *, boundary: str = "mirror"
) -> np.ndarray:
    """Cuts a square out of each image, at a whole or a fractional position.

    A fractional position first moves the whole image by the fraction (`fractional_shift`) and
    then cuts at the whole pixel, so that the border's interpolation error stays outside wherever
    there is a margin. A whole position returns the pixels themselves.

    Args:
        images: (N, H, W, C).
        position: (row, column) of the upper left corner, between 0 and H - size (W - size).
        size: side of the square in pixels.
        boundary: see `fractional_shift`; used for fractional positions only.

    Returns:
        (N, size, size, C).

    Raises:
        ValueError: the square does not fit.
    """
    images = check_images(images)
    row, column = check_pair("position", position)
    height, width = images.shape[1:3]
    if size < 1 or not (0 <= row <= height - size and 0 <= column <= width - size):
        raise ValueError(
            f"a crop of {size} pixels at position {position!r} does not lie inside images of "
            f"{height} by {width} pixels; take smaller crops or offsets, or images with a wider "
            "margin"
        )
    top, left = math.floor(row), math.floor(column)
    if (row, column) != (top, left):
        images = fractional_shift(images, (top - row, left - column), boundary=boundary)
    return images[:, top : top + size, left : left + size]


def center_crop(images: np.ndarray, size: int) -> np.ndarray:
    """Cuts the central square of `size` pixels; an odd margin's extra pixel is right and below."""
    images = check_images(images)
    height, width = images.shape[1:3]
    return crop(images, ((height - size) // 2, (width - size) // 2), size)


def shift_grid(size: int, *, start: int = 0, step: int = 1) -> np.ndarray:
    """All (row, column) pairs of a square grid: start, start + step, ... (`size` per axis).

    Returns:
        int64 (size * size, 2) in raster order.

    Raises:
        ValueError: `size` or `step` is below 1.
    """
    if size < 1 or step < 1:
        raise ValueError(f"size and step must be at least 1, got {size!r} and {step!r}")
    line = start + step * np.arange(size)
    return np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
