"""Spectral norms against singular value decompositions."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.nn import Conv
from aa_jax.nn.initializers import uniform_fan_in
from aa_jax.nn.spectral_norm import SpectralNormConv, power_iteration
from aa_jax.training.state import collect_stats, merge, split
from tests.tolerances import OP, relative_error


@pytest.fixture(scope="module")
def layer():
    options = dict(use_bias=True, padding=1, kernel_init=uniform_fan_in, rngs=nnx.Rngs(0))
    return SpectralNormConv(3, 5, 4, **options)


def forward(graphdef, params, stats, x, *, train):
    network = merge(graphdef, params, stats)
    return network(x, train=train), collect_stats(network)


def matrix_of(layer):
    """Outputs first, then inputs, rows and columns of taps, as published vectors have it."""
    kernel = np.asarray(layer.kernel[...], np.float64)
    return kernel.transpose(3, 2, 0, 1).reshape(kernel.shape[3], -1)


def test_power_iteration_is_its_formula(rng):
    matrix, start = rng.normal(size=(12, 5)), rng.normal(size=5)
    u, v = power_iteration(jnp.float32(matrix), jnp.float32(start))
    expected_v = matrix @ start / np.linalg.norm(matrix @ start)
    expected_u = matrix.T @ expected_v / np.linalg.norm(matrix.T @ expected_v)
    assert relative_error(v, expected_v) < OP["float32"]
    assert relative_error(u, expected_u) < OP["float32"]
    # A kernel of zeros has no direction, and gives zeros rather than NaN.
    assert not np.any(power_iteration(jnp.zeros((12, 5)), jnp.float32(start))[0])


def test_training_converges_to_the_largest_singular_value(layer, rng):
    graphdef, params, stats = split(layer)
    x = jnp.float32(rng.normal(size=(1, 6, 6, 3)))
    step = jax.jit(lambda stats: forward(graphdef, params, stats, x, train=True))
    for _ in range(200):
        y, stats = step(stats)
    left, singular, right = np.linalg.svd(matrix_of(layer), full_matrices=False)
    moved = merge(graphdef, params, stats)
    assert float(moved.norm()) == pytest.approx(singular[0], rel=1e-5)
    sign = np.sign(left[0, 0] * moved.u[0])
    np.testing.assert_allclose(moved.u[...], sign * left[:, 0], atol=1e-3)
    np.testing.assert_allclose(moved.v[...], sign * right[0], atol=1e-3)
    plain = Conv(3, 5, 4, padding=1, use_bias=True, rngs=nnx.Rngs(1))
    plain.kernel[...] = layer.kernel[...] / np.float32(singular[0])
    plain.bias[...] = layer.bias[...]
    assert relative_error(y, plain(x)) < 1e-4
    # The kernel itself is as it was, and evaluation with the new vectors gives the same.
    assert relative_error(moved(x), y) < OP["float32"]


def test_start_is_one_iteration(layer):
    matrix, v = matrix_of(layer), np.asarray(layer.v[...], np.float64)
    image = matrix @ v
    np.testing.assert_allclose(layer.u[...], image / np.linalg.norm(image), atol=1e-6)
    assert 0 < float(layer.norm()) <= np.linalg.norm(matrix, 2) * (1 + 1e-6)


def test_state_is_stored_with_the_network_but_not_trained(layer):
    _, params, stats = split(layer)
    assert set(params) == {"kernel", "bias"} and set(stats) == {"u", "v"}
    assert stats["u"].shape == (5,) and stats["v"].shape == (3 * 4 * 4,)


def test_gradient_goes_through_sigma_but_not_through_its_vectors(layer, rng):
    """d(K / s) = dK / s - K <u v, dK> / s^2, contracted with what comes from above."""
    graphdef, params, stats = split(layer)
    x = jnp.float32(rng.normal(size=(2, 5, 5, 3)))
    plain = Conv(3, 5, 4, padding=1, use_bias=True, rngs=nnx.Rngs(1))
    other, _, _ = split(plain)

    def loss(params):
        return jnp.sum(jnp.sin(forward(graphdef, params, stats, x, train=True)[0]))

    def plain_loss(kernel):
        params = {"kernel": kernel, "bias": layer.bias[...]}
        return jnp.sum(jnp.sin(merge(other, params, {})(x)))

    gradient = jax.jit(jax.grad(loss))(params)["kernel"]
    # The vectors after the one iteration of this call.
    matrix = matrix_of(layer)
    v = matrix.T @ np.asarray(layer.u[...], np.float64)
    v /= np.linalg.norm(v)
    u = matrix @ v / np.linalg.norm(matrix @ v)
    sigma = u @ matrix @ v
    above = jax.jit(jax.grad(plain_loss))(layer.kernel[...] / np.float32(sigma))
    above = np.asarray(above, np.float64)
    outer = np.outer(u, v).reshape(5, 3, 4, 4).transpose(2, 3, 1, 0)
    kernel = np.asarray(layer.kernel[...], np.float64)
    expected = above / sigma - outer * np.sum(above * kernel) / sigma**2
    assert relative_error(gradient, expected) < 2 * OP["float32"]


def test_derivatives_in_evaluation():
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        layer = SpectralNormConv(2, 3, 2, param_dtype="float64", rngs=nnx.Rngs(0))
        graphdef, params, stats = split(layer)
        x = jnp.asarray(rng.normal(size=(1, 3, 3, 2)))
        function = jax.jit(
            lambda kernel, x: forward(graphdef, {"kernel": kernel}, stats, x, train=False)[0]
        )
        check_grads(function, (params["kernel"], x), order=2, rtol=1e-6)


def test_16_bit_weights_keep_wide_vectors(rng):
    layer = SpectralNormConv(
        2, 3, 2, param_dtype=jnp.bfloat16, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)
    )
    assert layer.u.dtype == layer.v.dtype == layer.norm().dtype == jnp.float32
    assert layer(jnp.zeros((1, 4, 4, 2), jnp.bfloat16), train=True).dtype == jnp.bfloat16


def test_refuses_groups():
    with pytest.raises(ValueError, match="groups must be 1 for a spectral norm, got 2"):
        SpectralNormConv(4, 4, 3, groups=2, rngs=nnx.Rngs(0))
