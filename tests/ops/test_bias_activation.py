"""Bias and activation against reference arrays of the published helper."""

import functools
import json

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.ops.bias_activation import bias_activation
from tests.tolerances import OP, relative_error

ACTIVATIONS = {"linear": "identity", "lrelu": "leaky_relu", "swish": "silu"}


@pytest.mark.parametrize("number", range(10))
def test_agrees_with_reference(golden, number):
    arrays = golden("alias_free/bias_act.npz")
    options = json.loads(str(arrays[f"o{number}"]))
    slope = {} if options["alpha"] is None else {"slope": options["alpha"]}
    operator = functools.partial(
        bias_activation,
        activation=ACTIVATIONS.get(options["act"], options["act"]),
        gain=options["gain"],
        clamp=options["clamp"],
        **slope,
    )

    @jax.jit
    def run(x, bias, cotangent):
        y, vjp = jax.vjp(operator, x, bias)
        return y, *vjp(cotangent)

    def channels_last(name, dtype="float64"):
        return jnp.asarray(np.moveaxis(arrays[name], 1, -1), dtype)

    with jax.enable_x64(True):
        y, dx, db = run(
            channels_last("x"), jnp.asarray(arrays["b"], "float64"), channels_last(f"cot{number}")
        )
        assert relative_error(y, channels_last(f"y{number}")) <= 1e-6
        assert relative_error(dx, channels_last(f"dx{number}")) <= 1e-6
        assert relative_error(db, channels_last(f"dx{number}").sum((0, 1))) <= 1e-6


def test_a_callable_is_taken_as_it_is_and_bias_is_optional(rng):
    x = rng.normal(size=(3, 4))
    y = bias_activation(jnp.asarray(x, jnp.float32), activation=jnp.cos, gain=2.0, clamp=1.5)
    assert relative_error(y, np.clip(2 * np.cos(x), -1.5, 1.5)) <= OP["float32"]
    y = bias_activation(jnp.asarray(x, jnp.float32), activation=jnp.cos)
    assert relative_error(y, np.cos(x)) <= OP["float32"]


@pytest.mark.parametrize("activation", ["leaky_relu", "tanh"])
def test_derivatives_of_second_order(rng, activation):
    with jax.enable_x64(True):
        x, bias = jnp.asarray(rng.normal(size=(5, 3))), jnp.asarray(rng.normal(size=3))
        operator = jax.jit(functools.partial(bias_activation, activation=activation, clamp=0.7))
        check_grads(operator, (x, bias), order=2, modes=["fwd", "rev"], eps=1e-6)


def test_gradient_at_the_edges():
    """Zero strictly beyond the clamp, passing at it; +0 counts as positive, -0 as negative."""
    x = jnp.array([[2.0, 2.5, -2.0, -2.5, 0.0, -0.0]])
    gradient = jax.grad(lambda x: bias_activation(x, slope=1 / 4, gain=1.0, clamp=2.0).sum())(x)
    np.testing.assert_array_equal(gradient[0], [1, 0, 0.25, 0.25, 1, 0.25])


def test_sixteen_bits_keep_their_dtype_and_sum_the_bias_gradient_in_float32():
    x = jnp.zeros((4096, 1), jnp.bfloat16)

    def total(bias):
        y = bias_activation(x, bias, activation="identity")
        assert y.dtype == jnp.bfloat16
        return y.astype(jnp.float32).sum()

    # 4096 ones do not add up in bfloat16.
    assert jax.grad(total)(jnp.zeros(1))[0] == 4096


def test_bad_input_is_named():
    x = jnp.zeros((2, 3))
    with pytest.raises(ValueError, match=r"bias must have shape \(3,\) for x of shape \(2, 3\)"):
        bias_activation(x, jnp.zeros(2))
    with pytest.raises(ValueError, match="activation must be a callable or one of"):
        bias_activation(x, activation="lrelu")
    with pytest.raises(ValueError, match="parameters of activation 'snake'"):
        bias_activation(x, activation="snake")
    with pytest.raises(ValueError, match="clamp must be positive or None, got 0"):
        bias_activation(x, clamp=0)
