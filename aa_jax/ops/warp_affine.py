"""Affine warps of images: in pixels, as OpenCV has them, and in normalised coordinates."""

from typing import Literal

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.ops.grid_sample import (
    Corners,
    check_choice,
    check_images,
    identity_grid,
    mirrored,
    read_pixels,
)

WarpBorder = Literal["zero", "edge", "reflect101"]
Maps = Literal["source_to_destination", "destination_to_source"]


def warp_affine(
    images: jax.Array,
    matrix: jax.Array,
    size: tuple[int, int],
    *,
    border: WarpBorder = "zero",
    maps: Maps = "source_to_destination",
) -> jax.Array:
    """Moves images by affine maps of pixel coordinates, reading them bilinearly.

    The middles of pixels are at integers, x before y. The same as `cv2.warpAffine` of OpenCV 5;
    OpenCV 4 rounds positions to 1/32 pixel, which makes errors of up to 0.015 of the full range.

    Args:
      images: (N, H, W, C), floating.
      matrix: (2, 3), or (N, 2, 3) for one an image.
      size: (height, width) of the result.
      border: what lies outside of the image: "zero", "edge", or "reflect101", a mirror that does
        not repeat the outermost pixels.
      maps: whether the matrix takes places in `images` to places in the result, as OpenCV has it
        by default, or the other way round (`cv2.WARP_INVERSE_MAP`).

    Returns:
      (N, height, width, C), dtype of `images`; differentiable to any order with respect to images
      and matrix. A singular matrix gives NaN where it is traced.

    Raises:
      ValueError: for arrays of other shapes, unknown options, or a matrix to be inverted that has
        no inverse.
    """
    check_choice("border", border, WarpBorder)
    check_choice("maps", maps, Maps)
    images = jnp.asarray(images)
    check_images(images)
    size = _checked_size(size)
    matrix = _checked_matrix("matrix", matrix)
    batch = len(images)
    if matrix.ndim == 3 and len(matrix) != batch:
        raise ValueError(
            f"matrix must have shape (2, 3) or ({batch}, 2, 3), one an image, got {matrix.shape}."
        )
    matrix = jnp.broadcast_to(matrix, (batch, 2, 3))
    if maps == "source_to_destination":
        matrix = _inverse(matrix)
    y, x = (jnp.arange(count, dtype=matrix.dtype) for count in size)
    pixels = jnp.stack(jnp.broadcast_arrays(x, y[:, None]), -1).reshape(1, -1, 2)
    places = map_points(matrix, pixels).reshape(batch, *size, 2)
    columns, rows = places[..., 0], places[..., 1]
    if border == "reflect101":
        columns = mirrored(columns, 0, images.shape[2] - 1)
        rows = mirrored(rows, 0, images.shape[1] - 1)
    return read_pixels(images, columns, rows, border="zero" if border == "zero" else "edge")


def affine_grid(
    theta: jax.Array, size: tuple[int, int], *, corners: Corners = "aligned"
) -> jax.Array:
    """Maps the pixels of an image affinely, in normalised coordinates, for `grid_sample`.

    Args:
      theta: (2, 3) or (N, 2, 3), from places in the result to places in the image.
      size: (height, width) of the result.
      corners: see `aa_jax.ops.grid_sample`; the one to read with.

    Returns:
      (height, width, 2) or (N, height, width, 2).

    Raises:
      ValueError: for other shapes or unknown `corners`.
    """
    size = _checked_size(size)
    theta = _checked_matrix("theta", theta)
    grid = identity_grid(*size, corners=corners, dtype=theta.dtype)
    moved = map_points(theta, grid.reshape(-1, 2))
    return moved.reshape(*theta.shape[:-2], *size, 2)


def map_points(matrix: jax.Array, points: jax.Array) -> jax.Array:
    """Maps points (..., M, 2) by affine maps (..., 2, 3)."""
    # Not a matrix product, which accelerators round to fewer digits.
    matrix = matrix[..., None, :, :]
    return matrix[..., 0] * points[..., :1] + matrix[..., 1] * points[..., 1:] + matrix[..., 2]


def _inverse(matrix):
    """Inverts affine maps (..., 2, 3)."""
    (a, b, x), (c, d, y) = ([matrix[..., i, j] for j in range(3)] for i in range(2))
    determinant = a * d - b * c
    if not isinstance(determinant, jax.core.Tracer) and not np.all(
        np.isfinite(determinant) & (np.asarray(determinant) != 0)
    ):
        raise ValueError(
            "matrix must have an inverse, or maps='destination_to_source' be meant; got "
            f"determinants {np.asarray(determinant)}."
        )
    inverse = [[d, -b, b * y - d * x], [-c, a, c * x - a * y]]
    return jnp.stack([jnp.stack(row, -1) for row in inverse], -2) / determinant[..., None, None]


def _checked_size(size) -> tuple[int, int]:
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size must be (height, width), both at least 1, got {size}.")
    return tuple(int(count) for count in size)


def _checked_matrix(name: str, matrix) -> jax.Array:
    matrix = jnp.asarray(matrix)
    if matrix.ndim not in (2, 3) or matrix.shape[-2:] != (2, 3):
        raise ValueError(f"{name} must have shape (2, 3) or (N, 2, 3), got {matrix.shape}.")
    return matrix.astype(jnp.promote_types(matrix.dtype, jnp.float32))
