"""Rotating images well enough to measure with: band-limited, with a mask of what is valid.

A rotated image lacks the frequencies that the turned grid cannot hold. `rotate` removes them from
an image and turns it; `pseudo_rotate` removes the same from an image that is already turned (by a
network, say), so that the two can be compared.

The filters depend on the angle and are designed on the host. Under `jit`, pass them with the angle
as arguments: one compilation then serves all angles.
"""

import jax
import numpy as np
from jax import lax, numpy as jnp

from aa_jax.filters.rotation import REACH, rotation_filter

UP = 4  # samples of the fine grid per sample, between which `rotate` interpolates linearly
_EXTRA_BLOCKS = 2 * REACH + 1  # blocks of UP * UP fine samples beyond one for every sample


def rotate(x: jax.Array, angle, *, taps=None, center=(0.0, 0.0)) -> tuple[jax.Array, jax.Array]:
    """Turns images about their centre: upsampled by 4 and band-limited, then bilinear.

    The resampler of Karras et al. (NeurIPS 2021, appendix E.3) for equivariance to rotation.

    Args:
      x: float32 array of shape (..., height, width, channels).
      angle: in radians, counter-clockwise as seen on a screen; may be traced if `taps` is given.
      taps: (47, 47), `rotation_filter(angle, up=4)`; None designs it here.
      center: (rows, columns) of the fixed point, in samples from the middle of the map; may be
        traced.

    Returns:
      The turned images, of the shape of `x`, where the outside of `x` counts as zero; and a mask
      (height, width), False where the filter reads from outside of `x`.

    Raises:
      ValueError: if the rank is below 3, `x` is not floating, `taps` has another shape, or `angle`
        is traced without `taps`.
    """
    _check(x)
    taps = _taps(angle, taps, up=UP)
    height, width = x.shape[-3:-1]
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    rows, columns = _sources(jnp.asarray(angle, dtype), height, width, center)
    # One channel after the other: a dense convolution from one channel to the 16 phases.
    maps = jnp.moveaxis(x, -1, -3).reshape(-1, height, width, 1)
    fine = _upsample(maps, taps)
    turned = _bilinear(fine, rows, columns)
    turned = turned.reshape(*x.shape[:-3], x.shape[-1], height, width)
    border = _extra(UP) * 2 + 1
    mask = True
    for source, size in ((rows, height), (columns, width)):
        # As the published mask: ones inside of a border of the fine grid, read at the nearest.
        nearest = jnp.round(source)
        mask &= (nearest >= border) & (nearest < UP * size + 2 * _extra(UP) - border)
    return jnp.moveaxis(turned, -3, -1), mask


def pseudo_rotate(x: jax.Array, angle, *, taps=None) -> tuple[jax.Array, jax.Array]:
    """Band-limits images that were turned by other means as `rotate` would have.

    Args:
      x: float32 array of shape (..., height, width, channels), already turned by `angle`.
      angle: in radians, counter-clockwise as seen on a screen; may be traced if `taps` is given.
      taps: (11, 11), `rotation_filter(-angle)`; None designs it here.

    Returns:
      The filtered images, of the shape of `x`; and a mask (height, width), False in the border of
      five samples where the filter reads from outside.

    Raises:
      ValueError: as `rotate`.
    """
    _check(x)
    taps = _taps(None if angle is None else -angle, taps, up=1)
    height, width = x.shape[-3:-1]
    maps = jnp.moveaxis(x, -1, -3).reshape(-1, height, width, 1)
    border = _extra(1)
    # The filter is the same after half a turn, so correlation and convolution agree.
    kernel = taps.astype(x.dtype)[:, :, None, None]
    y = _convolve(maps, kernel, border).reshape(*x.shape[:-3], x.shape[-1], height, width)
    rows, columns = (
        (jnp.arange(size) >= border) & (jnp.arange(size) < size - border)
        for size in (height, width)
    )
    return jnp.moveaxis(y, -3, -1), rows[:, None] & columns


def _check(x) -> None:
    if x.ndim < 3 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(
            f"x must be a floating array (..., height, width, channels), got {x.dtype} of shape "
            f"{x.shape}."
        )


def _taps(angle, taps, *, up: int):
    if taps is None:
        if isinstance(angle, jax.core.Tracer):
            raise ValueError(
                "taps must be given where angle is traced: compute rotation_filter outside of jit "
                "and pass it in."
            )
        taps = rotation_filter(float(angle), up=up)
    side = 2 * REACH * up - 1
    if np.shape(taps) != (side, side):
        raise ValueError(f"taps must have shape ({side}, {side}), got {np.shape(taps)}.")
    return jnp.asarray(taps)


def _extra(up: int) -> int:
    """Half the side of a filter: samples by which the upsampled image is extended all around."""
    return (2 * REACH * up - 1) // 2


def _sources(angle, height: int, width: int, center):
    """Where each sample of the result is read in the fine grid: rows and columns (H, W)."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    y = (jnp.arange(height) - (height - 1) / 2 - center[0])[:, None]
    x = jnp.arange(width) - (width - 1) / 2 - center[1]
    rows, columns = sin * x + cos * y + center[0], cos * x - sin * y + center[1]
    # Sample j lies at 4 j + 2 of the fine grid, without the extension.
    middle = [UP * size / 2 + _extra(UP) for size in (height, width)]
    return UP * rows + middle[0], UP * columns + middle[1]


def _upsample(maps, taps):
    """Band-limited upsampling of (B, H, W, 1) to blocks (B, H + 13, W + 13, 16) of a fine grid.

    The fine grid extends 23 samples beyond the image. Its sample u lies in block (u + 3) // 4 at
    phase (u + 3) % 4, along either axis.
    """
    # Tap 4 m + 3 - e of the filter meets image sample q + m - 12 in block q at phase e: all phases
    # read the same twelve samples.
    kernel = jnp.pad(taps, (0, 1)).reshape(2 * REACH, UP, 2 * REACH, UP)[:, ::-1, :, ::-1]
    kernel = kernel.transpose(0, 2, 1, 3).reshape(2 * REACH, 2 * REACH, 1, UP**2)
    return _convolve(maps, (kernel * UP**2).astype(maps.dtype), 2 * REACH)


def _convolve(maps, kernel, border: int):
    return lax.conv_general_dilated(
        maps,
        kernel,
        window_strides=(1, 1),
        padding=[(border, border)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision="highest",
    )


def _bilinear(fine, rows, columns):
    """Reads the fine grid (B, Q, R, 16) at positions (H, W): (B, H, W), zero outside."""
    batch, *blocks, _ = fine.shape
    fine = fine.reshape(batch, -1)
    sizes = [UP * (count - _EXTRA_BLOCKS) + 2 * _extra(UP) for count in blocks]
    top, left = jnp.floor(rows), jnp.floor(columns)
    total = 0
    for down in (0, 1):
        for right in (0, 1):
            row, column = top + down, left + right
            weight = (1 - jnp.abs(rows - row)) * (1 - jnp.abs(columns - column))
            inside = (row >= 0) & (row < sizes[0]) & (column >= 0) & (column < sizes[1])
            row, column = (
                jnp.clip(value, 0, size - 1).astype(jnp.int32) + UP - 1
                for value, size in ((row, sizes[0]), (column, sizes[1]))
            )
            index = (row // UP * blocks[1] + column // UP) * UP**2 + row % UP * UP + column % UP
            value = jnp.take(fine, index.reshape(-1), axis=1).reshape(batch, *index.shape)
            total += jnp.where(inside, weight, 0).astype(fine.dtype) * value
    return total
