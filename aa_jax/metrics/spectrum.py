"""The average power spectrum of images: do generated ones have the detail of real ones?

Karras et al., "Alias-free generative adversarial networks" (NeurIPS 2021, appendix A).
"""

import dataclasses
import functools
from collections.abc import Iterable

import jax
import numpy as np
from jax import numpy as jnp

ANGLES = (0, 45)


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """Average power of images at every frequency.

    Attributes:
        power: float64 (interpolation * size, interpolation * size), the zero frequency in the
            middle (index side // 2). White noise of unit variance has 1 everywhere.
        size: side of the images in pixels.
        images: how many were averaged.
    """

    power: np.ndarray
    size: int
    images: int

    @property
    def frequencies(self) -> np.ndarray:
        """(side,), cycles per pixel along either axis, from -0.5."""
        return np.fft.fftshift(np.fft.fftfreq(len(self.power)))

    @property
    def decibels(self) -> np.ndarray:
        """10 log10(power), of the shape of `power`."""
        return 10 * np.log10(np.maximum(self.power, np.finfo(np.float64).tiny))

    def slice(self, degrees: int) -> tuple[np.ndarray, np.ndarray]:
        """A cut from the zero frequency outwards.

        Args:
            degrees: 0, along a horizontal frequency axis, or 45, along the diagonal.

        Returns:
            Radial frequencies in cycles per pixel, up to 0.5 or 0.707, and decibels.

        Raises:
            ValueError: another angle.
        """
        if degrees not in ANGLES:
            raise ValueError(f"degrees must be one of {ANGLES}, got {degrees!r}")
        side = len(self.power)
        # Of the Nyquist frequency there is only the negative, which is the same.
        outwards = np.arange(side // 2 + 1)
        column = (side // 2 + outwards) % side
        row = column if degrees else np.full_like(column, side // 2)
        stretch = np.sqrt(2) if degrees else 1.0
        return outwards / side * stretch, self.decibels[row, column]


def pixel_statistics(batches: Iterable[np.ndarray]) -> tuple[float, float]:
    """Mean and standard deviation over all pixels and channels, to whiten by.

    Args:
        batches: arrays (N, H, W, C), or one such array.

    Returns:
        Mean and (biased) standard deviation.

    Raises:
        ValueError: there are no pixels.
    """
    count, total, squares = 0, 0.0, 0.0
    for batch in _as_batches(batches):
        values = np.asarray(batch, np.float64)
        count, total = count + values.size, total + values.sum()
        squares += np.square(values).sum()
    if not count:
        raise ValueError("batches must hold at least one image, got none")
    mean = total / count
    return float(mean), float(np.sqrt(max(squares / count - mean**2, 0.0)))


def average_spectrum(
    batches: Iterable[np.ndarray],
    *,
    mean: float,
    std: float,
    beta: float = 8.0,
    interpolation: int = 4,
) -> Spectrum:
    """Averages the power spectra of images over images and channels.

    Images are whitened with one mean and deviation, multiplied by a Kaiser window of unit energy
    along each axis, so that the borders do not matter, and padded with zeros, which draws the
    spectrum on a finer grid. To compare generated with real images, whiten both with the mean and
    deviation of the real ones, in one range of values.

    Args:
        batches: arrays (N, size, size, C), or one such array. Batches of one length compile once.
        mean: of the pixels, `pixel_statistics`.
        std: their standard deviation.
        beta: of the window.
        interpolation: side of the padded image over that of the image.

    Returns:
        The average.

    Raises:
        ValueError: no images, not square or not all of one size; options out of range.

    Example:
        >>> noise = np.random.default_rng(0).standard_normal((64, 16, 16, 3))
        >>> spectrum = average_spectrum(noise, mean=0.0, std=1.0)
        >>> spectrum.power.shape, round(float(spectrum.power.mean()), 1)
        ((64, 64), 1.0)
    """
    if not std > 0 or not np.isfinite(mean):
        raise ValueError(f"std must be positive and mean finite, got {std!r} and {mean!r}")
    if not isinstance(interpolation, int | np.integer) or interpolation < 1:
        raise ValueError(f"interpolation must be a positive integer, got {interpolation!r}")
    if not beta >= 0:
        raise ValueError(f"beta must not be negative, got {beta!r}")
    total, images, maps, size = 0.0, 0, 0, None
    for batch in _as_batches(batches):
        shape = np.shape(batch)
        size = size or (shape[1] if len(shape) == 4 else None)
        if len(shape) != 4 or shape[1:3] != (size, size) or 0 in shape:
            raise ValueError(
                f"images must be square and of one size, (N, {size}, {size}, C), got {shape}"
            )
        window = np.kaiser(size, beta)
        window = (window / np.sqrt(np.sum(window**2))).astype(np.float32)
        whitened = (jnp.asarray(batch, jnp.float32) - mean) / std
        half = _summed_power(whitened, window, interpolation * size)
        total, images, maps = (
            total + np.asarray(half, np.float64),
            images + shape[0],
            maps + shape[0] * shape[3],
        )
    if not images:
        raise ValueError("batches must hold at least one image, got none")
    return Spectrum(np.fft.fftshift(_whole(total / maps)), int(size), images)


def _as_batches(batches) -> Iterable[np.ndarray]:
    """A single array is cut into batches, to bound the memory of padded spectra."""
    if not hasattr(batches, "shape"):
        return batches
    if len(batches.shape) != 4:
        raise ValueError(f"images must be (N, size, size, C), got shape {batches.shape}")
    return (batches[start : start + 64] for start in range(0, len(batches), 64))


@functools.partial(jax.jit, static_argnames="side")
def _summed_power(images, window, side: int):
    """Sum of |FFT|^2 over images and channels: the half (side, side // 2 + 1) of real signals."""
    maps = jnp.moveaxis(images, -1, 1).reshape(-1, *images.shape[1:3])
    windowed = maps * window[:, None] * window

    def add(total, picture):  # one after the other: padded spectra are large
        return total + jnp.abs(jnp.fft.rfft2(picture, s=(side, side))) ** 2, None

    return jax.lax.scan(add, jnp.zeros((side, side // 2 + 1)), windowed)[0]


def _whole(half: np.ndarray) -> np.ndarray:
    """Spectrum (side, side) of real signals from its half: power is the same at -f."""
    side = len(half)
    index = np.arange(side // 2 + 1, side)
    mirrored = half[(-np.arange(side)) % side][:, side - index]
    return np.concatenate([half, mirrored], axis=1)
