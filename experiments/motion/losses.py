"""What is minimised (Siarohin et al., NeurIPS 2019, section 3.4 and supplement).

One loss serves all networks: what the generator may not learn from, and what the discriminator may
not, is held constant, so that one gradient is both players' and the published code's two updates
from the same weights are one.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import ml_collections
from flax import nnx
from jax import lax, numpy as jnp

from aa_jax.models import vgg19
from aa_jax.models.motion import KeypointDetector, Keypoints, equivariance_losses
from aa_jax.ops.pyramid import image_pyramid, laplacian_pyramid
from aa_jax.ops.thin_plate import random_transform
from aa_jax.training import least_squares_gan
from aa_jax.training.feature_distance import feature_matching_loss, perceptual_pyramid_loss
from aa_jax.training.state import collect_stats, merge
from aa_jax.training.steps import LossFunction
from aa_jax.weights import load_vgg19

# (weights, prediction pyramid, real pyramid) -> loss
Reconstruction = Callable[[Any, dict, dict], jax.Array]


def reconstruction_loss(config: ml_collections.ConfigDict) -> tuple[Reconstruction, Any]:
    """The function that compares frames, by VGG-19's features or a Laplacian pyramid.

    Returns:
        The function and the weights to give it, which are not trained and belong to no state.

    Raises:
        ValueError: there is no such loss, or the file of weights can't be read.
    """
    strengths = tuple(config.loss.reconstruction_weights)
    if config.loss.reconstruction == "laplacian":
        return functools.partial(_laplacian, strengths), ()
    if config.loss.reconstruction != "vgg19":
        raise ValueError(
            'loss.reconstruction must be "vgg19" or "laplacian", got '
            f"{config.loss.reconstruction!r}"
        )
    try:
        features, weights = vgg19.frozen(load_vgg19(config.loss.vgg19 or None))
    except FileNotFoundError as error:
        raise ValueError(f"loss.vgg19: {error}") from error

    def compare(weights, made, real):
        read = functools.partial(features, weights)
        return perceptual_pyramid_loss(read, made, real, weights=strengths)[0]

    return compare, weights


def _laplacian(strengths: tuple[float, ...], weights: Any, made: dict, real: dict) -> jax.Array:
    """Mean absolute differences of the bands of Laplacian pyramids, from fine to coarse."""
    del weights
    bands = {s: (laplacian_pyramid(x, len(strengths)) for x in (made[s], real[s])) for s in made}
    return sum(feature_matching_loss(*pair, weights=strengths) for pair in bands.values())


def motion_loss(
    graphdef: nnx.GraphDef,
    config: ml_collections.ConfigDict,
    compare: Callable[[dict, dict], jax.Array],
) -> LossFunction:
    """The loss over batches `{"image": (N, 2, H, W, 3)}`: source and driving frame, in [0, 1].

    Args:
        graphdef: structure of the networks.
        config: of the run.
        compare: prediction pyramid and real pyramid -> loss.
    """
    settings = config.loss

    def loss_function(params, stats, batch, key):
        model = merge(graphdef, params, stats)
        source, driving = batch["image"][:, 0], batch["image"][:, 1]
        transform = random_transform(
            key,
            len(driving),
            sigma_affine=settings.sigma_affine,
            sigma_tps=settings.sigma_tps,
            points=settings.points_tps,
        )
        moved = transform.frames(driving, corners=config.model.corners)
        kp_source, kp_driving, kp_moved = _detect(
            model.kp_detector, [source, driving, moved], settings.detector_statistics
        )

        made = model.generator(source, kp_source, kp_driving, train=True).prediction
        predicted = image_pyramid(made, settings.scales)
        real = image_pyramid(driving, settings.scales)
        terms = {"reconstruction": compare(predicted, real)}
        metrics = {"l1": jnp.mean(jnp.abs(made - driving))}

        value, jacobian = equivariance_losses(kp_driving, kp_moved, transform)
        terms["equivariance_value"] = settings.equivariance_value * value
        if jacobian is not None:
            terms["equivariance_jacobian"] = settings.equivariance_jacobian * jacobian
        if model.discriminator is not None:
            # Judged at the model's own scales, which the loss's may lack.
            scales = model.discriminator.scales
            pyramids = image_pyramid(made, scales), image_pyramid(driving, scales)
            terms |= _adversarial(model.discriminator, *pyramids, kp_driving.value, settings)
        loss = sum(terms.values())
        return loss, (collect_stats(model), {"loss": loss, **terms, **metrics})

    return loss_function


def _detect(
    detector: KeypointDetector, batches: list[jax.Array], statistics: str
) -> list[Keypoints]:
    """Keypoints of several batches, normalised by their own statistics or by those of them all.

    One call for all of them takes a third of the time to compile.
    """
    if statistics == "each":
        return [detector(frames, train=True) for frames in batches]
    if statistics != "together":
        raise ValueError(
            f'loss.detector_statistics must be "each" or "together", got {statistics!r}'
        )
    found = detector(jnp.concatenate(batches), train=True)
    parts = [jnp.split(leaf, len(batches)) for leaf in jax.tree.leaves(found)]
    structure = jax.tree.structure(found)
    return [jax.tree.unflatten(structure, leaves) for leaves in zip(*parts, strict=True)]


def _adversarial(critic, made: dict, real: dict, points, settings) -> dict[str, jax.Array]:
    """Losses of both players; see the head of this file for what is held constant."""
    points = lax.stop_gradient(points) if critic.keypoint_maps else None
    held = nnx.merge(*_held_constant(critic))
    judged_real = held(real, points)
    fooled = held(made, points)
    generator = sum(least_squares_gan.generator_loss(fooled[s].prediction) for s in made)
    matching = sum(
        feature_matching_loss(
            fooled[s].maps, judged_real[s].maps, weights=settings.feature_matching
        )
        for s in made
    )
    fixed = jax.tree.map(lax.stop_gradient, made)
    on_real, on_fake = critic(real, points, train=True), critic(fixed, points, train=True)
    discriminator = sum(
        least_squares_gan.discriminator_loss(on_fake[s].prediction, on_real[s].prediction)
        for s in made
    )
    return {
        "generator": settings.adversarial * generator,
        "feature_matching": matching,
        "discriminator": discriminator,
    }


def _held_constant(module: nnx.Module):
    graphdef, state = nnx.split(module)
    return graphdef, jax.tree.map(lax.stop_gradient, state)
