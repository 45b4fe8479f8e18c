"""Random maps of colours, accumulated as one affine map per sample."""

import math

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.ops.augmentation.draws import Draws
from aa_jax.ops.augmentation.options import Augmentation

# The identity, the projection onto the grey axis, and the cross product with its unit vector.
# In float32: what a constant in float64 means would depend on jax_enable_x64.
_EYE = np.eye(3, dtype=np.float32)
_ONTO_GREY = np.full((3, 3), 1 / 3, np.float32)
_CROSS_GREY = (np.cross(np.ones(3), np.eye(3)).T / math.sqrt(3)).astype(np.float32)


def color_map(
    draws: Draws, augmentation: Augmentation, channels: int
) -> tuple[jax.Array, jax.Array]:
    """Draws colour augmentations and returns the map that they make together.

    Args:
      draws: source of parameters.
      augmentation: what to apply.
      channels: 3, or 1, which leaves `hue` and `saturation` out.

    Returns:
      Matrix (batch, 3, 3) and offset (batch, 3), float32: a colour c becomes matrix @ c + offset.
    """
    matrix = jnp.broadcast_to(_EYE, (draws.batch, 3, 3))
    offset = jnp.zeros((draws.batch, 3), jnp.float32)
    if augmentation.brightness:
        added = draws.normal("brightness", augmentation.brightness_deviation)
        offset = offset + draws.gated("brightness", augmentation.brightness, added, 0.0)
    if augmentation.contrast:
        factor = jnp.exp2(draws.normal("contrast", augmentation.contrast_deviation))
        factor = draws.gated("contrast", augmentation.contrast, factor, 1.0)
        matrix, offset = matrix * factor[..., None], offset * factor
    if augmentation.lumaflip:
        flipped = draws.gated("lumaflip", augmentation.lumaflip, draws.choice("lumaflip", 2), 0)
        mirror = _EYE - 2 * _ONTO_GREY * flipped[..., None]
        matrix, offset = _product(mirror, matrix), _product(mirror, offset)
    if augmentation.hue and channels == 3:
        angle = draws.symmetric("hue", augmentation.hue_limit * math.pi)
        angle = draws.gated("hue", augmentation.hue, angle, 0.0)[..., None]
        # Rodrigues' formula.
        across = _EYE - _ONTO_GREY
        turn = _ONTO_GREY + jnp.cos(angle) * across + jnp.sin(angle) * _CROSS_GREY
        matrix, offset = _product(turn, matrix), _product(turn, offset)
    if augmentation.saturation and channels == 3:
        factor = jnp.exp2(draws.normal("saturation", augmentation.saturation_deviation))
        factor = draws.gated("saturation", augmentation.saturation, factor, 1.0)
        stretch = _ONTO_GREY + (_EYE - _ONTO_GREY) * factor[..., None]
        matrix, offset = _product(stretch, matrix), _product(stretch, offset)
    return matrix, offset


def apply_color(images: jax.Array, matrix: jax.Array, offset: jax.Array) -> jax.Array:
    """Maps the colours of each image.

    Grey images are coloured, mapped, and averaged over their three channels again.

    Args:
      images: array of shape (batch, height, width, channels), channels 1 or 3.
      matrix: (batch, 3, 3).
      offset: (batch, 3).

    Returns:
      Array of the shape and dtype of `images`.
    """
    matrix, offset = matrix.astype(images.dtype), offset.astype(images.dtype)
    if images.shape[-1] == 1:
        matrix, offset = matrix.sum(2).mean(1)[:, None, None], offset.mean(1)[:, None]
    mapped = jnp.einsum("nhwj,nij->nhwi", images, matrix, precision="highest")
    return mapped + offset[:, None, None, :]


def _product(matrix, operand):
    """Product of matrices (batch, 3, 3) with matrices or vectors, not rounded on any platform."""
    axes = "nij,njk->nik" if operand.ndim == 3 else "nij,nj->ni"
    matrix = jnp.asarray(matrix, operand.dtype)
    return jnp.einsum(axes, matrix, operand, precision="highest")
