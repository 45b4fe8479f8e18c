"""Derivatives: checked by differences, and linear methods by their transposed matrices."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.ops.downsample import METHODS, average_pool, downsample, interpolate_cells

LINEAR = [m for m in METHODS if m not in ("median", "bilateral", "adaptive")]


@pytest.mark.parametrize("method", METHODS)
def test_derivatives_by_differences(method):
    order = 1 if method in ("median", "bilateral", "adaptive") else 2
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).uniform(size=(1, 9, 12, 2)))
        check_grads(
            lambda v: jnp.sin(downsample(v, 3, method=method, phase="aligned")),
            (x,),
            order=order,
            atol=1e-4,
            rtol=1e-4,
            eps=1e-6,  # so near that the median stays where it is, and colours on their side
        )


@pytest.mark.parametrize("method", LINEAR)
def test_the_gradient_is_the_transpose(method):
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        x = jnp.asarray(rng.normal(size=(1, 23, 26, 3)))

        def function(v):
            return downsample(v, 4, method=method)

        y, pull = jax.vjp(function, x)
        other = jnp.asarray(rng.normal(size=y.shape))
        np.testing.assert_allclose(jnp.vdot(y, other), jnp.vdot(x, pull(other)[0]), rtol=1e-12)
        tangent = jax.jvp(function, (x,), (x,))[1]
        np.testing.assert_allclose(tangent, y, atol=1e-14)


def test_single_filters_have_gradients():
    x = np.random.default_rng(2).uniform(size=(8, 8, 1)).astype(np.float32)
    # Every pixel lies in one window, whose mean it is a sixteenth of.
    pooled = jax.grad(lambda v: average_pool(v, 4, size=4).sum())(x)
    np.testing.assert_allclose(pooled, 1 / 16, rtol=1e-6)
    # Between four pixels, a quarter of each.
    read = jax.grad(lambda v: interpolate_cells(v, 4).sum())(x)[..., 0]
    expected = np.zeros((8, 8))
    expected[np.ix_([1, 2, 5, 6], [1, 2, 5, 6])] = 0.25
    np.testing.assert_allclose(read, expected, atol=1e-7)


@pytest.mark.parametrize("method", ["lanczos", "median", "bilateral"])
def test_vmap_is_a_batch(method):
    x = np.random.default_rng(3).uniform(size=(3, 12, 12, 2)).astype(np.float32)
    ours = jax.vmap(lambda v: downsample(v, 4, method=method))(x)
    np.testing.assert_allclose(ours, downsample(x, 4, method=method), atol=1e-6)
