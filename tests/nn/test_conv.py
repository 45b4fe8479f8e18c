"""Convolution layer: boundaries, dtypes and initial weights."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp
from scipy import signal

from aa_jax.nn import Conv

# What NumPy calls our boundary modes.
NUMPY_MODES = {"zero": "constant", "reflect": "reflect", "edge": "edge", "circular": "wrap"}


@pytest.mark.parametrize("mode", list(NUMPY_MODES))
@pytest.mark.parametrize("padding", [1, (1, 0), (0, 2, 1, 0)])
def test_agrees_with_scipy_on_the_padded_signal(rng, mode, padding):
    layer = Conv(2, 3, 3, stride=2, padding=padding, padding_mode=mode, rngs=nnx.Rngs(0))
    x = rng.standard_normal((1, 6, 7, 2)).astype(np.float32)
    sides = {1: (1, 1, 1, 1), (1, 0): (1, 1, 0, 0)}.get(padding, padding)
    padded = np.pad(x[0], ((sides[0], sides[1]), (sides[2], sides[3]), (0, 0)), NUMPY_MODES[mode])
    kernel = np.asarray(layer.kernel[...], np.float64)
    for output in range(3):
        expected = sum(
            signal.correlate(padded[..., c], kernel[..., c, output], "valid") for c in range(2)
        )
        actual = layer(jnp.asarray(x))[0, ..., output]
        np.testing.assert_allclose(actual, expected[::2, ::2], rtol=1e-4, atol=1e-5)


def test_groups_do_not_see_each_other(rng):
    layer = Conv(4, 4, 3, padding=1, groups=2, use_bias=True, rngs=nnx.Rngs(0))
    x = jnp.asarray(rng.standard_normal((1, 5, 5, 4)), jnp.float32)
    influence = jax.jacobian(lambda x: layer(x)[0, 2, 2])(x)[:, 0].sum((1, 2))
    assert (influence[:2, 2:] == 0).all() and (influence[2:, :2] == 0).all()
    assert (influence[:2, :2] != 0).all()


def test_computes_in_the_dtype_asked_for():
    x = jnp.ones((1, 4, 4, 2), jnp.bfloat16)
    assert Conv(2, 2, 1, rngs=nnx.Rngs(0))(x).dtype == jnp.float32
    assert Conv(2, 2, 1, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))(x).dtype == jnp.bfloat16
    half = Conv(2, 2, 1, param_dtype=jnp.bfloat16, use_bias=True, rngs=nnx.Rngs(0))
    assert half(x).dtype == jnp.bfloat16


def test_initial_weights_have_the_published_spread():
    layer = Conv(32, 64, 3, use_bias=True, rngs=nnx.Rngs(0))
    kernel = np.asarray(layer.kernel[...])
    np.testing.assert_allclose(kernel.std(), np.sqrt(2 / (64 * 9)), rtol=0.02)
    assert np.abs(kernel).max() > 3.5 * kernel.std()  # not truncated
    bound = 1 / np.sqrt(32 * 9)
    assert 0.9 * bound < np.abs(layer.bias[...]).max() <= bound


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="groups must divide the channels, got 3 groups for 4"):
        Conv(4, 6, 3, groups=3, rngs=nnx.Rngs(0))
    layer = Conv(4, 6, 3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="x has 3 channels"):
        layer(jnp.zeros((1, 8, 8, 3)))
    with pytest.raises(ValueError, match="mode must be one of"):
        Conv(4, 6, 3, padding=1, padding_mode="mirror", rngs=nnx.Rngs(0))(jnp.zeros((1, 8, 8, 4)))
    with pytest.raises(ValueError, match="padding must be an integer"):
        Conv(4, 6, 3, padding=(1, 2, 3), rngs=nnx.Rngs(0))(jnp.zeros((1, 8, 8, 4)))
