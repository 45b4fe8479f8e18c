"""A low-pass filter that is wide only where there is something to remove."""

import jax
from jax import numpy as jnp

from aa_jax.ops.downsample.designs import Design
from aa_jax.ops.downsample.separable import reduce_axes

# Standard deviations in units of the factor. The first is that of the motion model for 1/4; it
# loses half the amplitude at the new Nyquist frequency. The others leave 0.73 and 0.29 there.
SPLIT, NARROW, WIDE = 0.375, 0.25, 0.5
# Energies below these (of images in [0, 1]: half a grey level of 8 bits) count as flat.
FLAT = (0.5 / 255) ** 2


def adaptive(images: jax.Array, factor: int, phase: str) -> jax.Array:
    """Blends a narrow and a wide Gaussian by how much would alias; centred on pixel i * factor.

    The rule is ours, without learnt parameters. A Gaussian that halves the new Nyquist frequency
    splits the image into what the new grid can hold and the rest, h. With means over the wide
    Gaussian, the share of the local energy that would alias is

        a = E[h^2] / (E[h^2] + E[(x - h - E[x - h])^2] + flat)

    with energies summed over the channels, which share `a` so that edges get no fringes. The result
    is (1 - a) narrow + a wide: textures finer than the new grid are removed thoroughly, and smooth
    shapes and single soft edges stay sharper than under a fixed filter. It equals
    `aa_jax.ops.adaptive_filter` with taps blended so at every pixel, as Zou et al. ("Delving Deeper
    into Anti-aliasing in ConvNets", BMVC 2020) have a network predict them.

    Args:
      images: (batch, height, width, channels), floating, in [0, 1] for the threshold of flatness.
      factor: whole.
      phase: makes no difference.

    Returns:
      (batch, ceil(height / factor), ceil(width / factor), channels).
    """
    del phase
    x = images.astype(jnp.promote_types(images.dtype, jnp.float32))

    def blur(signal, sigma: float, step: int):
        if factor == 1:
            return signal
        designs = [
            Design(size, "gaussian_of_width", step, options=(sigma * factor,))
            for size in signal.shape[1:3]
        ]
        return reduce_axes(signal, *designs)

    share = share_above(x, blur, factor)
    y = (1 - share) * blur(x, NARROW, factor) + share * blur(x, WIDE, factor)
    return y.astype(images.dtype)


def share_above(x, blur, factor: int):
    """The share `a` of `adaptive`, of shape (batch, height', width', 1)."""
    low = blur(x, SPLIT, 1)
    aliasing = jnp.sum((x - low) ** 2, -1, keepdims=True)
    held = jnp.sum(low**2, -1, keepdims=True)
    means = blur(jnp.concatenate([low, held, aliasing], -1), WIDE, factor)
    channels = x.shape[-1]
    mean, held, aliasing = means[..., :channels], means[..., channels], means[..., channels + 1]
    # Rounding may leave a variance below zero.
    variance = jnp.maximum(held - jnp.sum(mean**2, -1), 0)
    return (aliasing / (aliasing + variance + FLAT))[..., None]
