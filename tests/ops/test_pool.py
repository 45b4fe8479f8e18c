"""Max-pooling against XLA's windowed maximum, and which of equal samples gets the gradient."""

import jax
import numpy as np
import pytest
from jax import lax, numpy as jnp

from aa_jax.ops.pool import max_pool


@pytest.mark.parametrize("window, stride, padding", [(2, 1, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0)])
def test_agrees_with_windowed_maximum(rng, window, stride, padding):
    x = jnp.asarray(rng.normal(size=(2, 7, 8, 3)), jnp.float32)

    def reference(x):
        return lax.reduce_window(
            x,
            np.float32(-np.inf),
            lax.max,
            (1, window, window, 1),
            (1, stride, stride, 1),
            ((0, 0), (padding, padding), (padding, padding), (0, 0)),
        )

    y, vjp = jax.vjp(lambda x: max_pool(x, window=window, stride=stride, padding=padding), x)
    expected, reference_vjp = jax.vjp(reference, x)
    np.testing.assert_array_equal(y, expected)
    cotangent = jnp.asarray(rng.normal(size=y.shape), jnp.float32)
    np.testing.assert_allclose(vjp(cotangent)[0], reference_vjp(cotangent)[0], atol=1e-6)


def test_first_of_equal_samples_gets_the_gradient():
    x = jnp.zeros((1, 2, 2, 1)).at[0, 0, 1].set(1.0).at[0, 1, 0].set(1.0)
    gradient = jax.grad(lambda x: max_pool(x, window=2).sum())(x)
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[0.0, 1.0], [0.0, 0.0]])


@pytest.mark.parametrize("place", [0, 1, 2])
def test_nan_is_not_lost(place):
    x = jnp.zeros((1, 1, 3, 1)).at[0, 0, place].set(jnp.nan)
    assert np.isnan(max_pool(jnp.repeat(x, 3, 1), window=3)).all()


@pytest.mark.parametrize(
    "shape, options, message",
    [
        ((4, 4), {"window": 2}, r"x must have shape .* got \(4, 4\)"),
        ((1, 4, 4, 1), {"window": 0}, "window and stride must be at least 1"),
        ((1, 4, 4, 1), {"window": 3, "padding": 2}, "padding between 0 and window // 2"),
        ((1, 2, 2, 1), {"window": 3}, "window=3 must fit the padded map"),
    ],
)
def test_bad_input_is_named(shape, options, message):
    with pytest.raises(ValueError, match=message):
        max_pool(jnp.zeros(shape), **options)
