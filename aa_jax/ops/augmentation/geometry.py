"""Random flips, translations, rotations and scalings, accumulated as one affine map per sample."""

import jax
from jax import numpy as jnp

from aa_jax.ops.augmentation.draws import Draws
from aa_jax.ops.augmentation.options import Augmentation


def inverse_map(
    draws: Draws, augmentation: Augmentation, height: int, width: int
) -> tuple[jax.Array, jax.Array]:
    """Draws geometric augmentations and returns where each output position comes from.

    Positions are (x, y) in samples from the middle of the image, x right, y down. The inverses are
    multiplied from the right in the order in which the augmentations are applied.

    Args:
      draws: source of parameters.
      augmentation: what to apply.
      height: of the image in samples.
      width: of the image in samples.

    Returns:
      Linear part (batch, 2, 2) and offset (batch, 2), float32: position p of the result shows what
      is at linear @ p + offset in the image.
    """
    size = jnp.asarray([width, height], jnp.float32)
    to = _Inverse(draws.batch)
    if augmentation.xflip:
        flipped = draws.gated("xflip", augmentation.xflip, draws.choice("xflip", 2), 0)
        to.scale(jnp.concatenate([1 - 2 * flipped, jnp.ones_like(flipped)], 1))
    if augmentation.rotate90:
        turns = draws.gated("rotate90", augmentation.rotate90, draws.choice("rotate90", 4), 0)
        # Read from a table: cosines of quarter turns are zero only up to rounding.
        to.rotate(jnp.asarray([1, 0, -1, 0])[turns], jnp.asarray([0, 1, 0, -1])[turns])
    if augmentation.xint:
        shift = draws.symmetric("xint", augmentation.xint_limit, 2) * size
        to.translate(draws.gated("xint", augmentation.xint, jnp.round(shift), 0.0))
    if augmentation.scale:
        scale = jnp.exp2(draws.normal("scale", augmentation.scale_deviation))
        scale = draws.gated("scale", augmentation.scale, scale, 1.0)
        to.scale(jnp.concatenate([scale, scale], 1))
    # Either of two rotations is skipped with the square root of the probability to skip, so that
    # both are with the probability itself.
    skipped = 1 - draws.probability(augmentation.rotate)
    turning = 1 - jnp.sqrt(jnp.clip(skipped, 0, 1))
    limit = augmentation.rotate_limit * jnp.pi
    if augmentation.rotate:
        angle = draws.symmetric("rotate before", limit)
        angle = jnp.where(draws.applied("rotate before", turning), angle, 0.0)
        to.rotate(jnp.cos(angle), jnp.sin(angle))
    if augmentation.aniso:
        scale = jnp.exp2(draws.normal("aniso", augmentation.aniso_deviation))
        scale = draws.gated("aniso", augmentation.aniso, scale, 1.0)
        to.scale(jnp.concatenate([scale, 1 / scale], 1))
    if augmentation.rotate and draws.percentile is None:  # a quantile turns once, not twice
        angle = draws.symmetric("rotate after", limit)
        angle = jnp.where(draws.applied("rotate after", turning), angle, 0.0)
        to.rotate(jnp.cos(angle), jnp.sin(angle))
    if augmentation.xfrac:
        shift = draws.normal("xfrac", augmentation.xfrac_deviation, 2) * size
        to.translate(draws.gated("xfrac", augmentation.xfrac, shift, 0.0))
    return to.linear, to.offset


class _Inverse:
    """An affine map, multiplied from the right by the inverses of what is applied to the image."""

    def __init__(self, batch: int):
        self.linear = jnp.broadcast_to(jnp.eye(2, dtype=jnp.float32), (batch, 2, 2))
        self.offset = jnp.zeros((batch, 2), jnp.float32)

    def scale(self, factors):
        """Scales the image by factors (batch, 2) along x and y."""
        self.linear = self.linear / factors[:, None, :]

    def rotate(self, cos, sin):
        """Turns the image by minus the angle, given by its cosine and sine (batch, 1)."""
        # Columns are combined by hand: a matrix product would be rounded to 16 bits on a TPU.
        first, second = self.linear[:, :, 0], self.linear[:, :, 1]
        self.linear = jnp.stack([first * cos + second * sin, second * cos - first * sin], -1)

    def translate(self, shift):
        """Moves the image by (batch, 2) samples."""
        self.offset = self.offset - jnp.sum(self.linear * shift[:, None, :], -1)
