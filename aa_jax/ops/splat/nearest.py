"""The nearest point, for positions that no point reaches."""

import jax
from jax import lax, numpy as jnp

# Few positions are wanted as a rule; then wide blocks would be computed in vain.
_QUERIES_AT_ONCE = 128
_POINTS_AT_ONCE = 32


def nearest(positions, wanted, points, valid) -> jax.Array:
    """Index of the nearest valid point, found among all, where it is wanted.

    Args:
      positions: (2, positions).
      wanted: (positions,), bool; the time is proportional to how many are, times the points.
      points: (2, points).
      valid: (points,), bool.

    Returns:
      (positions,) int32; zero where none is wanted or none is valid.
    """
    number = positions.shape[1]
    at_once = min(_QUERIES_AT_ONCE, number)
    counted = jnp.cumsum(wanted, dtype=jnp.int32)
    far = jnp.where(valid, points, jnp.inf)
    rounds = -(-counted[-1] // at_once)

    def some(i, found):
        rank = i * at_once + jnp.arange(at_once, dtype=jnp.int32)
        mine = jnp.minimum(jnp.searchsorted(counted, rank + 1), number - 1)
        x, y = positions[:, mine]

        def step(j, best):
            distance, index = best
            for k in range(_POINTS_AT_ONCE):
                p = j * _POINTS_AT_ONCE + k
                q = far[:, jnp.minimum(p, far.shape[1] - 1)]
                other = (x - q[0]) ** 2 + (y - q[1]) ** 2
                nearer = other < distance
                distance = jnp.where(nearer, other, distance)
                index = jnp.where(nearer, p, index)
            return distance, index

        start = jnp.full(at_once, jnp.inf, x.dtype), jnp.zeros(at_once, jnp.int32)
        _, index = lax.fori_loop(0, -(-far.shape[1] // _POINTS_AT_ONCE), step, start)
        return found.at[mine].set(index)

    found = lax.fori_loop(0, rounds, some, jnp.zeros(number, jnp.int32))
    return jnp.where(wanted, found, 0)
