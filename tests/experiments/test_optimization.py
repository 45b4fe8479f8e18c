"""experiments.classification.optimization: the published schedules, number by number."""

import jax
import ml_collections
import numpy as np
import pytest
from jax import numpy as jnp

from experiments.classification import optimization

BASE = dict(
    learning_rate=0.1,
    schedule="step",
    step_epochs=30,
    step_factor=0.1,
    warmup_epochs=0.0,
    momentum=0.9,
    nesterov=False,
    weight_decay=1e-4,
    decay_phase_scores=True,
)


def rates(steps, *, total_steps=900, steps_per_epoch=10, **changes):
    config = ml_collections.ConfigDict(BASE | changes)
    schedule = optimization.learning_rate(
        config, total_steps=total_steps, steps_per_epoch=steps_per_epoch
    )
    return [float(schedule(jnp.asarray(step))) for step in steps]


def test_a_tenth_every_thirty_epochs():
    steps = [0, 299, 300, 599, 600, 899]
    np.testing.assert_allclose(rates(steps), [0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rtol=1e-6)


def test_cosine_to_zero():
    steps = [0, 225, 450, 675, 900]
    expected = [0.1, 0.05 * (1 + 2**-0.5), 0.05, 0.05 * (1 - 2**-0.5), 0.0]
    np.testing.assert_allclose(rates(steps, schedule="cosine"), expected, atol=1e-8)


def test_warm_up_from_a_part_of_the_rate_to_all_of_it():
    steps = [0, 1, 24, 49, 50]  # five epochs of ten steps
    expected = [0.1 / 50, 0.2 / 50, 0.05, 0.1, 0.1]
    np.testing.assert_allclose(rates(steps, warmup_epochs=5.0), expected, rtol=1e-6)


def test_a_constant_rate_and_an_unknown_schedule():
    assert rates([0, 800], schedule="constant") == pytest.approx([0.1, 0.1])
    with pytest.raises(ValueError, match="must be one of constant, step, cosine, got 'linear'"):
        rates([0], schedule="linear")


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_and_decay_as_the_papers_framework_has_them(nesterov):
    """g <- g + decay w; v <- m v + g; w <- w - lr (v, or g + m v), in float64."""
    config = ml_collections.ConfigDict(BASE | {"weight_decay": 0.01, "nesterov": nesterov})
    transformation = optimization.optimizer(config, lambda step: 0.1)
    params = {"w": jnp.asarray([1.0, -2.0])}
    state = transformation.init(params)
    w, v = np.asarray([1.0, -2.0]), 0.0
    for gradient in ([0.5, 1.0], [-0.25, 2.0], [1.0, 0.0]):
        g = np.asarray(gradient) + 0.01 * w
        v = 0.9 * v + g
        w = w - 0.1 * (g + 0.9 * v if nesterov else v)
        updates, state = transformation.update({"w": jnp.asarray(gradient)}, state, params)
        params = {"w": params["w"] + updates["w"]}
    np.testing.assert_allclose(params["w"], w, rtol=1e-6)


@pytest.mark.parametrize("decay_phase_scores", [True, False])
def test_score_networks_may_go_without_decay(decay_phase_scores):
    config = ml_collections.ConfigDict(BASE | {"decay_phase_scores": decay_phase_scores})
    transformation = optimization.optimizer(config, lambda step: 1.0)
    params = {"conv": jnp.ones(2), "pool": {"logits": {"kernel": jnp.ones(2)}}}
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = transformation.update(zeros, transformation.init(params), params)
    np.testing.assert_allclose(updates["conv"], -1e-4)
    expected = -1e-4 if decay_phase_scores else 0.0
    np.testing.assert_allclose(updates["pool"]["logits"]["kernel"], expected)


def test_temperature_falls_linearly_between_epochs():
    config = ml_collections.ConfigDict(
        {"temperature": {"epochs": (10.0, 60.0), "levels": (0.5, 0.1)}}
    )
    prepare = optimization.temperature_schedule(config, steps_per_epoch=4)
    stats = {"pool": {"temperature": jnp.ones(())}, "bn": {"mean": jnp.ones(3)}}
    for epoch, level in ((0, 0.5), (10, 0.5), (35, 0.3), (60, 0.1), (90, 0.1)):
        prepared = prepare(stats, jnp.asarray(4 * epoch))
        assert float(prepared["pool"]["temperature"]) == pytest.approx(level)
        np.testing.assert_array_equal(prepared["bn"]["mean"], 1.0)
    config.temperature.levels = (0.5,)
    with pytest.raises(ValueError, match="of one length, got 2 and 1"):
        optimization.temperature_schedule(config, steps_per_epoch=4)
    config.temperature = {"epochs": (), "levels": ()}
    assert optimization.temperature_schedule(config, steps_per_epoch=4) is None
