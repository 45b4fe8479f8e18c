"""From sums over points to a value: a mean, or the centre of a fitted plane."""

import jax
from jax import numpy as jnp

from aa_jax.ops.splat.terms import Term

LEAST_MASS = 1e-18
"""Sums of weights below this say nothing: their squares leave float32."""


def terms(order: int, channels: int) -> tuple[Term, ...]:
    """What a regression needs summed.

    Args:
      order: 0 for a weighted mean, 1 for a plane.
      channels: of the values.
    """
    powers = [(a, b) for a, b in _POWERS if a + b <= 2 * order]
    masses = [(0, a, b, i) for i, (a, b) in enumerate(powers)]
    powers = [(a, b) for a, b in _POWERS if a + b <= order]
    sums = [
        (0, a, b, len(masses) + i * channels + c)
        for i, (a, b) in enumerate(powers)
        for c in range(channels)
    ]
    return (*masses, *sums)


_POWERS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))


def coefficients(order: int, values: jax.Array) -> jax.Array:
    """Coefficients of `terms` for values (points, channels)."""
    masses = jnp.ones((6 if order else 1, len(values)), values.dtype)
    return jnp.concatenate([masses] + [values.T] * (3 if order else 1))


def fit(order: int, sums: jax.Array, channels: int, ridge: float) -> jax.Array:
    """Value of the regression at every position.

    Args:
      order: as of `terms`.
      sums: (sums, ...) of `terms`; where the first is below LEAST_MASS the result is meaningless.
      channels: of the values.
      ridge: of a plane's slope, relative to the mean squared distance of the points; it makes the
        slope of too few points zero.

    Returns:
      (channels, ...).
    """
    masses = 6 if order else 1
    mass = jnp.where(sums[0] > LEAST_MASS, sums[0], 1)
    mean = sums[masses : masses + channels] / mass
    if not order:
        return mean
    x, y, xx, xy, yy = sums[1:6] / mass
    along_x = sums[masses + channels : masses + 2 * channels] / mass - x * mean
    along_y = sums[masses + 2 * channels :] / mass - y * mean
    # Floored where a lone point lies on the position: there the slope doesn't matter.
    least = ridge * (xx + yy) + 1e-12
    xx, xy, yy = xx - x * x + least, xy - x * y, yy - y * y + least
    # Relative to the spread: powers of the determinant, in derivatives, would leave float32.
    spread = xx + yy
    xx, xy, yy = xx / spread, xy / spread, yy / spread
    determinant = (xx * yy - xy * xy) * spread
    slope_x = (yy * along_x - xy * along_y) / determinant
    slope_y = (xx * along_y - xy * along_x) / determinant
    # The offsets point from the points to the position, so the plane is read at offset zero.
    return mean - slope_x * x - slope_y * y
