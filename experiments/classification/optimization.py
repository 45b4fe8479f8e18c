"""Optimiser and schedules of the published recipes."""

from collections.abc import Callable

import jax
import ml_collections
import optax
from jax import numpy as jnp

SCHEDULES = ("constant", "step", "cosine")


def learning_rate(
    config: ml_collections.ConfigDict, *, total_steps: int, steps_per_epoch: float
) -> optax.Schedule:
    """The learning rate by step.

    Args:
        config: `config.optimizer`. "step" multiplies by `step_factor` every `step_epochs`;
            "cosine" falls to 0 at the last step. With `warmup_epochs` the rate rises linearly
            over that many epochs, from its T-th part in the first of T steps, as in the
            published code of the adaptive layer.
        total_steps: length of the run.
        steps_per_epoch: passes over the training set are counted in.
    """
    if config.schedule not in SCHEDULES:
        raise ValueError(
            f"optimizer.schedule must be one of {', '.join(SCHEDULES)}, got {config.schedule!r}"
        )
    warmup_steps = round(config.warmup_epochs * steps_per_epoch)

    def schedule(step):
        rate = jnp.asarray(config.learning_rate, jnp.float32)
        if config.schedule == "step":
            epoch = jnp.floor(step / steps_per_epoch)
            rate *= config.step_factor ** jnp.floor(epoch / config.step_epochs)
        if config.schedule == "cosine":
            rate *= 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(step / total_steps, 1.0)))
        if warmup_steps:
            rate *= jnp.minimum((step + 1) / warmup_steps, 1.0)
        return rate

    return schedule


def optimizer(
    config: ml_collections.ConfigDict, schedule: optax.Schedule
) -> optax.GradientTransformation:
    """SGD with momentum and L2 decay added to the gradient, as all the papers train.

    The decay applies to every parameter, batch norm's included, except where
    `decay_phase_scores` is off to the score networks that choose a polyphase component.
    """
    decay = optax.add_decayed_weights(
        config.weight_decay, mask=None if config.decay_phase_scores else _without_phase_scores
    )
    return optax.chain(
        decay, optax.sgd(schedule, momentum=config.momentum, nesterov=config.nesterov)
    )


def temperature_schedule(
    config: ml_collections.ConfigDict, *, steps_per_epoch: float
) -> Callable[[dict, jax.Array], dict] | None:
    """Sets the temperature of learned polyphase sampling, piecewise linear in the epoch.

    Args:
        config: of the run; `config.temperature` has `epochs` and `levels`, both empty for
            networks without one.
        steps_per_epoch: steps in an epoch.

    Returns:
        `(stats, step) -> stats`, or None.
    """
    epochs, levels = config.temperature.epochs, config.temperature.levels
    if len(epochs) != len(levels):
        raise ValueError(
            "temperature.epochs and temperature.levels must be of one length, got "
            f"{len(epochs)} and {len(levels)}"
        )
    if not epochs:
        return None

    def prepare(stats, step):
        value = jnp.interp(step / steps_per_epoch, jnp.asarray(epochs), jnp.asarray(levels))
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: value.astype(leaf.dtype) if _ends_in(path, "temperature") else leaf,
            stats,
        )

    return prepare


def _without_phase_scores(params: dict) -> dict:
    return jax.tree_util.tree_map_with_path(
        lambda path, _: not any(getattr(entry, "key", None) == "logits" for entry in path), params
    )


def _ends_in(path, name: str) -> bool:
    return getattr(path[-1], "key", None) == name
