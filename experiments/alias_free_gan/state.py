"""Everything a run of the GAN carries from step to step, and needs to go on after a restart."""

from typing import NamedTuple

import flax
import jax
import optax
from jax import numpy as jnp

from aa_jax.training.schedules import AdaptiveProbability
from aa_jax.training.state import LossScale


class BadSteps(NamedTuple):
    """Counts, () int32, of both networks."""

    generator: jax.Array
    discriminator: jax.Array


@flax.struct.dataclass
class GanState:
    """The state of both networks and of all schedules.

    Attributes:
        step: () int32, iterations taken.
        images_seen: () int32, training images shown so far: the clock of all schedules.
        generator: nested dict of its trained arrays.
        generator_stats: its running magnitudes and mean latent, and its constants. The averaged
            generator has the same ones.
        generator_optimizer: optax state.
        discriminator: nested dict of its trained arrays.
        discriminator_optimizer: optax state.
        ema: moving average of `generator`.
        augmentation: how often images are augmented.
        path_length: () float32, running mean of path lengths.
        bad_steps: updates in a row whose gradient was not finite, of each network.
        key: typed PRNG key; it stays as it is, phases fold their number into it.
        generator_scale: loss scale of float16 training, or None.
        discriminator_scale: likewise.
    """

    step: jax.Array
    images_seen: jax.Array
    generator: dict
    generator_stats: dict
    generator_optimizer: optax.OptState
    discriminator: dict
    discriminator_optimizer: optax.OptState
    ema: dict
    augmentation: AdaptiveProbability
    path_length: jax.Array
    bad_steps: BadSteps
    key: jax.Array
    generator_scale: LossScale | None = None
    discriminator_scale: LossScale | None = None


def create_state(
    generator: dict,
    generator_stats: dict,
    discriminator: dict,
    *,
    generator_optimizer: optax.GradientTransformation,
    discriminator_optimizer: optax.GradientTransformation,
    key: jax.Array,
    ema: dict | None = None,
    augmentation_probability: float = 0.0,
    with_loss_scale: bool = False,
) -> GanState:
    """Makes the state before the first step.

    Args:
        generator: its parameters.
        generator_stats: its other variables.
        discriminator: its parameters.
        generator_optimizer: an optax transformation.
        discriminator_optimizer: likewise.
        key: typed PRNG key of all randomness inside the steps.
        ema: averaged parameters to start from; None: the parameters.
        augmentation_probability: at the start.
        with_loss_scale: keep dynamic loss scales, for float16.
    """
    # Every array is one of its own: a step donates them, and none can be donated twice.
    return GanState(
        step=jnp.zeros((), jnp.int32),
        images_seen=jnp.zeros((), jnp.int32),
        generator=generator,
        generator_stats=generator_stats,
        generator_optimizer=generator_optimizer.init(generator),
        discriminator=discriminator,
        discriminator_optimizer=discriminator_optimizer.init(discriminator),
        ema=jax.tree.map(jnp.copy, generator if ema is None else ema),
        augmentation=AdaptiveProbability.create(augmentation_probability),
        path_length=jnp.zeros((), jnp.float32),
        bad_steps=BadSteps(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)),
        key=key,
        generator_scale=LossScale.create() if with_loss_scale else None,
        discriminator_scale=LossScale.create() if with_loss_scale else None,
    )
