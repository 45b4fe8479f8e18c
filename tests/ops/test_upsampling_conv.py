"""Convolutions behind upsampling by two, against their definitions."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.ops.upsampling_conv import nearest_upsampling_conv2d, upsampling_conv2d
from tests.ops.oracles import correlate_valid
from tests.tolerances import OP, relative_error


@pytest.mark.parametrize("side", [1, 3, 5])
def test_correlates_the_zero_inserted_signal(rng, side):
    x, kernel = rng.normal(size=(1, 3, 4, 2)), rng.normal(size=(side, side, 2, 3))
    fine = np.zeros((6, 8, 2))
    fine[::2, ::2] = x[0]
    fine = np.pad(fine, [(side - 1, side - 1)] * 2 + [(0, 0)])
    expected = np.stack(
        [sum(correlate_valid(fine[..., i], kernel[..., i, o]) for i in range(2)) for o in range(3)],
        axis=-1,
    )
    with jax.enable_x64(True):
        y = upsampling_conv2d(jnp.asarray(x), jnp.asarray(kernel))
    assert y.shape == (1, 6 + side - 1, 8 + side - 1, 3)
    assert relative_error(y[0], expected) <= OP["float64"]


@pytest.mark.parametrize("shape", [(1, 3, 4, 2), (2, 1, 1, 3)])
def test_correlates_the_repeated_signal(rng, shape):
    x, kernel = rng.normal(size=shape), rng.normal(size=(3, 3, shape[-1], 3))
    fine = np.pad(x.repeat(2, 1).repeat(2, 2), ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = sum(
        fine[:, u : u + 2 * shape[1], v : v + 2 * shape[2]] @ kernel[u, v]
        for u in range(3)
        for v in range(3)
    )
    with jax.enable_x64(True):
        y = nearest_upsampling_conv2d(jnp.asarray(x), jnp.asarray(kernel))
    assert y.shape == expected.shape
    assert relative_error(y, expected) <= OP["float64"]


def test_derivatives_behind_repetition(rng):
    with jax.enable_x64(True):
        x, kernel = jnp.asarray(rng.normal(size=(1, 2, 3, 2))), jnp.ones((3, 3, 2, 1))
        check_grads(nearest_upsampling_conv2d, (x, kernel), order=2, modes=["rev"])


def test_derivatives(rng):
    with jax.enable_x64(True):
        x, kernel = jnp.asarray(rng.normal(size=(1, 3, 2, 2))), jnp.ones((3, 3, 2, 1))
        check_grads(upsampling_conv2d, (x, kernel), order=2, modes=["rev"])


@pytest.mark.parametrize("shape", [(2, 2, 1, 1), (3, 1, 1, 1), (3, 3, 1)])
def test_bad_kernels_are_named(shape):
    with pytest.raises(ValueError, match=r"kernel must be \(k, k, I, O\) with an odd k, got shape"):
        upsampling_conv2d(jnp.ones((1, 4, 4, 1)), jnp.ones(shape))


@pytest.mark.parametrize("shape", [(2, 2, 1, 1), (5, 5, 1, 1), (3, 3, 1)])
def test_bad_kernels_behind_repetition_are_named(shape):
    with pytest.raises(ValueError, match=r"kernel must be \(3, 3, I, O\), got shape"):
        nearest_upsampling_conv2d(jnp.ones((1, 4, 4, 1)), jnp.ones(shape))
