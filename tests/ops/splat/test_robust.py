"""Values and gradients stay finite whatever the points, and what can't be used weighs nothing."""

import functools

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies
from jax import numpy as jnp

from aa_jax.ops.splat import interpolate, splat
from tests.ops.splat import oracle
from tests.tolerances import relative_error

POINTS, SIZE = 6, (5, 7)
MODELS = {
    "constant": functools.partial(interpolate, support=None),
    "window": functools.partial(interpolate, window="smooth"),
    "linear": functools.partial(interpolate, regression="linear"),
    "sum": functools.partial(splat, footprint=0.3),
}


@functools.partial(jax.jit, static_argnums=0)
def everything(model, points, values, width):
    """Image, and gradients of a curved function of it."""

    def loss(*arguments):
        image = MODELS[model](*arguments, size=SIZE, capacity=POINTS).image
        return jnp.sum(jnp.sin(image)), image

    (_, image), gradients = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(points, values, width)
    return image, gradients


coordinates = strategies.one_of(
    strategies.floats(-3, 10, width=32),
    strategies.floats(-1e9, 1e9, width=32),
    strategies.sampled_from([0.0, 2.0, 2.5]),  # several points in one place
)
sigmas = strategies.floats(-6, 5).map(lambda exponent: 10**exponent)


@pytest.mark.parametrize("model", MODELS)
@hypothesis.given(
    strategies.lists(coordinates, min_size=2 * POINTS, max_size=2 * POINTS),
    strategies.lists(sigmas, min_size=POINTS, max_size=POINTS),
)
@hypothesis.settings(max_examples=40, derandomize=True)
def test_finite(model, flat, sigma):
    points = np.reshape(flat, (POINTS, 2)).astype(np.float32)
    values = np.linspace(-1, 1, POINTS * 2, dtype=np.float32).reshape(POINTS, 2)
    image, gradients = everything(model, points, values, np.asarray(sigma, np.float32))
    assert np.isfinite(image).all()
    if model != "sum":  # a mean lies among the values, a plane somewhat beyond
        assert np.abs(image).max() <= (1 + 1e-5 if model != "linear" else 1e3)
    for gradient in gradients:
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("model", MODELS)
def test_what_cannot_be_used(rng, model):
    """Traced, so that no error can be raised: the rest is rendered as if alone."""
    points = rng.uniform(0, 6, (POINTS, 2)).astype(np.float32)
    values = rng.normal(size=(POINTS, 2)).astype(np.float32)
    covariance = oracle.squared(oracle.factors(rng, POINTS)).astype(np.float32)
    image, gradients = everything(model, points[:3], values[:3], covariance[:3])
    points[3], values[4] = [np.nan, 1], [0, np.inf]
    for wrong in ([[1, 2], [2, 1]], [[-1, 0], [0, -1]], np.full((2, 2), np.nan), np.zeros((2, 2))):
        covariance[5] = wrong
        same, others = everything(model, points, values, covariance)
        assert relative_error(same, image) < 1e-6
        for expected, actual in zip(gradients, others, strict=True):
            np.testing.assert_array_equal(actual[3:], 0)
            assert relative_error(actual[:3], expected) < 1e-5


def test_standard_deviations_that_are_none(rng):
    points = rng.uniform(0, 6, (POINTS, 2)).astype(np.float32)
    values = rng.normal(size=(POINTS, 2)).astype(np.float32)
    sigma = np.array([0.8, 1.2, -1, 0, np.nan, np.inf], np.float32)
    points[0, 0] = 1e9
    image, gradients = everything("constant", points, values, sigma)
    # The second alone is of any use.
    np.testing.assert_allclose(image, np.broadcast_to(values[1], image.shape), rtol=1e-6)
    points_gradient, values_gradient, sigma_gradient = gradients
    np.testing.assert_array_equal(np.delete(values_gradient, 1, 0), 0)
    np.testing.assert_allclose(points_gradient, 0, atol=1e-4)
    np.testing.assert_allclose(sigma_gradient, 0, atol=1e-4)  # rounding
    sigma[1] = -1
    image, gradients = everything("constant", points, values, sigma)
    assert np.isfinite(image).all()
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, 0)
