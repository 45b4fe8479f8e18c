"""Blur-pooling: a binomial low-pass filter, then subsampling (Zhang, ICML 2019, section 3.2)."""

import jax

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


def _pads(filter_size: int, pad_offset: int) -> tuple[int, int]:
    taps = len(binomial(filter_size))
    return (taps - 1) // 2 + pad_offset, taps // 2 + pad_offset
