"""aa_jax.training.steps against closed forms in float64."""

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from jax import numpy as jnp
from scipy import special

from aa_jax.training import distributed, state as states, steps
from tests.training.classifiers import (
    NUM_CLASSES,
    NormalizedRegression,
    SoftmaxRegression,
    make_batch,
    make_state,
)


def softmax_gradient(params, batch, label_smoothing=0.0):
    """Gradient of the mean cross-entropy of softmax regression, in float64."""
    x = batch["image"].reshape(len(batch["image"]), -1).astype(np.float64)
    layer = params["layers"][0]
    logits = x @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"], np.float64)
    target = np.eye(NUM_CLASSES)[batch["label"]]
    target = (1 - label_smoothing) * target + label_smoothing / NUM_CLASSES
    loss = -(target * special.log_softmax(logits, -1)).sum(-1).mean()
    error = (special.softmax(logits, -1) - target) / len(x)
    return loss, {"kernel": x.T @ error, "bias": error.sum(0)}


def take_steps(model, optimizer, batches, *, loss=None, state=None, **step_options):
    """Trains without donation, so that earlier states can be looked at."""
    graphdef, fresh = make_state(model, optimizer, **(state or {}))
    step = jax.jit(
        steps.make_train_step(
            steps.classification_loss(graphdef, **(loss or {})), optimizer, **step_options
        )
    )
    history = [(fresh, None)]
    for batch in batches:
        history.append(step(history[-1][0], batch))
    return history


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_cross_entropy_in_closed_form(rng, label_smoothing):
    logits = 10 * rng.normal(size=(7, 4))
    labels = rng.integers(4, size=7)
    target = (1 - label_smoothing) * np.eye(4)[labels] + label_smoothing / 4
    expected = -(target * special.log_softmax(logits, -1)).sum(-1)
    actual = steps.cross_entropy(
        jnp.asarray(logits, jnp.float32), labels, label_smoothing=label_smoothing
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_a_step_of_sgd_in_closed_form(rng):
    batch = make_batch(rng)
    model = SoftmaxRegression(rngs=nnx.Rngs(0))
    (before, _), (after, metrics) = take_steps(
        model, optax.sgd(0.5), [batch], loss={"label_smoothing": 0.1}, schedule=lambda step: 0.5
    )
    loss, gradient = softmax_gradient(before.params, batch, 0.1)
    for name, value in gradient.items():
        expected = np.asarray(before.params["layers"][0][name], np.float64) - 0.5 * value
        np.testing.assert_allclose(after.params["layers"][0][name], expected, atol=1e-6)
    norm = np.sqrt(sum((value**2).sum() for value in gradient.values()))
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(metrics["grad_norm"], norm, rtol=1e-5)
    assert float(metrics["learning_rate"]) == 0.5 and float(metrics["diverged"]) == 0
    assert int(after.step) == 1


@pytest.mark.parametrize(("accumulation", "factor"), [("mean", 1.0), ("sum", 4.0)])
def test_accumulation_equals_the_undivided_batch(rng, accumulation, factor):
    batch = make_batch(rng, 16)
    model = SoftmaxRegression(rngs=nnx.Rngs(0))
    options = dict(accumulation_steps=4, accumulation=accumulation)
    _, (parts, metrics) = take_steps(model, optax.sgd(0.5), [batch], **options)
    _, (whole, expected) = take_steps(model, optax.sgd(0.5 * factor), [batch])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), parts.params, whole.params
    )
    np.testing.assert_allclose(metrics["loss"], expected["loss"], rtol=1e-6)
    np.testing.assert_allclose(metrics["grad_norm"], factor * expected["grad_norm"], rtol=1e-5)


def test_statistics_see_one_part_after_the_other(rng):
    batch = make_batch(rng, 16)
    model = NormalizedRegression(rngs=nnx.Rngs(0))
    _, (state, _) = take_steps(model, optax.sgd(0.1), [batch], accumulation_steps=2)
    first, second = batch["image"][0::2].mean(0), batch["image"][1::2].mean(0)
    np.testing.assert_allclose(state.stats["mean"], 0.09 * first + 0.1 * second, rtol=1e-5)


def test_moving_average_in_closed_form(rng):
    batches = [make_batch(rng) for _ in range(4)]
    history = take_steps(
        SoftmaxRegression(rngs=nnx.Rngs(0)),
        optax.sgd(0.5),
        batches,
        state={"with_ema": True},
        ema_decay=0.75,
    )
    kernels = [np.asarray(s.params["layers"][0]["kernel"], np.float64) for s, _ in history]
    # The average of kernels 0..n with weights decay^n for the first, (1-d) d^(n-i) for the rest.
    weights = [0.75**4] + [0.25 * 0.75 ** (4 - i) for i in range(1, 5)]
    expected = sum(w * k for w, k in zip(weights, kernels, strict=True))
    actual = history[-1][0].ema["layers"][0]["kernel"]
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_randomness_is_a_function_of_key_and_step(rng):
    batch = make_batch(rng)
    model = NormalizedRegression(noise=1.0, rngs=nnx.Rngs(0))
    runs = [take_steps(model, optax.sgd(0.0), [batch] * 2) for _ in range(2)]
    losses = [[float(metrics["loss"]) for _, metrics in run[1:]] for run in runs]
    assert losses[0] == losses[1]
    assert losses[0][0] != losses[0][1]


def test_stats_can_follow_a_schedule(rng):
    history = take_steps(
        NormalizedRegression(rngs=nnx.Rngs(0)),
        optax.sgd(0.0),
        [make_batch(rng)] * 2,
        prepare_stats=lambda stats, step: {**stats, "temperature": 2.0 + step},
    )
    assert [float(state.stats["temperature"]) for state, _ in history] == [1.0, 2.0, 3.0]


def test_computation_in_bfloat16_keeps_float32_parameters(rng):
    batch = make_batch(rng)
    model = SoftmaxRegression(dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    assert model(batch["image"]).dtype == jnp.bfloat16
    (before, _), (after, metrics) = take_steps(model, optax.sgd(0.5), [batch])
    loss, gradient = softmax_gradient(before.params, batch)
    assert {leaf.dtype for leaf in jax.tree.leaves(after.params)} == {jnp.dtype(jnp.float32)}
    np.testing.assert_allclose(metrics["loss"], loss, rtol=2e-2)
    expected = before.params["layers"][0]["kernel"] - 0.5 * gradient["kernel"]
    np.testing.assert_allclose(after.params["layers"][0]["kernel"], expected, atol=5e-3)


def test_float16_skips_an_overflow_and_halves_the_scale(rng):
    batch = make_batch(rng)
    too_large = {**batch, "image": batch["image"] * np.float32(6e4)}
    model = SoftmaxRegression(dtype=jnp.float16, rngs=nnx.Rngs(0))
    history = take_steps(
        model,
        optax.sgd(0.5, momentum=0.9),
        [too_large, batch],
        state={"with_loss_scale": True, "with_ema": True},
        ema_decay=0.5,
    )
    (start, _), (skipped, first), (taken, second) = history
    for part in ("params", "opt_state", "ema"):
        jax.tree.map(np.testing.assert_array_equal, getattr(start, part), getattr(skipped, part))
    assert float(first["skipped"]) == 1 and float(first["diverged"]) == 0
    assert float(skipped.loss_scale.value) == 2.0**14 and int(skipped.step) == 1
    # The step after it is the plain float16 step: the scale leaves no trace in the gradient.
    assert float(second["skipped"]) == 0
    _, gradient = softmax_gradient(skipped.params, batch)
    expected = skipped.params["layers"][0]["kernel"] - 0.5 * gradient["kernel"]
    np.testing.assert_allclose(taken.params["layers"][0]["kernel"], expected, atol=2e-3)


def test_float16_scale_grows_and_has_a_floor(rng):
    batch = make_batch(rng)
    model = SoftmaxRegression(dtype=jnp.float16, rngs=nnx.Rngs(0))
    optimizer = optax.sgd(0.1)
    graphdef, state = make_state(model, optimizer, with_loss_scale=True)
    step = jax.jit(steps.make_train_step(steps.classification_loss(graphdef), optimizer))
    due = jnp.asarray(steps.LOSS_SCALE_GROWTH_INTERVAL - 1, jnp.int32)
    grown, _ = step(state.replace(loss_scale=state.loss_scale.replace(good_steps=due)), batch)
    assert float(grown.loss_scale.value) == 2.0**16 and int(grown.loss_scale.good_steps) == 0
    at_floor = state.replace(loss_scale=state.loss_scale.replace(value=jnp.ones(())))
    _, metrics = step(at_floor, {**batch, "image": batch["image"] * np.float32(np.inf)})
    assert float(metrics["diverged"]) == 1


def test_a_loss_that_is_not_finite_is_reported(rng):
    batch = make_batch(rng)
    batch["image"][3, 0, 0, 0] = np.nan
    _, (_, metrics) = take_steps(SoftmaxRegression(rngs=nnx.Rngs(0)), optax.sgd(0.1), [batch])
    assert float(metrics["diverged"]) == 1


def test_a_compiled_step_donates_the_state_and_compiles_once(rng):
    mesh = distributed.data_mesh()
    optimizer = optax.sgd(0.1, momentum=0.9)
    graphdef, state = make_state(SoftmaxRegression(rngs=nnx.Rngs(0)), optimizer)
    step = steps.compile_step(
        steps.make_train_step(steps.classification_loss(graphdef), optimizer), mesh
    )
    compilations = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compilations.append(event) if "backend_compile" in event else 0
    )
    state = first = distributed.replicate(state, mesh)
    state, _ = step(state, distributed.shard_batch(make_batch(rng), mesh))
    assert compilations and all(leaf.is_deleted() for leaf in jax.tree.leaves(first.params))
    compilations.clear()
    for _ in range(3):
        state, _ = step(state, distributed.shard_batch(make_batch(rng), mesh))
    assert not compilations


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulation_steps": 0}, "accumulation_steps must be at least 1, got 0"),
        ({"accumulation": "max"}, "accumulation must be 'mean' or 'sum', got 'max'"),
        ({"ema_decay": 1.0}, r"ema_decay must be in \[0, 1\)"),
        ({"ema_decay": 0.9}, "the state has no moving average"),
        ({"accumulation_steps": 3}, r"multiple of accumulation_steps \(3\), got 16"),
    ],
)
def test_options_that_cannot_be_used_are_refused(rng, options, message):
    with pytest.raises(ValueError, match=message):
        take_steps(
            SoftmaxRegression(rngs=nnx.Rngs(0)), optax.sgd(0.1), [make_batch(rng)], **options
        )


def test_label_smoothing_outside_its_range_is_refused():
    graphdef, _, _ = states.split(SoftmaxRegression(rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="label_smoothing must be in"):
        steps.classification_loss(graphdef, label_smoothing=1.0)
