"""Batch normalisation: statistics, running estimates, and the frozen form."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.nn import BatchNorm, FrozenBatchNorm


@pytest.mark.parametrize("momentum", [0.1, 0.3])
def test_training_normalises_and_learns_the_statistics(rng, momentum):
    x = (3 + 2 * rng.standard_normal((4, 3, 2, 5))).astype(np.float32)
    layer = BatchNorm(5, momentum=momentum)
    layer.scale[...], layer.bias[...] = jnp.arange(1.0, 6.0), jnp.arange(5.0)
    y = layer(jnp.asarray(x), train=True)
    mean, var = x.mean((0, 1, 2), dtype=np.float64), x.var((0, 1, 2), dtype=np.float64)
    expected = (x - mean) / np.sqrt(var + 1e-5) * np.arange(1, 6) + np.arange(5)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    unbiased = x.var((0, 1, 2), dtype=np.float64, ddof=1)
    np.testing.assert_allclose(layer.mean[...], momentum * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.var[...], 1 - momentum + momentum * unbiased, rtol=1e-5)


def test_evaluation_uses_the_running_estimates_and_keeps_them(rng):
    x = rng.standard_normal((2, 3, 3, 2)).astype(np.float32)
    layer = BatchNorm(2, epsilon=0.25)
    layer.mean[...], layer.var[...] = jnp.asarray([1.0, -1.0]), jnp.asarray([3.75, 0.75])
    y = layer(jnp.asarray(x))
    np.testing.assert_allclose(y, (x - [1.0, -1.0]) / [2.0, 1.0], rtol=1e-5, atol=1e-6)
    assert layer.mean[...].tolist() == [1.0, -1.0]


def test_statistics_of_bfloat16_are_computed_in_float32():
    x = jnp.asarray(np.full((4, 64, 64, 1), 3.0), jnp.bfloat16)
    layer = BatchNorm(1, momentum=1.0)
    assert layer(x, train=True).dtype == jnp.bfloat16
    assert layer.mean.dtype == jnp.float32 and float(layer.mean[0]) == 3.0
    assert float(layer.var[0]) == 0.0


def test_running_estimates_carry_no_gradient(rng):
    x = jnp.asarray(rng.standard_normal((2, 2, 2, 3)), jnp.float32)
    graphdef, state = nnx.split(BatchNorm(3))

    def updated_mean(x):
        layer = nnx.merge(graphdef, state, copy=True)
        layer(x, train=True)
        return layer.mean[...].sum()

    assert (jax.grad(updated_mean)(x) == 0).all()


def test_frozen_norm_has_no_parameters_no_epsilon_and_never_learns(rng):
    x = rng.standard_normal((2, 3, 3, 2)).astype(np.float32)
    layer = FrozenBatchNorm(2)
    layer.var[...], layer.bias[...] = jnp.asarray([4.0, 1e-8]), jnp.asarray([1.0, 0.0])
    y = layer(jnp.asarray(x), train=True)
    np.testing.assert_allclose(y, x / [2.0, 1e-4] + [1.0, 0.0], rtol=1e-4)
    assert not jax.tree.leaves(nnx.state(layer, nnx.Param))
    assert layer.mean[...].tolist() == [0.0, 0.0]


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="more than one value per channel"):
        BatchNorm(3)(jnp.zeros((1, 1, 1, 3)), train=True)
    with pytest.raises(ValueError, match="x must have 3 channels, got shape"):
        BatchNorm(3)(jnp.zeros((1, 4, 4, 2)))
