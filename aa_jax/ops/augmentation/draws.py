"""The random parameters of augmentations: one of each for every sample."""

import zlib

import jax
from jax import numpy as jnp
from jax.scipy.special import erfinv


class Draws:
    """Draws parameters for a batch, each augmentation from a stream of its own.

    Switching one augmentation on or off so leaves the numbers of the others as they are.
    Parameters are float32 whatever the images are, so that they don't depend on their dtype.

    Attributes:
      batch: number of samples.
      percentile: None, or the quantile that replaces every draw, with all augmentations applied.
    """

    def __init__(self, key: jax.Array, batch: int, probability, percentile=None):
        self._key = key
        self._probability = jnp.asarray(probability, jnp.float32)
        self.batch = batch
        self.percentile = None if percentile is None else jnp.asarray(percentile, jnp.float32)

    def stream(self, name: str) -> jax.Array:
        """Returns the key of one parameter."""
        return jax.random.fold_in(self._key, zlib.crc32(name.encode()))

    def uniform(self, name: str, size: int = 1) -> jax.Array:
        """Draws from U(0, 1), shape (batch, size)."""
        if self.percentile is not None:
            return jnp.broadcast_to(self.percentile, (self.batch, size))
        return jax.random.uniform(self.stream(name), (self.batch, size), jnp.float32)

    def symmetric(self, name: str, limit: float, size: int = 1) -> jax.Array:
        """Draws from U(-limit, limit), shape (batch, size)."""
        return (2 * self.uniform(name, size) - 1) * limit

    def choice(self, name: str, count: int) -> jax.Array:
        """Draws an integer from 0 to count - 1, shape (batch, 1)."""
        # A uniform draw lies below 1, but its product with `count` may round up to it.
        chosen = jnp.floor(self.uniform(name) * count).astype(jnp.int32)
        return jnp.minimum(chosen, count - 1)

    def normal(self, name: str, deviation: float, size: int = 1) -> jax.Array:
        """Draws from N(0, deviation^2), shape (batch, size)."""
        if self.percentile is not None:
            # As published, without the factor sqrt(2) of the true quantile.
            value = erfinv(2 * self.percentile - 1) * deviation
            return jnp.broadcast_to(value, (self.batch, size))
        return jax.random.normal(self.stream(name), (self.batch, size), jnp.float32) * deviation

    def half_normal(self, name: str, deviation: float) -> jax.Array:
        """Draws the magnitude of N(0, deviation^2), shape (batch, 1)."""
        if self.percentile is not None:
            return jnp.broadcast_to(erfinv(self.percentile) * deviation, (self.batch, 1))
        return jnp.abs(self.normal(name, deviation))

    def probability(self, multiplier: float) -> jax.Array:
        """Returns the probability of an augmentation, a scalar; it may exceed 1."""
        return self._probability * multiplier

    def applied(self, name: str, probability) -> jax.Array:
        """Draws which samples an augmentation is applied to: bool, shape (batch, 1)."""
        if self.percentile is not None:
            return jnp.ones((self.batch, 1), bool)
        chance = jax.random.uniform(self.stream(f"{name}?"), (self.batch, 1), jnp.float32)
        return chance < probability

    def gated(self, name: str, multiplier: float, value, neutral) -> jax.Array:
        """Returns `value` for the samples that the augmentation is applied to, `neutral` else."""
        return jnp.where(self.applied(name, self.probability(multiplier)), value, neutral)
