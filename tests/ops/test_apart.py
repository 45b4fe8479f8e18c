"""What runs apart gives the same, and XLA leaves the branch alone."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.ops.apart import apart, zeros_beside


def double(x):
    return [2 * x, x.astype(jnp.float16)[:, 1:]]


@pytest.mark.parametrize("value", [1.5, np.inf, -np.inf, np.nan])
def test_the_branch_is_taken_whatever_the_data_hold(value):
    x = jnp.full((2, 3, 4), value)
    for ours, plain in zip(jax.jit(lambda x: apart(double, x))(x), double(x), strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_what_it_waits_for_does_not_matter():
    def run(x, before):
        return apart(double, x, after=[before])[0]

    x = jnp.ones((2, 3, 4))
    np.testing.assert_array_equal(run(x, jnp.full((5,), np.nan)), 2 * x)


def test_padding_does_not_give_the_branch_away():
    run = jax.jit(lambda x: apart(double, jnp.pad(x, ((0, 0), (1, 1), (0, 0)))))
    assert "conditional(" in run.lower(jnp.ones((2, 3, 4))).compile().as_text()


def test_zeros_have_the_batch_and_channels_of_their_neighbour():
    zeros = zeros_beside(jnp.ones((2, 3, 4, 5)), (7, 1), jnp.int32)
    assert zeros.shape == (2, 7, 1, 5) and zeros.dtype == jnp.int32 and not zeros.any()


def test_nothing_apart_is_nothing():
    assert apart(double, jnp.ones((0, 3, 4)))[0].shape == (0, 3, 4)
