"""The random parameters of augmentations: one of each for every sample."""

import dataclasses

import jax
from jax import numpy as jnp
from jax.scipy.special import erfinv

# A row of the drawn numbers for each; new names go to the end, or all draws would change.
STREAMS = (
    "xflip",
    "rotate90",
    "xint",
    "scale",
    "rotate before",
    "aniso",
    "rotate after",
    "xfrac",
    "brightness",
    "contrast",
    "lumaflip",
    "hue",
    "saturation",
    "imgfilter 0",
    "imgfilter 1",
    "imgfilter 2",
    "imgfilter 3",
    "noise",
    "cutout",
)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Draws:
    """Parameters drawn for a batch, for each augmentation from numbers of its own.

    Switching one augmentation on or off so leaves the numbers of the others as they are.
    Parameters are float32 whatever the images are, so that they don't depend on their dtype.
    Made by `draw`.

    Attributes:
      uniforms: (streams, batch, 3) from U(0, 1), float32; the last of three says whether the
        augmentation is applied.
      normals: (streams, batch, 2) from N(0, 1), float32.
      field_key: for noise.
      base: the probability that multipliers are relative to, scalar.
      percentile: None, or the quantile that replaces every draw, with all augmentations applied.
    """

    uniforms: jax.Array
    normals: jax.Array
    field_key: jax.Array
    base: jax.Array
    percentile: jax.Array | None = None

    @property
    def batch(self) -> int:
        """Number of samples."""
        return self.uniforms.shape[1]

    def uniform(self, name: str, size: int = 1) -> jax.Array:
        """Draws from U(0, 1), shape (batch, size); size is 1 or 2."""
        if self.percentile is not None:
            return jnp.broadcast_to(self.percentile, (self.batch, size))
        return self.uniforms[STREAMS.index(name), :, :size]

    def symmetric(self, name: str, limit: float, size: int = 1) -> jax.Array:
        """Draws from U(-limit, limit), shape (batch, size); size is 1 or 2."""
        return (2 * self.uniform(name, size) - 1) * limit

    def choice(self, name: str, count: int) -> jax.Array:
        """Draws an integer from 0 to count - 1, shape (batch, 1)."""
        # A uniform draw lies below 1, but its product with `count` may round up to it.
        chosen = jnp.floor(self.uniform(name) * count).astype(jnp.int32)
        return jnp.minimum(chosen, count - 1)

    def normal(self, name: str, deviation: float, size: int = 1) -> jax.Array:
        """Draws from N(0, deviation^2), shape (batch, size); size is 1 or 2."""
        if self.percentile is not None:
            # As published, without the factor sqrt(2) of the true quantile.
            value = erfinv(2 * self.percentile - 1) * deviation
            return jnp.broadcast_to(value, (self.batch, size))
        return self.normals[STREAMS.index(name), :, :size] * deviation

    def half_normal(self, name: str, deviation: float) -> jax.Array:
        """Draws the magnitude of N(0, deviation^2), shape (batch, 1)."""
        if self.percentile is not None:
            return jnp.broadcast_to(erfinv(self.percentile) * deviation, (self.batch, 1))
        return jnp.abs(self.normal(name, deviation))

    def field(self, shape: tuple[int, ...]) -> jax.Array:
        """Draws white noise from N(0, 1), also where a percentile is given."""
        return jax.random.normal(self.field_key, shape, jnp.float32)

    def probability(self, multiplier: float) -> jax.Array:
        """Returns the probability of an augmentation, a scalar; it may exceed 1."""
        return self.base * multiplier

    def applied(self, name: str, probability) -> jax.Array:
        """Draws which samples an augmentation is applied to: bool, shape (batch, 1)."""
        if self.percentile is not None:
            return jnp.ones((self.batch, 1), bool)
        return self.uniforms[STREAMS.index(name), :, 2:] < probability

    def gated(self, name: str, multiplier: float, value, neutral) -> jax.Array:
        """Returns `value` for the samples that the augmentation is applied to, `neutral` else."""
        return jnp.where(self.applied(name, self.probability(multiplier)), value, neutral)


def draw(key: jax.Array, batch: int, probability, percentile=None) -> Draws:
    """Draws the parameters of all augmentations for `batch` samples; see `Draws`."""
    uniform, normal, field = jax.random.split(key, 3)
    streams = len(STREAMS)
    # All at once, and flat: compiling the generator for each, or for three axes, takes longer than
    # compiling all the rest.
    uniforms = jax.random.uniform(uniform, (streams * batch * 3,), jnp.float32)
    normals = jax.random.normal(normal, (streams * batch * 2,), jnp.float32)
    return Draws(
        uniforms=uniforms.reshape(streams, batch, 3),
        normals=normals.reshape(streams, batch, 2),
        field_key=field,
        base=jnp.asarray(probability, jnp.float32),
        percentile=None if percentile is None else jnp.asarray(percentile, jnp.float32),
    )
