"""Dense layer."""

import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.nn import Linear


def test_maps_the_last_axis(rng):
    layer = Linear(5, 3, rngs=nnx.Rngs(0))
    x = rng.standard_normal((2, 4, 5)).astype(np.float32)
    expected = x.astype(np.float64) @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=1e-5, atol=1e-6)


def test_initial_weights_are_uniform_within_the_published_bound():
    layer = Linear(400, 300, rngs=nnx.Rngs(0))
    for leaf in (layer.kernel, layer.bias):
        largest = np.abs(np.asarray(leaf[...])).max()
        assert 0.95 * 0.05 < largest <= 0.05
    np.testing.assert_allclose(np.std(layer.kernel[...]), 0.05 / np.sqrt(3), rtol=0.01)


def test_computes_in_the_dtype_asked_for():
    x = jnp.ones((1, 2), jnp.bfloat16)
    assert Linear(2, 2, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))(x).dtype == jnp.bfloat16
    assert Linear(2, 2, rngs=nnx.Rngs(0))(x).dtype == jnp.float32


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="x must have 5 features last, got shape"):
        Linear(5, 3, rngs=nnx.Rngs(0))(jnp.zeros((2, 4)))
