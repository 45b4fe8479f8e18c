"""Plain pools and the interface that all pools share."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.nn import AvgPool, BlurPool, Identity, MaxPool, Pool


def test_circular_max_pool_keeps_the_size_and_commutes_with_shifts(rng):
    x = rng.standard_normal((1, 5, 6, 2)).astype(np.float32)
    layer = MaxPool(3, boundary="circular")
    shifted = [np.roll(x, (-i, -j), axis=(1, 2)) for i in range(3) for j in range(3)]
    np.testing.assert_array_equal(layer(jnp.asarray(x)), np.max(shifted, axis=0))
    moved = layer(jnp.roll(jnp.asarray(x), (2, 1), axis=(1, 2)))
    np.testing.assert_array_equal(moved, jnp.roll(layer(jnp.asarray(x)), (2, 1), axis=(1, 2)))


def test_padding_never_wins():
    y = MaxPool(3, stride=2, padding=1)(jnp.full((1, 4, 4, 1), -5.0))
    assert y.shape == (1, 2, 2, 1) and (y == -5).all()


def test_a_pool_behind_the_maximum_carries_the_stride(rng):
    x = jnp.asarray(rng.standard_normal((1, 9, 9, 2)), jnp.float32)
    blur = BlurPool(filter_size=3)
    layer = MaxPool(2, pool=blur)
    np.testing.assert_array_equal(layer(x), blur(MaxPool(2)(x)))
    y, choice = layer.subsample(x)
    assert choice is None and y.shape == (1, 4, 4, 2)


def test_average_and_identity():
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(AvgPool()(x)[0, ..., 0], [[2.5, 4.5], [10.5, 12.5]])
    assert Identity()(x) is x


def test_bad_use_is_named():
    with pytest.raises(ValueError, match='boundary must be "lowest" or "circular"'):
        MaxPool(2, boundary="reflect")
    with pytest.raises(TypeError, match="Pool does not say how"):
        Pool()(jnp.zeros((1, 4, 4, 1)))
    with pytest.raises(ValueError):
        jax.eval_shape(MaxPool(3), jax.ShapeDtypeStruct((1, 2, 2, 1), jnp.float32))
