"""Anti-aliasing of mixtures: images at a scale are averages over their pixels."""

import numpy as np
import pytest

from aa_jax.ops.splat import PIXEL_FOOTPRINT, interpolate, splat
from tests.ops.splat import oracle
from tests.tolerances import relative_error


def test_footprint_averages_over_pixels(rng, x64):
    points = rng.uniform(0, 16, (12, 2))
    values = rng.uniform(0.5, 1, (12, 2))
    covariance = oracle.squared(oracle.factors(rng, 12, widest=1.5, narrowest=0.6))
    fine = splat(points, values, covariance, size=(64, 64), scale=4.0, support=6.0)
    average = np.asarray(fine.image).reshape(8, 8, 8, 8, 2).mean((1, 3))
    options = {"size": (8, 8), "scale": 0.5, "support": 6.0}
    filtered = splat(points, values, covariance, **options, footprint=PIXEL_FOOTPRINT)
    sampled = splat(points, values, covariance, **options)
    assert relative_error(filtered.image, average) < 0.03
    assert relative_error(sampled.image, average) > 0.15


@pytest.mark.parametrize("scale, footprint", [(1.0, 0.0), (1.0, 0.9), (2.0, 0.7), (0.5, 0.8)])
def test_mass(rng, x64, scale, footprint):
    """The sum over pixels is that of the Gaussians' integrals, whatever the footprint."""
    points = rng.uniform(14, 18, (5, 2))
    values = rng.normal(size=(5, 2))
    covariance = oracle.squared(oracle.factors(rng, 5, widest=1.5, narrowest=1.0))
    side = int(32 * scale)
    result = splat(
        *(points, values, covariance),
        size=(side, side),
        support=None,
        scale=scale,
        footprint=footprint,
    )
    mass = 2 * np.pi * np.sqrt(np.linalg.det(covariance)) @ values * scale**2
    # Sampling a Gaussian of 0.94 px, the narrowest here, aliases exp(-2 (pi 0.94)^2) of it.
    assert relative_error(result.image.sum((0, 1)), mass) < 1e-6


def test_footprint_leaves_no_holes():
    points = oracle.grid(6, 7)
    values = np.sin(points)
    options = {"size": (12, 14), "scale": 2.0}
    assert not interpolate(points, values, 0.01, **options).covered.any()
    result = interpolate(points, values, 0.01, **options, footprint=PIXEL_FOOTPRINT)
    assert result.covered.all()
    # Each sample is alone in reach of the four pixels it was enlarged to.
    np.testing.assert_allclose(
        result.image, np.kron(values.reshape(6, 7, 2), np.ones((2, 2, 1))), rtol=1e-6
    )


def test_pixel_footprint_is_that_of_a_square():
    x = (np.arange(10000) + 0.5) / 10000 - 0.5
    assert abs(PIXEL_FOOTPRINT - x.std()) < 1e-8
