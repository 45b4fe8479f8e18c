"""Random noise, and boxes cut out."""

import jax
from jax import numpy as jnp

from aa_jax.ops.augmentation.draws import Draws
from aa_jax.ops.augmentation.options import Augmentation


def add_noise(images: jax.Array, draws: Draws, augmentation: Augmentation) -> jax.Array:
    """Adds white noise of a random standard deviation to each image (batch, H, W, C)."""
    deviation = draws.half_normal("noise", augmentation.noise_deviation)
    deviation = draws.gated("noise", augmentation.noise, deviation, 0.0)[..., None, None]
    return images + (draws.field(images.shape) * deviation).astype(images.dtype)


def cut_out(images: jax.Array, draws: Draws, augmentation: Augmentation) -> jax.Array:
    """Sets a box of each image (batch, H, W, C) to zero; it may reach past the borders."""
    centre = draws.uniform("cutout", 2)
    size = draws.gated("cutout", augmentation.cutout, augmentation.cutout_size, 0.0)
    height, width = images.shape[1:3]
    x, y = ((jnp.arange(count, dtype=jnp.float32) + 0.5) / count for count in (width, height))
    beside = jnp.abs(x - centre[:, :1]) >= size / 2
    above = jnp.abs(y - centre[:, 1:]) >= size / 2
    kept = above[:, :, None] | beside[:, None, :]
    return jnp.where(kept[..., None], images, 0)
