"""aa_jax.training.distributed: eight simulated devices compute what one does."""

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from aa_jax import models
from aa_jax.training import distributed, evaluation, state as states, steps

NUM_STEPS = 4


@pytest.fixture(scope="module")
def network():
    model = models.small_resnet(
        3, width=4, stage_sizes=(1, 1), antialias="blur", rngs=nnx.Rngs(params=0)
    )
    return states.split(model)


def batches():
    rng = np.random.default_rng(1)
    for _ in range(NUM_STEPS):
        yield {
            "image": rng.uniform(size=(16, 16, 16, 3)).astype(np.float32),
            "label": rng.integers(3, size=16).astype(np.int32),
        }


def train(network, num_devices: int, **options):
    graphdef, params, stats = network
    mesh = distributed.data_mesh(jax.devices()[:num_devices])
    optimizer = optax.sgd(0.1, momentum=0.9)
    step = steps.compile_step(
        steps.make_train_step(steps.classification_loss(graphdef), optimizer, **options), mesh
    )
    params, stats = jax.tree.map(np.array, (params, stats))
    state = states.create_state(params, stats, optimizer, key=jax.random.key(0))
    state = distributed.replicate(state, mesh)
    losses = []
    for batch in batches():
        state, metrics = step(state, distributed.shard_batch(batch, mesh))
        losses.append(float(metrics["loss"]))
    return losses, state


@pytest.mark.parametrize("options", [{}, {"accumulation_steps": 2}])
def test_eight_devices_give_the_losses_and_statistics_of_one(network, options):
    assert jax.device_count() == 8
    expected, one = train(network, 1, **options)
    actual, eight = train(network, 8, **options)
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), eight.stats, one.stats)
    leaf = jax.tree.leaves(eight.params)[0]
    assert leaf.sharding.device_set == set(jax.devices()) and leaf.sharding.is_fully_replicated


def test_evaluation_on_eight_devices_counts_every_example_once(network):
    graphdef, params, stats = network
    rng = np.random.default_rng(2)
    images = rng.uniform(size=(37, 16, 16, 3)).astype(np.float32)
    labels = rng.integers(3, size=37).astype(np.int32)
    logits = np.asarray(states.merge(graphdef, params, stats)(images), np.float64)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    for num_devices in (1, 8):
        mesh = distributed.data_mesh(jax.devices()[:num_devices])
        results = evaluation.evaluate(
            evaluation.make_evaluation_step(graphdef, mesh),
            *distributed.replicate((params, stats), mesh),
            ({"image": images[i : i + 16], "label": labels[i : i + 16]} for i in (0, 16, 32)),
            batch_size=16,
            num_examples=37,
            mesh=mesh,
        )
        assert results["eval_top1"] == pytest.approx((logits.argmax(-1) == labels).mean())
        assert results["eval_top5"] == pytest.approx(1.0)  # of three classes
        expected = -log_p[np.arange(37), labels].mean()
        assert results["eval_loss"] == pytest.approx(expected, rel=1e-5)


def test_nothing_to_evaluate_is_an_error(network):
    graphdef, params, stats = network
    mesh = distributed.data_mesh()
    step = evaluation.make_evaluation_step(graphdef, mesh)
    options = dict(batch_size=8, mesh=mesh)
    with pytest.raises(ValueError, match="the test set is empty"):
        evaluation.evaluate(step, params, stats, [], num_examples=0, **options)
    with pytest.raises(ValueError, match="no share of the test set"):
        evaluation.evaluate(step, params, stats, [], num_examples=3, **options)


def test_a_batch_is_divided_in_order():
    mesh = distributed.data_mesh()
    x = np.arange(16.0).reshape(16, 1)
    placed = distributed.shard_batch({"x": x}, mesh)["x"]
    assert len(placed.addressable_shards) == 8
    for shard in placed.addressable_shards:
        np.testing.assert_array_equal(shard.data, x[shard.index])
        assert shard.data.shape == (2, 1)


@pytest.mark.parametrize(("size", "nearest"), [(12, 16), (3, 8), (0, 8)])
def test_a_batch_that_devices_cannot_share_is_refused(size, nearest):
    mesh = distributed.data_mesh()
    assert distributed.local_batch_size(24, mesh) == 24
    with pytest.raises(ValueError, match=f"number of devices .8.*got {size}.*fits is {nearest}$"):
        distributed.local_batch_size(size, mesh)
