"""Losses that compare feature maps of generated and real images: no network is known by name.

Maps of a discriminator give feature matching (Wang et al., "High-Resolution Image Synthesis and
Semantic Manipulation with Conditional GANs", CVPR 2018), maps of a classifier on every scale of an
image pyramid the perceptual loss of Siarohin et al., "First Order Motion Model for Image
Animation" (NeurIPS 2019, section 3.4). Gradients go to the generated side only.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence

import jax
from jax import lax, numpy as jnp

# images (N, H, W, C) -> feature maps, each (N, H_i, W_i, C_i)
Features = Callable[[jax.Array], Sequence[jax.Array]]


def feature_distances(generated: Sequence[jax.Array], real: Sequence[jax.Array]) -> jax.Array:
    """Mean absolute differences of maps, in float32 or better.

    Args:
        generated: maps of generated images.
        real: maps of real images, of the same shapes; constants for the gradient.

    Returns:
        (maps,).

    Raises:
        ValueError: there are no maps, or numbers or shapes differ.
    """
    shapes = [[jnp.shape(x) for x in maps] for maps in (generated, real)]
    if not shapes[0] or shapes[0] != shapes[1]:
        raise ValueError(
            "generated and real must have maps of the same shapes, at least one, got "
            f"{shapes[0]} and {shapes[1]}"
        )
    pairs = zip(generated, real, strict=True)
    means = [jnp.mean(jnp.abs(_wide(a) - _wide(lax.stop_gradient(b)))) for a, b in pairs]
    return jnp.stack(means)


def feature_matching_loss(
    generated: Sequence[jax.Array], real: Sequence[jax.Array], *, weights: Sequence[float]
) -> jax.Array:
    """The weighted sum of `feature_distances`; the motion model weighs each of four maps with 10.

    Raises:
        ValueError: maps do not fit each other or the weights.
    """
    return _weighted(feature_distances(generated, real), weights)


def perceptual_pyramid_loss(
    features: Features,
    generated: Mapping[Hashable, jax.Array],
    real: Mapping[Hashable, jax.Array],
    *,
    weights: Sequence[float] = (10.0,) * 5,
) -> tuple[jax.Array, dict[Hashable, jax.Array]]:
    """The weighted sum of distances of all maps on all scales (a sum, not a mean, over scales).

    Args:
        features: images -> maps, differentiable.
        generated: scale -> generated images (N, H, W, C).
        real: scale -> real images of the same shapes; `features` of them are not differentiated.
        weights: one for each map.

    Returns:
        The loss, and scale -> the distances (maps,) without weights.

    Raises:
        ValueError: scales, maps or weights do not fit each other.
    """
    if not generated or set(generated) != set(real):
        raise ValueError(
            "generated and real must have the same scales, at least one, got "
            f"{list(generated)} and {list(real)}"
        )
    distances = {
        # Nothing of the real images' maps is kept for a backward pass.
        scale: feature_distances(features(images), features(lax.stop_gradient(real[scale])))
        for scale, images in generated.items()
    }
    return sum(_weighted(each, weights) for each in distances.values()), distances


def _weighted(distances: jax.Array, weights: Sequence[float]) -> jax.Array:
    if len(weights) != distances.shape[0]:
        raise ValueError(
            f"weights must be one number for each of {distances.shape[0]} maps, got {len(weights)}"
        )
    return sum(weight * distances[index] for index, weight in enumerate(weights))


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
