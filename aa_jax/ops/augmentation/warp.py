"""Resampling images through an affine map, upsampled by two against aliasing.

The image is mirrored beyond its borders, upsampled by two with a wavelet's low-pass filter, read
bilinearly where the map points, and downsampled by two with the same filter, mirrored (Karras et
al., NeurIPS 2020, appendix B.1).

The published margins depend on the maps drawn: as far as any sample of the batch reads. Shapes
under `jit` can't depend on numbers, so the frame has the largest margins, and what lies beyond the
batch's margins counts as zero, before upsampling and after.
"""

import jax
from jax import lax, numpy as jnp

from aa_jax.filters import symlet
from aa_jax.ops.pad import pad2d
from aa_jax.ops.resample import downsample2d, upsample2d

TAPS = symlet(6)
_PAST = len(TAPS) // 4  # samples that downsampling reads past the borders of the result


def warp(images: jax.Array, linear: jax.Array, offset: jax.Array) -> jax.Array:
    """Resamples each image through its affine map.

    Memory: the upsampled frame has 6 * height by 6 * width samples, 6140^2 a channel at 1024 px
    (151 MB in float32), and so has its gradient in the backward pass.

    Args:
      images: array of shape (batch, height, width, channels), float32 or float64.
      linear: (batch, 2, 2), see `aa_jax.ops.augmentation.geometry.inverse_map`.
      offset: (batch, 2).

    Returns:
      Array of the shape and dtype of `images`. Differentiable to any order with respect to
      `images`.
    """
    height, width = images.shape[1:3]
    margins = reach(linear, offset, height, width)
    fine = _fine_frame(images, margins)
    # The frame starts `last` samples before the image; the fine grid has two for each.
    last = jnp.asarray([height - 1, width - 1], jnp.int32)
    first = 2 * (last - margins[:, 0])
    end = 2 * (last + last + 1 + margins[:, 1])
    rows, columns = _positions(linear, offset, height, width, images.dtype)
    result = _bilinear(fine, rows, columns, first, end)
    return downsample2d(result, TAPS, padding=-2 * _PAST, flip_filter=True)


def reach(linear: jax.Array, offset: jax.Array, height: int, width: int) -> jax.Array:
    """Returns how far the batch reads past the borders, int32 ((top, bottom), (left, right))."""
    half = jnp.asarray([(width - 1) / 2, (height - 1) / 2], linear.dtype)
    corners = jnp.asarray([[1, 1], [1, -1], [-1, 1], [-1, -1]], linear.dtype) * half
    sources = jnp.sum(linear[:, None] * corners[:, None, :], -1) + offset[:, None]
    furthest = jnp.stack([-jnp.min(sources, (0, 1)), jnp.max(sources, (0, 1))], 1)
    # Once for the filter that downsamples, once for the one that upsamples.
    past = furthest + 2 * _PAST - half[:, None]
    return jnp.ceil(jnp.clip(past, 0, 2 * half[:, None])).astype(jnp.int32)[::-1]


def _fine_frame(images, margins):
    """Mirrors images (N, H, W, C) by all they hold, keeps the margins, and upsamples by two."""
    height, width = images.shape[1:3]
    frame = pad2d(images, (height - 1, width - 1), mode="reflect")
    kept = [
        (jnp.arange(3 * size - 2) >= size - 1 - before)
        & (jnp.arange(3 * size - 2) < 2 * size - 1 + after)
        for size, (before, after) in zip((height, width), margins, strict=True)
    ]
    kept = (kept[0][:, None] & kept[1])[..., None]
    return upsample2d(jnp.where(kept, frame, 0), TAPS)


def _positions(linear, offset, height: int, width: int, dtype):
    """Where the doubled result is read in the fine frame: rows and columns (N, H', W')."""
    linear, offset = linear.astype(dtype), offset.astype(dtype)
    # In samples of the image, from its middle. The fine grid has its samples 2 j at the image's
    # samples j, and 2 j + 1 halfway to the next.
    y, x = (
        (jnp.arange(2 * (size + 2 * _PAST)) + 1 - size - 2 * _PAST).astype(dtype) / 2
        for size in (height, width)
    )
    x, y = jnp.meshgrid(x, y)
    linear = linear[..., None, None]
    offset = offset[..., None, None]
    columns, rows = (linear[:, a, 0] * x + linear[:, a, 1] * y + offset[:, a] for a in range(2))
    # The middle of an image of `size` samples is (size - 1) / 2, that of the frame three times.
    return 2 * rows + 3 * (height - 1), 2 * columns + 3 * (width - 1)


def _bilinear(fine, rows, columns, first, end):
    """Reads (N, H, W, C) at rows and columns (N, ...); zero but from `first` to before `end`."""
    batch, *sizes, channels = fine.shape
    starts, weights = [], []
    for a, position in enumerate((rows, columns)):
        # Where the neighbours lie outside of the frame, those taken instead have weight zero.
        start = jnp.clip(jnp.floor(position), 0, sizes[a] - 2)
        pair = []
        for neighbour in (start, start + 1):
            weight = jnp.maximum(1 - jnp.abs(position - neighbour), 0)
            inside = (neighbour >= first[a]) & (neighbour < end[a])
            pair.append(jnp.where(inside, weight, 0).astype(fine.dtype)[..., None])
        starts.append(start.astype(jnp.int32))
        weights.append(pair)
    corner = starts[0] * sizes[1] + starts[1]
    fine = fine.reshape(batch, -1, channels)
    total = 0
    for down in range(2):
        for right in range(2):
            value = _take(fine, corner + down * sizes[1] + right)
            total += weights[0][down] * weights[1][right] * value
    return total


def _take(values, index):
    """Reads (N, samples, C) at indices (N, ...), all of them valid: (N, ..., C)."""
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(index.ndim,),
        collapsed_slice_dims=(1,),
        start_index_map=(1,),
        # Named as a batch, the axis may be sharded over devices.
        operand_batching_dims=(0,),
        start_indices_batching_dims=(0,),
    )
    slices = (1, 1, values.shape[-1])
    return lax.gather(values, index[..., None], numbers, slices, mode="promise_in_bounds")
