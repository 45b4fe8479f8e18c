"""From widths as people state them to the numbers that the sums take."""

from typing import NamedTuple

import jax
from jax import lax, numpy as jnp

from aa_jax.ops.splat.window import Window

_LEAST_WIDTH = 1e-4  # pixels: below it a Gaussian is a nearest-point indicator in any precision
_FARTHEST = 1e8  # pixels: squares of greater distances leave float32


class Gaussians(NamedTuple):
    """Points with their covariances.

    Attributes:
      geometry: (6, points), rows as named in `terms`; log weights are zero.
      log_density: (points,), logarithm of the normalised density's value at the point.
      centres: (2, points), what a square window is centred on.
      boxes: (4, points), least and greatest x, least and greatest y of what a point reaches.
      valid: (points,), False for points that can't be used: they weigh nothing.
      change: (points,), log of the factor that keeps a Gaussian's mass through its footprint.
    """

    geometry: jax.Array
    log_density: jax.Array
    centres: jax.Array
    boxes: jax.Array
    valid: jax.Array
    change: jax.Array


def covariances(width, points: int, dtype) -> jax.Array:
    """Widths -> (3, points), the covariances' xx, xy and yy in square pixels.

    Args:
      width: scalar, (points,), (points or 1, 2) or (points or 1, 2, 2), as of `interpolate`.
      points: how many there are.
      dtype: of the result.
    """
    width = jnp.asarray(width, dtype)
    if width.ndim < 3:
        sigma = width[..., None] if width.ndim < 2 else width
        sigma = jnp.broadcast_to(sigma, (points, 2)).T
        usable = (sigma > 0) & (sigma < _FARTHEST)
        square = jnp.maximum(jnp.where(usable, sigma, 1), _LEAST_WIDTH) ** 2
        xx, yy = jnp.where(usable, square, jnp.nan)
        return jnp.stack([xx, jnp.zeros(points, dtype), yy])
    covariance = jnp.broadcast_to(width, (points, 2, 2))
    symmetric = (covariance[:, 0, 1] + covariance[:, 1, 0]) / 2
    return jnp.stack([covariance[:, 0, 0], symmetric, covariance[:, 1, 1]])


def gaussians(
    points, values, width, *, scale: float, footprint: float, window: Window, size
) -> Gaussians:
    """Points and widths -> what the sums take, in units of output pixels.

    Args:
      points: (points, 2), x and y.
      values: (points, channels); points with a value that isn't finite are not valid.
      width: as of `interpolate`.
      scale: output pixels per unit of the points' coordinates, half-pixel centres aligned.
      footprint: standard deviation in output pixels of what every Gaussian is convolved with.
      window: how far points reach.
      size: (height, width) of the output, or None for arbitrary queries.
    """
    dtype = points.dtype
    covariance = covariances(width, len(points), dtype)
    valid = lax.stop_gradient(
        (jnp.abs(points) < _FARTHEST).all(1)
        & jnp.isfinite(values).all(1)
        & (covariance[0] * covariance[2] > covariance[1] ** 2)
        & (covariance[0] > 0)
        & (covariance < _FARTHEST**2).all(0)
    )
    # Before anything is computed, so that derivatives of what isn't used stay finite too.
    round_ = jnp.array([1, 0, 1], dtype)[:, None]
    covariance = jnp.where(valid, covariance, round_) * scale**2
    x, y = jnp.where(valid, points.T, 0)
    if scale != 1:
        x, y = (x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5
    xx, xy, yy = covariance + footprint**2 * round_
    determinant = xx * yy - xy**2
    narrow = covariance[0] * covariance[2] - covariance[1] ** 2
    geometry = jnp.stack([x, y, yy / determinant, -xy / determinant, xx / determinant, 0 * x])
    boxes, centres = lax.stop_gradient(_reach(x, y, xx, yy, window, size))
    return Gaussians(
        geometry=geometry,
        log_density=-0.5 * jnp.log(determinant),
        centres=centres,
        boxes=boxes,
        valid=valid,
        change=0.5 * (jnp.log(narrow) - jnp.log(determinant)),
    )


def _reach(x, y, xx, yy, window: Window, size):
    """Boxes around what points reach, and the centres of square windows."""
    centres = jnp.stack([x, y])
    if window.kind == "square":
        # The nearest pixel, halves away from zero, as published; on the canvas or one beyond it.
        centres = jnp.sign(centres) * jnp.floor(jnp.abs(centres) + 0.5)
        if size is not None:
            most = jnp.array([size[1], size[0]], x.dtype)[:, None]
            centres = jnp.clip(centres, 0, most)
        reach = jnp.full_like(centres, window.radius)
    else:
        # A little more than the ellipse's box, for rounding.
        reach = window.radius * jnp.sqrt(jnp.stack([xx, yy])) * (1 + 1e-5) + 1e-5
    low, high = centres - reach, centres + reach
    return jnp.stack([low[0], high[0], low[1], high[1]]), centres
