"""Training steps: pure functions of (state, batch), compiled once, with donated buffers.

`make_train_step` knows no task: it takes a loss function and adds what all training shares, that
is gradient accumulation, the optimiser, the moving average and the loss scale of float16.
`classification_loss` is the loss of a classifier.

Mixed precision needs nothing here except for float16: a model built with `dtype=jnp.bfloat16`
computes in bfloat16 from float32 parameters, and losses are always taken in float32.
"""

from collections.abc import Callable
from typing import Any

import jax
import optax
from flax import nnx
from jax import lax, numpy as jnp
from jax.sharding import Mesh

from aa_jax.training import distributed
from aa_jax.training.state import LossScale, TrainState, collect_stats, merge

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
# (params, stats, batch, key) -> (loss, (new stats, metrics))
LossFunction = Callable[[dict, dict, Batch, jax.Array], tuple[jax.Array, tuple[dict, Metrics]]]
Preprocess = Callable[[jax.Array], jax.Array]

LOSS_SCALE_GROWTH_INTERVAL = 2000
LOSS_SCALE_MAX = 2.0**24


def cross_entropy(logits: jax.Array, labels: jax.Array, *, label_smoothing: float = 0.0):
    """Softmax cross-entropy in float32, per example.

    Args:
        logits: (batch, classes), any float dtype.
        labels: (batch,) integers.
        label_smoothing: the share of probability spread evenly over all classes
            (Szegedy et al. 2016, section 7).

    Returns:
        (batch,) float32 losses in nats.
    """
    logits = logits.astype(jnp.float32)
    targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=jnp.float32)
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(targets, label_smoothing))


def classification_loss(
    graphdef: nnx.GraphDef,
    *,
    label_smoothing: float = 0.0,
    preprocess: Preprocess | None = None,
) -> LossFunction:
    """The loss of a classifier called as `model(images, train=True, key=key)`.

    Args:
        graphdef: structure of the model, from `state.split`.
        label_smoothing: see `cross_entropy`.
        preprocess: applied to the images first, for example a normalisation.

    Returns:
        A loss function over batches `{"image": (N, H, W, C), "label": (N,)}` whose metrics are
        the loss and the top-1 accuracy of the batch.
    """
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}")

    def loss_function(params, stats, batch, key):
        model = merge(graphdef, params, stats)
        images = batch["image"] if preprocess is None else preprocess(batch["image"])
        logits = model(images, train=True, key=key)
        labels = batch["label"]
        loss = cross_entropy(logits, labels, label_smoothing=label_smoothing).mean()
        accuracy = (logits.argmax(-1) == labels).mean(dtype=jnp.float32)
        return loss, (collect_stats(model), {"loss": loss, "accuracy": accuracy})

    return loss_function


def make_train_step(
    loss_function: LossFunction,
    optimizer: optax.GradientTransformation,
    *,
    accumulation_steps: int = 1,
    accumulation: str = "mean",
    ema_decay: float | None = None,
    schedule: optax.Schedule | None = None,
    prepare_stats: Callable[[dict, jax.Array], dict] | None = None,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Builds a step; compile it with `compile_step`.

    Args:
        loss_function: `(params, stats, batch, key) -> (loss, (stats, metrics))`.
        optimizer: an optax transformation.
        accumulation_steps: the batch is divided into so many parts, whose gradients are added up
            before one update. Batch statistics see one part at a time.
        accumulation: "mean" divides the sum by the number of parts (equal to the undivided
            batch); "sum" does not (as in the published training code of BlurPool and of the
            adaptive layer: the effective learning rate grows with the number of parts).
        ema_decay: the moving average becomes `decay * average + (1 - decay) * params`.
        schedule: learning rate by step, only to report it.
        prepare_stats: called as `(stats, step) -> stats` before the loss, for variables that
            follow a schedule, such as a temperature.

    Returns:
        `step(state, batch) -> (state, metrics)`. Metrics are float32 scalars on the device: the
        loss function's own, `grad_norm`, `learning_rate` if a schedule was given, and `diverged`,
        1 where the loss or the gradient is not finite and nothing can be done about it. In
        float16 (a state with a loss scale) such a step is skipped, `skipped` is 1, and the scale
        is halved; it has diverged only when the scale is at its floor of 1.

    Raises:
        ValueError: accumulation_steps < 1, another accumulation, or a decay outside [0, 1).
    """
    _check_options(accumulation_steps, accumulation, ema_decay)
    gradients = accumulated_gradients(loss_function, accumulation_steps, accumulation)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        # Randomness is a function of the key and the step alone, so a restart repeats it.
        key = jax.random.fold_in(state.key, state.step)
        scale = 1.0 if state.loss_scale is None else state.loss_scale.value
        stats = prepare_stats(state.stats, state.step) if prepare_stats else state.stats
        grads, stats, metrics = gradients(state.params, stats, batch, key, scale)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        new_state = state.replace(
            params=params,
            stats=stats,
            opt_state=opt_state,
            ema=_update_ema(params, state.ema, ema_decay),
        )
        metrics["grad_norm"] = global_norm(grads)
        if schedule is not None:
            metrics["learning_rate"] = jnp.asarray(schedule(state.step), jnp.float32)
        finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(metrics["grad_norm"])
        if state.loss_scale is None:
            metrics["diverged"] = jnp.asarray(~finite, jnp.float32)
        else:
            new_state = _keep_if(finite, new_state, state)
            metrics["loss_scale"] = state.loss_scale.value
            metrics["skipped"] = jnp.asarray(~finite, jnp.float32)
            metrics["diverged"] = jnp.asarray(~finite & (scale <= 1.0), jnp.float32)
        return new_state.replace(step=state.step + 1), metrics

    return step


def compile_step(step: Callable, mesh: Mesh, *, constants: Any = None) -> Callable:
    """Compiles a step for data parallelism over a mesh.

    The state is replicated and donated: its buffers are reused for the result, so the state
    passed in must not be used again. The batch is divided over the devices.

    Args:
        step: (state, batch) -> (state, metrics), or with `constants` (state, batch, constants).
        mesh: of the devices.
        constants: arrays that every step needs and none changes, such as the weights of a loss's
            feature network: arguments of the compiled program, which would else hold a copy.
    """
    whole = distributed.replicated(mesh)
    inputs = (whole, distributed.batch_sharding(mesh))
    if constants is None:
        return jax.jit(step, donate_argnums=0, in_shardings=inputs, out_shardings=(whole, whole))
    compiled = jax.jit(
        step, donate_argnums=0, in_shardings=(*inputs, whole), out_shardings=(whole, whole)
    )
    return lambda state, batch: compiled(state, batch, constants)


def _check_options(accumulation_steps: int, accumulation: str, ema_decay: float | None) -> None:
    if accumulation_steps < 1:
        raise ValueError(f"accumulation_steps must be at least 1, got {accumulation_steps}")
    if accumulation not in ("mean", "sum"):
        raise ValueError(f"accumulation must be 'mean' or 'sum', got {accumulation!r}")
    if ema_decay is not None and not 0.0 <= ema_decay < 1.0:
        raise ValueError(f"ema_decay must be in [0, 1), or None for no average, got {ema_decay}")


def accumulated_gradients(
    loss_function: LossFunction, parts: int, accumulation: str = "mean"
) -> Callable:
    """Gradients of a batch taken in `parts` parts, one after the other.

    Args:
        loss_function: `(params, stats, batch, key) -> (loss, (stats, metrics))`.
        parts: into how many the batch is divided.
        accumulation: "mean" or "sum" of the parts' gradients.

    Returns:
        `(params, stats, batch, key, scale) -> (grads, stats, metrics)`; the loss is multiplied by
        `scale` and its gradients divided by it.
    """

    def gradients(params, stats, batch, key, scale):
        def scaled(params):
            loss, (new_stats, metrics) = loss_function(params, stats, batch, key)
            return loss * scale, (new_stats, metrics)

        grads, (new_stats, metrics) = jax.grad(scaled, has_aux=True)(params)
        return jax.tree.map(lambda g: g / scale, grads), new_stats, metrics

    def accumulated(params, stats, batch, key, scale):
        def part(carry, index_and_examples):
            total, stats = carry
            index, examples = index_and_examples
            part_key = jax.random.fold_in(key, index)
            grads, stats, metrics = gradients(params, stats, examples, part_key, scale)
            return (jax.tree.map(jnp.add, total, grads), stats), metrics

        zeros = jax.tree.map(jnp.zeros_like, params)
        examples = jax.tree.map(lambda x: _divide(x, parts), batch)
        (grads, stats), metrics = lax.scan(part, (zeros, stats), (jnp.arange(parts), examples))
        if accumulation == "mean":
            grads = jax.tree.map(lambda g: g / parts, grads)
        return grads, stats, jax.tree.map(lambda m: m.mean(0), metrics)

    return gradients if parts == 1 else accumulated


def _divide(x: jax.Array, parts: int) -> jax.Array:
    """(batch, ...) to (parts, batch / parts, ...); part i holds examples i, i + parts, …

    Taken with this stride a part lies on the same devices as the batch, so nothing moves.
    """
    if x.shape[0] % parts:
        raise ValueError(
            f"the batch size must be a multiple of accumulation_steps ({parts}), got {x.shape[0]}"
        )
    return jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0)


def global_norm(tree: dict) -> jax.Array:
    """The Euclidean norm of all arrays together, in float32."""
    squares = [jnp.sum(jnp.square(x.astype(jnp.float32))) for x in jax.tree.leaves(tree)]
    return jnp.sqrt(sum(squares))


def _update_ema(params: dict, ema: dict | None, decay: float | None) -> dict | None:
    if (ema is None) != (decay is None):
        raise ValueError(
            f"ema_decay is {decay}, but the state has {'no' if ema is None else 'a'} moving "
            "average; create_state(with_ema=...) must agree with it"
        )
    return None if ema is None else optax.incremental_update(params, ema, 1.0 - decay)


def _keep_if(finite: jax.Array, new: TrainState, old: TrainState) -> TrainState:
    """The new state where the step was finite, else the old one with a smaller loss scale."""
    kept = {
        name: jax.tree.map(
            lambda n, o: jnp.where(finite, n, o), getattr(new, name), getattr(old, name)
        )
        for name in ("params", "stats", "opt_state", "ema")
    }
    return new.replace(**kept, loss_scale=next_loss_scale(old.loss_scale, finite))


def next_loss_scale(scale: LossScale, finite: jax.Array) -> LossScale:
    """Halves after an overflow, doubles after many finite steps (Micikevicius et al. 2018)."""
    good = jnp.where(finite, scale.good_steps + 1, 0)
    grow = good >= LOSS_SCALE_GROWTH_INTERVAL
    value = jnp.where(finite, scale.value, jnp.maximum(scale.value / 2, 1.0))
    value = jnp.where(grow, jnp.minimum(value * 2, LOSS_SCALE_MAX), value)
    return LossScale(value, jnp.where(grow, 0, good))
