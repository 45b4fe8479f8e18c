"""Random gains for the octaves of spatial frequency."""

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.filters import octave_filter_bank
from aa_jax.ops.augmentation.draws import Draws
from aa_jax.ops.augmentation.options import Augmentation

BANK = octave_filter_bank(order=2, bands=4)
REACH = BANK.shape[1] // 2
# Expected power of natural images in each band, which falls as one over the frequency.
_POWER = np.array([10.0, 1.0, 1.0, 1.0]) / 13.0


def octave_gains(draws: Draws, augmentation: Augmentation) -> jax.Array:
    """Draws the gain of each octave, lowest first, so that images keep their expected power.

    The octaves are chosen independently; each choice renormalises all.

    Returns:
      Array of shape (batch, 4), float32.
    """
    gains = jnp.ones((draws.batch, 4), jnp.float32)
    for band, multiplier in enumerate(augmentation.imgfilter_bands):
        name = f"imgfilter {band}"
        gain = jnp.exp2(draws.normal(name, augmentation.imgfilter_deviation))
        gain = draws.gated(name, augmentation.imgfilter * multiplier, gain, 1.0)
        one = jnp.where(jnp.arange(4) == band, gain, 1.0)
        power = jnp.sum(jnp.asarray(_POWER, jnp.float32) * one**2, 1, keepdims=True)
        gains = gains * one / jnp.sqrt(power)
    return gains


def apply_gains(images: jax.Array, gains: jax.Array) -> jax.Array:
    """Filters each image along both axes by the weighted sum of the octaves' filters.

    Args:
      images: array of shape (batch, height, width, channels), at least 22 samples high and wide,
        beyond which it is mirrored.
      gains: (batch, 4).

    Returns:
      Array of the shape and dtype of `images`.
    """
    bank = jnp.asarray(BANK[:, REACH:], images.dtype)
    taps = jnp.matmul(gains.astype(images.dtype), bank, precision="highest")
    # As matrices: a filter for each sample would be a grouped convolution, which XLA is slow at,
    # and slower at its derivative. At 1024 px a matrix has 4 MB.
    rows, columns = (_mirrored(taps, size) for size in images.shape[1:3])
    images = jnp.einsum("nih,nhwc->niwc", rows, images, precision="highest")
    return jnp.einsum("njw,nhwc->nhjc", columns, images, precision="highest")


def _mirrored(taps, size: int):
    """Matrices (N, size, size) that filter mirrored signals by symmetric taps, from the middle."""
    taps = jnp.pad(taps, ((0, 0), (0, 1)))  # zero from here on
    source = jnp.arange(size, dtype=jnp.int32)
    to, last = source[:, None], size - 1
    matrix = 0
    # A sample is read where it is, and at its mirror images; one on the border is its own.
    for distance, seen in (
        (abs(to - source), True),
        (to + source, source > 0),
        (2 * last - to - source, source < last),
    ):
        reached = jnp.where(seen, jnp.minimum(distance, REACH + 1), REACH + 1)
        matrix += jnp.take(taps, reached, axis=1)
    return matrix
