"""Instance normalisation against its definition."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.nn.instance_norm import InstanceNorm
from tests.tolerances import OP, relative_error


def oracle(x, scale, bias, epsilon=1e-5):
    y = np.empty_like(x)
    for image in range(x.shape[0]):
        for channel in range(x.shape[3]):
            plane = x[image, :, :, channel]
            deviation = np.sqrt(np.mean(plane**2) - np.mean(plane) ** 2 + epsilon)
            y[image, :, :, channel] = (plane - np.mean(plane)) / deviation
    return y * scale + bias


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_definition(dtype, rng):
    x = rng.normal(1, 2, (2, 5, 7, 3))
    scale, bias = rng.normal(size=(2, 3))
    with jax.enable_x64(dtype == "float64"):
        norm = InstanceNorm(3, param_dtype="float32" if dtype == "bfloat16" else dtype)
        norm.scale[...], norm.bias[...] = jnp.asarray(scale), jnp.asarray(bias)
        signal = jnp.asarray(x, dtype)
        y = norm(signal)
        assert y.dtype == dtype
        expected = oracle(np.asarray(signal, np.float64), scale, bias)
        assert relative_error(y, expected) < OP[dtype]


def test_statistics_of_16_bit_signals_are_taken_in_float32(rng):
    # 40000 values around 100: sums in bfloat16 would stop growing.
    x = jnp.asarray(100 + rng.normal(size=(1, 200, 200, 1)), jnp.bfloat16)
    y = InstanceNorm(1, dtype=jnp.float32)(x)
    assert y.dtype == jnp.float32
    assert abs(float(jnp.mean(y))) < 1e-4 and float(jnp.var(y)) == pytest.approx(1, rel=1e-3)


def test_it_has_no_state(rng):
    norm = InstanceNorm(4)
    assert len(jax.tree.leaves(nnx.state(norm))) == len(jax.tree.leaves(nnx.state(norm, nnx.Param)))


def test_refuses():
    norm = InstanceNorm(3)
    with pytest.raises(ValueError, match=r"x must be \(N, H, W, 3\), got shape \(2, 4, 4, 2\)"):
        norm(jnp.zeros((2, 4, 4, 2)))
    with pytest.raises(ValueError, match="more than one pixel"):
        norm(jnp.zeros((2, 1, 1, 3)))
