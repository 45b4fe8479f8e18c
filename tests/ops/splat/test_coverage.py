"""Where points reach, what stands elsewhere, and what the two regressions and windows reproduce."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from scipy.spatial import cKDTree

from aa_jax.ops.splat import interpolate, splat
from tests.ops.splat import oracle
from tests.tolerances import relative_error

SIZE = 37, 41  # more positions than one round of the search takes


@pytest.fixture
def sparse(rng):
    """A few samples, some of them off the canvas."""
    return rng.uniform(-5, 45, (13, 2)), rng.normal(size=(13, 3))


def nearest(points, values, size=SIZE):
    _, index = cKDTree(points).query(oracle.grid(*size))
    return values[index].reshape(*size, -1)


def test_nearest_sample_where_nothing_reaches(sparse, x64):
    points, values = sparse
    result = interpolate(points, values, 0.8, size=SIZE)
    assert 0 < result.covered.sum() < 300
    uncovered = ~np.asarray(result.covered)
    np.testing.assert_array_equal(result.image[uncovered], nearest(points, values)[uncovered])


def test_nearest_sample_of_scaled_points(sparse, x64):
    points, values = sparse
    result = interpolate(points, values, 0.4, size=SIZE, scale=1.5)
    uncovered = ~np.asarray(result.covered)
    expected = nearest((points + 0.5) * 1.5 - 0.5, values)
    np.testing.assert_array_equal(result.image[uncovered], expected[uncovered])


def test_number_where_nothing_reaches(sparse):
    points, values = sparse
    result = interpolate(points, values, 0.8, size=SIZE, fallback=-2)
    inside = (oracle.grid(*SIZE)[:, None] - points) ** 2
    np.testing.assert_array_equal(result.covered.ravel(), (inside.sum(-1) <= 2.4**2).any(1))
    np.testing.assert_array_equal(result.image[~result.covered], -2)
    np.testing.assert_array_equal(splat(points, values, 0.8, size=SIZE).covered, result.covered)


@pytest.mark.parametrize("fallback", ["nearest", 0.5])
def test_no_gradient_where_nothing_reaches(sparse, fallback):
    points, values = sparse

    def loss(points, values, width):
        result = interpolate(points, values, width, size=SIZE, fallback=fallback)
        return jnp.sum(jnp.where(result.covered[..., None], 0, result.image) ** 2)

    gradients = jax.jit(jax.grad(loss, (0, 1, 2)))(
        jnp.asarray(points), jnp.asarray(values), jnp.full(13, 0.8)
    )
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, 0)


def test_no_width_gives_the_nearest_sample(sparse):
    points, values = sparse
    result = interpolate(points, values, 1e-6, size=SIZE, support=None)
    assert result.covered.all()
    assert relative_error(result.image, nearest(points, values)) < 1e-6


@pytest.mark.parametrize("regression", ["constant", "linear"])
def test_constant_image(rng, x64, regression):
    points = rng.uniform(0, 12, (30, 2))
    result = interpolate(
        *(points, np.full((30, 1), 0.7), oracle.squared(oracle.factors(rng, 30))),
        size=(9, 12),
        window="smooth",
        regression=regression,
    )
    np.testing.assert_allclose(result.image, 0.7, rtol=1e-9)


def test_ramp(rng, x64):
    """The plane has no bias at borders; the mean has, towards the samples' side."""
    size = 9, 12
    points = rng.uniform([2, 2], [10, 7], (60, 2))
    slope = np.array([[0.3, -1.0], [0.5, 0.2]])
    options = {"size": size, "support": None}
    ramp = (oracle.grid(*size) @ slope + 2).reshape(*size, 2)
    plane = interpolate(points, points @ slope + 2, 1.5, **options, regression="linear", ridge=0)
    mean = interpolate(points, points @ slope + 2, 1.5, **options)
    np.testing.assert_allclose(plane.image, ramp, rtol=1e-8, atol=1e-8)
    assert np.abs(mean.image - ramp)[0, 0].max() > 0.5


def test_lone_sample_in_a_plane(x64):
    """One sample tells no slope: the plane is level, and finite on the sample itself."""
    result = interpolate([[2.0, 3.0]], [[0.6]], 1.0, size=(6, 5), regression="linear", fallback=0.0)
    np.testing.assert_allclose(result.image[result.covered], 0.6, rtol=1e-12)


def test_samples_on_a_line(x64):
    """They tell no slope across it; along it the plane is theirs, with hardly a ridge either."""
    points = np.stack([np.arange(7.0), np.full(7, 2.0)], -1)
    for ridge, tolerance in ((0, 1e-6), (1e-6, 1e-4)):
        result = interpolate(
            *(points, points[:, :1], 1.0),
            size=(5, 7),
            support=None,
            regression="linear",
            ridge=ridge,
        )
        np.testing.assert_allclose(result.image[2, :, 0], np.arange(7), atol=tolerance)
        assert np.isfinite(result.image).all()


def test_smooth_window_has_no_edge(x64):
    """A second sample comes within reach of a position: only the smooth window fades it in."""

    def value(distance, window):
        points = np.array([[0.5, 0.0], [distance, 0.0]])
        result = interpolate(
            points, [[0.0], [1.0]], 1.0, queries=[[0.0, 0.0]], support=2.0, window=window
        )
        return float(result.image[0, 0])

    step = 1e-3
    for window, jumps in (("ellipse", True), ("smooth", False)):
        inside, outside = value(2 - step, window), value(2 + step, window)
        assert outside == 0
        assert (inside > 0.1) if jumps else (0 < inside < 1e-7)
