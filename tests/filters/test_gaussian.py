import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import ndimage

from aa_jax.filters import (
    downsampling_gaussian,
    downsampling_sigma,
    downsampling_stride,
    gaussian,
    half_value_gaussian,
)

# scale: (sigma, taps, stride, centre of the 2-D kernel), worked by hand from the rule.
SCALES = {
    0.8: (0.125, 1, 1, 1.0),
    0.7: (3 / 14, 3, 1, 0.999925),
    0.5: (0.5, 5, 2, 0.618694),
    0.4: (0.75, 7, 2, 0.282925),
    1 / 3: (1.0, 9, 3, 0.159156),
    0.3: (7 / 6, 11, 3, 0.116930),
    0.25: (1.5, 13, 4, 0.070737),
    0.125: (3.5, 29, 8, 0.012993),
}


@pytest.mark.parametrize("scale", SCALES)
def test_downsampling_rule(scale):
    sigma, numtaps, stride, centre = SCALES[scale]
    taps = downsampling_gaussian(scale)
    assert downsampling_sigma(scale) == pytest.approx(sigma, rel=1e-14)
    assert len(taps) == numtaps
    assert downsampling_stride(scale) == stride
    assert np.outer(taps, taps)[numtaps // 2, numtaps // 2] == pytest.approx(centre, abs=5e-7)


def test_scale_one_leaves_the_signal_alone():
    np.testing.assert_array_equal(downsampling_gaussian(1.0), [1.0])
    assert downsampling_stride(1.0) == 1


@given(st.integers(1, 400))
def test_stride_of_a_whole_reduction_is_exact(factor):
    assert downsampling_stride(1 / factor) == factor


@given(st.floats(0.3, 6.0))
def test_standard_deviation_convention_is_scipys(sigma):
    impulse = np.zeros(101)
    impulse[50] = 1.0
    radius = math.ceil(4 * sigma)
    expected = ndimage.gaussian_filter1d(impulse, sigma, radius=radius)
    taps = gaussian(sigma, radius=radius)
    np.testing.assert_allclose(taps, expected[50 - radius : 51 + radius], atol=1e-15)


@given(st.floats(1.0, 12.0))
def test_half_value_convention_halves_at_its_width(width):
    # Interpolated in the exponent, where the curve is a parabola through the samples.
    taps = half_value_gaussian(width)
    radius = math.floor(3 * width)
    assert len(taps) == 2 * radius + 1
    logs = np.log2(taps / taps[radius])
    curvature = np.polyfit(np.arange(-radius, radius + 1), logs, 2)[0]
    assert curvature * width**2 == pytest.approx(-1.0, rel=1e-6)


@given(st.floats(0.5, 8.0))
def test_the_two_conventions_differ_by_a_known_factor(width):
    sigma = width / math.sqrt(2 * math.log(2))
    np.testing.assert_allclose(
        half_value_gaussian(width, radius=20), gaussian(sigma, radius=20), atol=1e-14
    )


def test_narrow_half_value_blur_is_the_identity():
    np.testing.assert_array_equal(half_value_gaussian(0.33), [1.0])


@pytest.mark.parametrize("design", [gaussian, half_value_gaussian])
def test_sums_to_one_and_symmetric(design):
    taps = design(1.7)
    assert taps.sum() == pytest.approx(1.0, abs=1e-15)
    np.testing.assert_array_equal(taps, taps[::-1])


@pytest.mark.parametrize("design", [gaussian, half_value_gaussian])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_widths(design, value):
    with pytest.raises(ValueError, match="must be a positive, finite number of samples"):
        design(value)


@pytest.mark.parametrize("radius", [-1, 1.5])
def test_bad_radius(radius):
    with pytest.raises(ValueError, match="radius must be a non-negative integer"):
        gaussian(1.0, radius=radius)


@pytest.mark.parametrize("rule", [downsampling_sigma, downsampling_gaussian, downsampling_stride])
@pytest.mark.parametrize("scale", [0.0, 1.5, -0.5, float("nan")])
def test_bad_scales(rule, scale):
    with pytest.raises(ValueError, match=r"scale must lie in \(0, 1\]"):
        rule(scale)
