"""One step of one network's optimiser, and whether training is still in good health."""

import jax
import optax
from jax import numpy as jnp

from aa_jax.training.state import LossScale
from aa_jax.training.steps import global_norm, next_loss_scale
from experiments.alias_free_gan.state import GanState

Metrics = dict[str, jax.Array]

# Gradients are not finite so many times in a row: the run is lost.
MAX_BAD_STEPS = 10


def scale_of(scale: LossScale | None) -> jax.Array | float:
    """The factor on a loss."""
    return 1.0 if scale is None else scale.value


def descend(params, opt_state, scale: LossScale | None, grads, optimizer):
    """One step of an optimiser: ((params, opt_state, scale), (gradient norm, finite, lost)).

    Without a loss scale, elements that are not finite are replaced as published (0 for NaN, 1e5
    for infinity). With one, the step is left out and the scale halved.
    """
    norm = global_norm(grads)
    finite = jnp.isfinite(norm)
    if scale is None:
        grads = jax.tree.map(lambda g: jnp.nan_to_num(g, nan=0.0, posinf=1e5, neginf=-1e5), grads)
    updates, new_opt_state = optimizer.update(grads, opt_state, params)
    new = optax.apply_updates(params, updates), new_opt_state
    lost = jnp.zeros((), bool)
    if scale is not None:
        new = jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, (params, opt_state))
        lost = ~finite & (scale.value <= 1)
        scale = next_loss_scale(scale, finite)
    return (*new, scale), (norm, finite, lost)


def checked(state: GanState, metrics: Metrics, health, name: str) -> tuple[GanState, Metrics]:
    """Adds the gradient's norm, and whether training is beyond help."""
    norm, finite, lost = health
    bad_steps = jnp.where(finite, 0, getattr(state.bad_steps, name) + 1)
    losses = [value for key, value in metrics.items() if key.startswith(("loss", "r1", "path"))]
    for loss in losses:
        lost |= ~jnp.isfinite(loss)
    lost |= bad_steps >= MAX_BAD_STEPS
    if (scale := getattr(state, f"{name}_scale")) is not None:
        metrics[f"loss_scale_{name}"] = scale.value
    metrics[f"grad_norm_{name}"] = norm
    metrics["diverged"] = jnp.asarray(lost, jnp.float32)
    return state.replace(bad_steps=state.bad_steps._replace(**{name: bad_steps})), metrics


def scores(**logits) -> Metrics:
    """Mean logits and mean signs, as published runs report them."""
    means = {f"score_{name}": value.mean() for name, value in logits.items()}
    return means | {f"sign_{name}": jnp.sign(value).mean() for name, value in logits.items()}
