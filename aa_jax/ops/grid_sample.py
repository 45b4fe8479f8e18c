"""Reading images bilinearly at given coordinates, differentiable in both.

Normalised coordinates are (x, y), x to the right and y down, and span [-1, 1] over the image. What
that means is a convention, `corners`: "aligned" puts -1 and 1 at the middles of the outermost
pixels, "half_pixel" at their outer edges. The same numbers under the other convention give another
picture: up to half a pixel away, at the border.
"""

from typing import Literal, get_args

import jax
from jax import lax, numpy as jnp

from aa_jax.ops.four_taps import read_taps

Corners = Literal["aligned", "half_pixel"]
Border = Literal["zero", "edge", "reflect"]


def identity_grid(
    height: int, width: int, *, corners: Corners = "aligned", dtype=jnp.float32
) -> jax.Array:
    """Returns where the pixels of an image lie.

    Args:
      height: rows, at least 1.
      width: columns, at least 1.
      corners: "aligned", x_j = 2 j / (width - 1) - 1, or "half_pixel", x_j = (2 j + 1) / width - 1;
        see the module. The only pixel of an axis of one lies at 0.
      dtype: of the result.

    Returns:
      (height, width, 2), x and y.

    Raises:
      ValueError: for sizes below 1 or unknown `corners`.
    """
    check_choice("corners", corners, Corners)
    for name, size in (("height", height), ("width", width)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}.")
    y, x = (_pixel_centres(size, corners, dtype) for size in (height, width))
    return jnp.stack(jnp.broadcast_arrays(x, y[:, None]), -1)


def _pixel_centres(size: int, corners: str, dtype) -> jax.Array:
    # Twice the distance from the middle, an exact integer: the axis comes out symmetric.
    twice = 2 * jnp.arange(size) - (size - 1)
    return twice.astype(dtype) / (max(size - 1, 1) if corners == "aligned" else size)


def grid_sample(
    images: jax.Array, grid: jax.Array, *, corners: Corners = "aligned", border: Border = "zero"
) -> jax.Array:
    """Reads images bilinearly at normalised coordinates.

    Args:
      images: (N, H, W, C), floating.
      grid: (N, ..., 2), x and y, floating; see the module.
      corners: the convention of `grid`.
      border: what lies outside: "zero", with which the outermost pixels blend over one pixel's
        width; "edge", the nearest pixel; or "reflect", the image mirrored, about the middles of the
        outermost pixels when aligned and about their outer edges when not.

    Returns:
      (N, ..., C), dtype of `images`. Differentiable to any order with respect to both. On a pixel
      the derivative is that to the right or below, and on the outermost ones zero where the border
      is "edge" or "reflect". Coordinates may be arbitrarily large; a NaN gives NaN, and so does
      infinity where the border reflects.

    Raises:
      ValueError: for arrays of other shapes or dtypes, or unknown options.
    """
    check_choice("corners", corners, Corners)
    check_choice("border", border, Border)
    images, grid = jnp.asarray(images), jnp.asarray(grid)
    check_images(images)
    if grid.ndim < 2 or grid.shape[-1] != 2 or grid.shape[0] != images.shape[0]:
        raise ValueError(
            f"grid must have shape (N, ..., 2) with N = {images.shape[0]} as in images, got "
            f"{grid.shape}."
        )
    if not jnp.issubdtype(grid.dtype, jnp.floating):
        raise ValueError(f"grid must be floating, got {grid.dtype}.")
    grid = grid.astype(jnp.promote_types(grid.dtype, jnp.float32))
    positions = []
    for coordinate, size in zip((grid[..., 0], grid[..., 1]), images.shape[2:0:-1], strict=True):
        if corners == "aligned":
            position = (coordinate + 1) * ((size - 1) / 2)
        else:
            position = ((coordinate + 1) * size - 1) / 2
        if border == "reflect":
            margin = 0.0 if corners == "aligned" else 0.5
            position = mirrored(position, -margin, size - 1 + margin)
        positions.append(position)
    return read_pixels(images, *positions, border="zero" if border == "zero" else "edge")


def read_pixels(
    images: jax.Array, columns: jax.Array, rows: jax.Array, *, border: Literal["zero", "edge"]
) -> jax.Array:
    """Reads images bilinearly at positions in pixels, the middles of pixels at integers.

    Args:
      images: (N, H, W, C), floating.
      columns: (N, ...), float32 or float64.
      rows: like `columns`.
      border: what lies outside, "zero" or "edge".

    Returns:
      (N, ..., C), dtype of `images`; differentiable as `grid_sample`.
    """
    batch, height, width, channels = images.shape
    exact = jnp.promote_types(images.dtype, columns.dtype)
    # Each axis needs two neighbours: beside the only one goes another that is outside as well.
    missing = [(0, 0), (0, int(height == 1)), (0, int(width == 1)), (0, 0)]
    frame = jnp.pad(images, missing).astype(exact)
    (column, across), (row, down) = (
        _taps(position.reshape(batch, -1).astype(exact), size, border)
        for position, size in ((columns, width), (rows, height))
    )
    # Written out, so that the derivative has no sums that XLA would fill by computing them anew.
    weights = jnp.stack([a * b for a in down for b in across], 1)
    wide = frame.shape[2]
    values = read_taps(frame.reshape(batch, -1, channels), weights, row * wide + column, width=wide)
    return values.reshape(*columns.shape, channels).astype(images.dtype)


def mirrored(position: jax.Array, first: float, last: float) -> jax.Array:
    """Folds positions into [first, last] as between two mirrors."""
    span = last - first
    if not span:
        return jnp.full_like(position, first)
    past = jnp.mod(position - first, 2 * span)
    return first + jnp.where(past <= span, past, 2 * span - past)


def check_choice(name: str, value, choices) -> None:
    """Raises ValueError unless `value` is among those of a `Literal`."""
    if value not in get_args(choices):
        raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, got {value!r}.")


def check_images(images: jax.Array) -> None:
    """Raises ValueError unless `images` is a floating batch with pixels."""
    if images.ndim != 4 or not all(images.shape[1:3]):
        raise ValueError(
            f"images must have shape (N, H, W, C), with H and W at least 1, got {images.shape}."
        )
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(f"images must be floating, got {images.dtype}.")


def _taps(position, size: int, border: str):
    """The two neighbours along an axis: the first's index, and both weights."""
    if border == "edge":
        # Not jnp.clip, which halves the derivative on the outermost pixels.
        first, last = (jnp.asarray(value, position.dtype) for value in (0, size - 1))
        position = lax.clamp(first, position, last)
    # Two that exist. Where a neighbour doesn't, those taken instead are too far to weigh anything.
    start = jnp.clip(jnp.floor(lax.stop_gradient(position)), 0, max(size - 2, 0))
    past = position - start
    weights = _hat(past), _hat(past - 1)
    # A NaN stays one in the weights. As an index it could be any number.
    return jnp.nan_to_num(start).astype(jnp.int32), weights


def _hat(distance):
    """1 at 0, falling to 0 at -1 and 1; where it bends, the derivative is that to the right."""
    inner = jnp.where(distance < 0, 1 + distance, 1 - distance)
    return jnp.where((distance < -1) | (distance >= 1), 0, inner)
