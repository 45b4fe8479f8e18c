"""Losses of adversarial training, of functions and logits: no network is known by name.

The non-saturating logistic loss of Goodfellow et al. (NeurIPS 2014), the R1 penalty of Mescheder
et al., "Which Training Methods for GANs do actually Converge?" (ICML 2018), and the path length
regularisation of Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR
2020). All are means over the batch, in float32 or better.
"""

import math
from collections.abc import Callable

import jax
from jax import numpy as jnp

# images (N, H, W, C) -> logits (N, 1)
Discriminate = Callable[[jax.Array], jax.Array]


def generator_loss(fake_logits: jax.Array) -> jax.Array:
    """How much the discriminator disbelieves generated images: mean softplus(-logit)."""
    return jnp.mean(jax.nn.softplus(-_wide(fake_logits)))


def discriminator_loss(fake_logits: jax.Array, real_logits: jax.Array) -> jax.Array:
    """How wrong it is about both: mean softplus(fake) plus mean softplus(-real)."""
    fake, real = jax.nn.softplus(_wide(fake_logits)), jax.nn.softplus(-_wide(real_logits))
    return jnp.mean(fake) + jnp.mean(real)


def r1_penalty(discriminate: Discriminate, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Squared length of the logit's gradient with respect to each real image.

    The loss is `gamma / 2` times the mean of this. `images` are what the gradient is taken of:
    whatever `discriminate` does to them first, such as augmentation, is differentiated through.

    Args:
        discriminate: images -> logits (N, 1).
        images: (N, H, W, C).

    Returns:
        (N,) penalties, and the logits, which come along for free.
    """

    def total(images):
        logits = discriminate(images)
        return jnp.sum(_wide(logits)), logits

    gradient, logits = jax.grad(total, has_aux=True)(images)
    return jnp.sum(jnp.square(_wide(gradient)), axis=(1, 2, 3)), logits


def path_lengths(
    synthesize: Callable[[jax.Array], jax.Array], latents: jax.Array, key: jax.Array
) -> jax.Array:
    """How far images move when their latents do, in a random direction of image space.

    The regulariser is the squared distance of these lengths from their running mean.

    Args:
        synthesize: latents -> images (N, H, W, C).
        latents: (N, num_ws, w_dim).
        key: draws the directions.

    Returns:
        (N,) lengths: the root of the mean over `num_ws` of the squared gradient's sum.
    """
    images, transpose = jax.vjp(synthesize, latents)
    direction = jax.random.normal(key, images.shape, images.dtype)
    (gradient,) = transpose(direction / math.sqrt(images.shape[1] * images.shape[2]))
    return jnp.sqrt(jnp.mean(jnp.sum(jnp.square(_wide(gradient)), axis=2), axis=1))


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
