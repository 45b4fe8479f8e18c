"""Adversarial losses by least squares, of prediction maps: no network is known by name.

Mao et al., "Least Squares Generative Adversarial Networks" (ICCV 2017), with labels 1 for real and
0 for generated and without the factor of one half, as image translation and motion transfer use
it. All are means over images and patches, in float32 or better.
"""

import jax
from jax import numpy as jnp


def generator_loss(fake: jax.Array) -> jax.Array:
    """How far the discriminator is from taking generated images for real: mean (1 - D)^2.

    Args:
        fake: its predictions for generated images, of any shape.
    """
    return jnp.mean(jnp.square(1 - _wide(fake)))


def discriminator_loss(fake: jax.Array, real: jax.Array) -> jax.Array:
    """How wrong it is about both: mean D(fake)^2 plus mean (1 - D(real))^2.

    Args:
        fake: its predictions for generated images, of any shape. What made the images must have
            been behind a `stop_gradient`, or be no argument of the gradient.
        real: its predictions for real ones.
    """
    return jnp.mean(jnp.square(_wide(fake))) + jnp.mean(jnp.square(1 - _wide(real)))


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
