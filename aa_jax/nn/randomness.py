"""Optional random keys, as layers that draw only in training need them."""

import jax
from jax import Array, numpy as jnp


def split_key(key: Array | None, count: int) -> list[Array | None]:
    """`count` independent keys, or as many `None` where there is no key."""
    return [None] * count if key is None else list(jax.random.split(key, count))


def require_key(key: Array | None, purpose: str) -> Array:
    """The key itself.

    Raises:
      ValueError: there is none.
    """
    if key is None:
        raise ValueError(f"key must be a random key for {purpose} in training, got None; pass key=")
    return key


def dropout(x: Array, rate: float, *, key: Array | None) -> Array:
    """Zeroes each entry with probability `rate` and scales the rest by 1 / (1 - rate).

    Raises:
      ValueError: there is no key.
    """
    keep = jax.random.bernoulli(require_key(key, "dropout"), 1 - rate, x.shape)
    return jnp.where(keep, x / (1 - rate), 0).astype(x.dtype)
