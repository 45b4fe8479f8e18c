"""The similarity that fits point pairs best (Umeyama, IEEE TPAMI 1991)."""

from typing import Literal

import jax
from jax import numpy as jnp

from aa_jax.ops.grid_sample import check_choice

Scale = Literal["estimate", "unit"]


def umeyama(source: jax.Array, target: jax.Array, *, scale: Scale = "estimate") -> jax.Array:
    """Finds rotation, scale and translation with the least sum of squared distances.

    The rotation is always proper: mirrored points get the best turn, not a flip. Use `jax.vmap` for
    batches. Points on a line determine it in two dimensions but not in more, where one of the best
    maps is returned.

    Args:
      source: (M, D), two points or more in two dimensions or more, floating.
      target: (M, D), where each should go.
      scale: "estimate", or "unit" for a rigid motion.

    Returns:
      (D + 1, D + 1), acting on columns (x, y, ..., 1); float32 or float64. All NaN where the source
      points are one point, to rounding. Differentiable where the singular values of the covariance
      differ.

    Raises:
      ValueError: for arrays of other shapes or dtypes, or unknown `scale`.
    """
    check_choice("scale", scale, Scale)
    source, target = jnp.asarray(source), jnp.asarray(target)
    for name, points in (("source", source), ("target", target)):
        if points.ndim != 2 or points.shape[0] < 2 or points.shape[1] < 2:
            raise ValueError(
                f"{name} must have shape (M, D), at least 2 points of 2 dimensions, got "
                f"{points.shape}."
            )
        if not jnp.issubdtype(points.dtype, jnp.floating):
            raise ValueError(f"{name} must be floating, got {points.dtype}.")
    if source.shape != target.shape:
        raise ValueError(f"target must have source's shape {source.shape}, got {target.shape}.")
    dtype = jnp.promote_types(jnp.promote_types(source.dtype, target.dtype), jnp.float32)
    source, target = source.astype(dtype), target.astype(dtype)
    count, dimensions = source.shape
    source_mean, target_mean = _mean(source), _mean(target)
    source, target = source - source_mean, target - target_mean
    variance = jnp.sum(source**2) / count
    covariance = jnp.matmul(target.T, source, precision="highest") / count
    left, strengths, right = jnp.linalg.svd(covariance)
    flip = jnp.sign(jnp.linalg.det(left) * jnp.linalg.det(right))
    signs = jnp.ones(dimensions, dtype).at[-1].set(flip)
    rotation = jnp.matmul(left * signs, right, precision="highest")
    # Compared with the rounding of the mean; relative to the spread it would tell nothing.
    rounding = (jnp.finfo(dtype).eps ** 2) * count * jnp.sum(source_mean**2)
    determined = variance > rounding
    size = jnp.sum(strengths * signs) / jnp.where(determined, variance, 1)
    linear = rotation if scale == "unit" else size * rotation
    offset = target_mean - jnp.sum(linear * source_mean, -1)
    matrix = jnp.eye(dimensions + 1, dtype=dtype)
    matrix = matrix.at[:-1, :-1].set(linear).at[:-1, -1].set(offset)
    return jnp.where(determined, matrix, jnp.nan)


def _mean(points):
    """The mean of the rows, corrected by that of what remains: rounds once for large offsets."""
    mean = jnp.mean(points, 0)
    return mean + jnp.mean(points - mean, 0)
