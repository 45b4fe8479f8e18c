"""A generator without aliasing: sums of sinusoids, evaluated wherever the transform says."""

import jax
import numpy as np
from jax import numpy as jnp


def draw_latents(key, count: int, *, waves: int = 6, highest: float = 6.0):
    """Frequencies (N, waves, 2) in cycles per picture, inside of a disc, and phases."""
    radius_key, angle_key, phase_key = jax.random.split(key, 3)
    radius = highest * jnp.sqrt(jax.random.uniform(radius_key, (count, waves)))
    angle = 2 * np.pi * jax.random.uniform(angle_key, (count, waves))
    frequencies = radius[..., None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)
    return frequencies, 2 * np.pi * jax.random.uniform(phase_key, (count, waves))


def waves_map(latents, transform, size: int, rate: float):
    """Maps (N, size, size, 2) in [-1, 1] with `rate` samples per picture, centred."""
    frequencies, phases = latents
    place = (jnp.arange(size) + 0.5 - size / 2) / rate
    x, y = jnp.meshgrid(place, place)
    points = jnp.stack([x, y, jnp.ones_like(x)], -1) @ jnp.asarray(transform).T
    turns = jnp.einsum("hwd,nkd->nhwk", points[..., :2], frequencies, precision="highest")
    values = jnp.sin(2 * np.pi * turns + phases[:, None, None])
    return jnp.stack([values.mean(-1), -values[..., :2].mean(-1)], -1)
