"""The emulation of the published gradient: recorded arrays of it, and its failure."""

import numpy as np
import pytest

from experiments.interpolation import published_gradient as published
from tests import tolerances

GOLDEN = "motion_splat_face/gmm_imagecolors_exact_vs_official.npz"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("order", ["published", "safe"])
def test_golden(golden, dtype, order):
    reference = golden(GOLDEN)
    picture = (reference["image_u8"] / 255).astype(dtype)
    widths = reference["stds"]
    mixture = published.forward(picture, reference["means"], widths, int(reference["radius"]))
    assert mixture.image.dtype == dtype
    tolerance = {"float64": 1e-12, "float32": 3e-6}[dtype]
    for ours, key in ((mixture.image, "out"), (mixture.mass, "Z")):
        assert tolerances.relative_error(ours, reference[key]) < max(tolerance, 2e-7)
    error = mixture.image - picture
    np.testing.assert_allclose(np.abs(error).mean(dtype=float), reference["l1"], rtol=1e-6)
    cotangent = np.sign(error) / picture.size
    gradients = published.backward(mixture, widths, cotangent, order=order)
    for ours, key in ((gradients.points, "means"), (gradients.widths, "stds")):
        expected = reference[f"d_{key}_official_kernel"]
        assert tolerances.relative_error(ours, expected) < tolerance
    # And it is not the gradient.
    exact = reference["d_means_exact"]
    norms = np.linalg.norm(gradients.points) * np.linalg.norm(exact)
    assert (gradients.points * exact).sum() / norms < 0.3


def test_the_overflow_and_how_it_spreads():
    # Pixels 13.5 widths away and more have a subnormal mass: its reciprocal overflows.
    picture = np.linspace(0, 1, 8 * 9 * 3, dtype=np.float32).reshape(8, 9, 3)
    points = np.array([[0.0, 3.0], [0.0, 4.0]], np.float32)
    widths = np.full((2, 2), 3 / 13.5, np.float32)
    mixture = published.forward(picture, points, widths, 3)
    subnormal = (mixture.mass > 0) & (mixture.mass < 2.9e-39)
    assert subnormal.sum() == 8
    assert (mixture.mass[:, 4:] == 0).all() and (mixture.image[:, 4:] == 0).all()
    cotangent = np.ones_like(picture)
    literal = published.backward(mixture, widths, cotangent)
    assert literal.overflowing == 8
    assert not np.isfinite(literal.points).all()
    safe = published.backward(mixture, widths, cotangent, order="safe")
    assert np.isfinite(safe.points).all()
    np.testing.assert_array_equal(
        published.without_nan(np.array([np.nan, np.inf, 1.0])), [0, np.inf, 1]
    )
    options = {"radius": 3, "rate": 1e-3, "momentum": 0.9, "halving": 100, "steps": 3}
    descent = published.descend(picture, points, 3 / 13.5, **options)
    gone = descent.points[~np.isclose(descent.points, points, atol=0.1)]
    assert descent.wrong[0] > 0 and gone.size > 0
    assert set(gone[np.isfinite(gone)]) <= {0.0, 8.0, 9.0}
    calm = published.descend(picture, points, 3 / 13.5, order="safe", **options)
    assert calm.wrong == [0, 0, 0]
    np.testing.assert_allclose(calm.points, points, atol=0.1)


def test_mistakes_are_named():
    picture = np.zeros((4, 4, 3), np.float32)
    points = np.ones((2, 2), np.float32)
    with pytest.raises(ValueError, match="picture, points and widths must be"):
        published.forward(picture, points, np.ones(2), 1)
    mixture = published.forward(picture, points, points, 1)
    with pytest.raises(ValueError, match="order must be 'published' or 'safe', got 'exact'"):
        published.backward(mixture, points, picture, order="exact")
