"""What is measured of small images: how much of them is aliased, and how much can be restored."""

import functools

import jax
import numpy as np
from jax import numpy as jnp

# Pixels of the large image along its borders that don't count: they show the padding.
BORDER = 16


@functools.lru_cache(maxsize=8)
def lowpass_matrix(size: int, factor: int) -> np.ndarray:
    """The ideal low-pass filter of an axis: nothing from the new Nyquist frequency on.

    The axis is extended by reflection about its borders (half a pixel outside of the last centre),
    where nothing jumps, so that the frequencies are those of the cosine transform: the first
    size / factor of them are kept.

    Args:
      size: of the axis, in pixels.
      factor: of the reduction.

    Returns:
      float64 (size, size), a symmetric projection.
    """
    places, frequencies = np.arange(size) + 0.5, np.arange(size // factor)
    waves = np.cos(np.pi / size * frequencies[:, None] * places) * np.sqrt(2 / size)
    waves[0] /= np.sqrt(2)
    return waves.T @ waves


@functools.lru_cache(maxsize=8)
def upsampling_matrix(count: int, factor: int, offset: float) -> np.ndarray:
    """Lanczos interpolation that puts samples back where they were.

    Args:
      count: of the samples.
      factor: pixels per sample.
      offset: sample i is at pixel factor * i + offset.

    Returns:
      float64 (count * factor, count). Rows sum to one: at borders the kernel is cut off and the
      rest normalised again, as Pillow does.
    """
    pixels = np.arange(count * factor)
    distance = (pixels[:, None] - offset) / factor - np.arange(count)
    weights = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)
    return weights / weights.sum(axis=1, keepdims=True)


def low_passed(images: jax.Array, factor: int) -> jax.Array:
    """Images (N, size, size, C) without what is beyond the Nyquist frequency of the small ones."""
    return _both_axes(images, lowpass_matrix(images.shape[1], factor))


def aliased_share(small: jax.Array, small_of_low: jax.Array, factor: int) -> jax.Array:
    """Measures how much of the small images' energy comes from beyond their Nyquist frequency.

    What a method makes of an image, less what it makes of the same image without those frequencies,
    is due to them; that defines it for methods that aren't linear too. It counts whatever isn't
    constant, without borders. An ideal filter has 0; a method that passes half of the frequencies
    next to Nyquist has some even if no pattern is seen.

    Args:
      small: (N, size, size, C), a method's result.
      small_of_low: the same method's of `low_passed` images.
      factor: of the reduction.

    Returns:
      (N,), energy of the difference over that of the variation in `small`; 0 where nothing varies.
    """
    margin = BORDER // factor
    small, of_low = _inner(small, margin), _inner(small_of_low, margin)
    aliased = jnp.sum((small - of_low) ** 2, axis=(1, 2, 3))
    mean = jnp.mean(small, axis=(1, 2), keepdims=True)
    varying = jnp.sum((small - mean) ** 2, axis=(1, 2, 3))
    return jnp.where(varying > 0, aliased / jnp.where(varying > 0, varying, 1), 0)


def restored(small: jax.Array, factor: int, offset: float) -> jax.Array:
    """Enlarges small images (N, size, size, C) by Lanczos, every sample at its own place."""
    matrix = upsampling_matrix(small.shape[1], factor, offset)
    return jnp.clip(_both_axes(small, matrix), 0, 1)


def without_border(images: jax.Array) -> jax.Array:
    """The part of large images that is measured."""
    return _inner(images, BORDER)


def _both_axes(images, matrix: np.ndarray):
    matrix = matrix.astype(images.dtype)
    rows = jnp.einsum("nhwc,Hh->nHwc", images, matrix, precision=jax.lax.Precision.HIGHEST)
    return jnp.einsum("nhwc,Ww->nhWc", rows, matrix, precision=jax.lax.Precision.HIGHEST)


def _inner(images, margin: int):
    return images[:, margin:-margin, margin:-margin]
