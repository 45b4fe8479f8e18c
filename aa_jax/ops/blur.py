"""Blur-pooling: a binomial low-pass filter, then subsampling (Zhang, ICML 2019, section 3.2).

And a Gaussian blur whose width may change while a program runs.
"""

import jax
from jax import lax, numpy as jnp

from aa_jax.filters import binomial
from aa_jax.ops.pad import Mode
from aa_jax.ops.pool import max_pool
from aa_jax.ops.resample import upfirdn1d, upfirdn2d


def blur_pool(
    x: jax.Array,
    *,
    filter_size: int = 4,
    stride: int = 2,
    mode: Mode = "reflect",
    pad_offset: int = 0,
) -> jax.Array:
    """Blurs with the outer product of a binomial row and keeps every `stride`-th sample.

    Even filters are centred half a sample to the right and bottom; that keeps the sampling grid
    of even-sized maps from drifting. Size 1 is plain subsampling.

    Args:
      x: array of shape (..., height, width, channels), floating.
      filter_size: taps of the binomial row, 1 to 7.
      stride: subsampling factor of both axes.
      mode: what lies outside of `x`: "reflect", "edge", "zero" or "circular".
      pad_offset: samples added to the padding on all four sides.

    Returns:
      Array of shape (..., ceil(height / stride), ceil(width / stride), channels) for
      `pad_offset=0`; each unit of it makes the blurred map two samples larger.

    Raises:
      ValueError: if an argument is out of range, or the map is too small for the filter.
    """
    before, after = _pads(filter_size, pad_offset)
    return upfirdn2d(
        x,
        binomial(filter_size),
        down=stride,
        padding=(before, after, before, after),
        mode=mode,
    )


def blur_pool_1d(
    x: jax.Array,
    *,
    filter_size: int = 3,
    stride: int = 2,
    mode: Mode = "reflect",
    pad_offset: int = 0,
) -> jax.Array:
    """`blur_pool` for signals of shape (..., width, channels)."""
    pads = _pads(filter_size, pad_offset)
    return upfirdn1d(x, binomial(filter_size), down=stride, padding=pads, mode=mode)


def max_blur_pool(
    x: jax.Array,
    *,
    window: int = 2,
    padding: int = 0,
    filter_size: int = 4,
    stride: int = 2,
    mode: Mode = "reflect",
) -> jax.Array:
    """Anti-aliased max-pooling: a dense maximum (stride 1), then `blur_pool`.

    Args:
      x: array of shape (..., height, width, channels), floating.
      window: side of the maximum's window.
      padding: samples of minus infinity added on all sides in front of the maximum.
      filter_size: see `blur_pool`.
      stride: see `blur_pool`.
      mode: see `blur_pool`; it concerns the blur only.

    Returns:
      Array of shape (..., out_height, out_width, channels) with
      `out = ceil((size + 2 * padding - window + 1) / stride)`.

    Raises:
      ValueError: as `blur_pool`.
    """
    dense = max_pool(x, window=window, stride=1, padding=padding)
    return blur_pool(dense, filter_size=filter_size, stride=stride, mode=mode)


def gaussian_blur(images: jax.Array, sigma: jax.Array | float) -> jax.Array:
    """Blurs with a separable Gaussian of traced width, zeros outside; for training schedules.

    The taps are `2 ** -(k / sigma) ** 2`, normalised, for |k| <= floor(3 sigma): sigma is where a
    tap falls to half, not a standard deviation (Karras et al., "Alias-Free Generative Adversarial
    Networks", NeurIPS 2021, appendix E, in the published form).

    Args:
      images: (N, H, W, C), floating.
      sigma: () width in pixels; below 1/3 nothing is done.

    Returns:
      The same shape and dtype.
    """
    radius = jnp.floor(3 * jnp.asarray(sigma, jnp.float32))

    def blur(images):
        for axis in (1, 2):
            matrix = _gaussian_matrix(images.shape[axis], sigma, radius).astype(images.dtype)
            images = jnp.tensordot(matrix, images, (1, axis), precision="highest")
            images = jnp.moveaxis(images, 0, axis)
        return images

    return lax.cond(radius > 0, blur, lambda images: images, images)


def _gaussian_matrix(size: int, sigma, radius) -> jax.Array:
    """(size, size): row i holds the taps around sample i, those outside cut off."""

    def tap(k):
        return jnp.where(jnp.abs(k) <= radius, 2.0 ** -((k / jnp.maximum(sigma, 1e-6)) ** 2), 0)

    index = jnp.arange(size, dtype=jnp.float32)
    # Taps beyond the image count in the sum: borders darken, as with zeros outside. They fall to
    # 2 ** -9 at the radius, so that a sum over three images' widths holds all that matter.
    reach = jnp.arange(-3 * size, 3 * size + 1, dtype=jnp.float32)
    return tap(index[:, None] - index[None, :]) / jnp.sum(tap(reach))


def _pads(filter_size: int, pad_offset: int) -> tuple[int, int]:
    taps = len(binomial(filter_size))
    return (taps - 1) // 2 + pad_offset, taps // 2 + pad_offset
