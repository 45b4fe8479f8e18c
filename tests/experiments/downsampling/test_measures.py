"""Aliased energy and restoration against cosine transforms, Pillow's weights and waves."""

import numpy as np
import pytest
from scipy import fft

from aa_jax.filters.resampling import resize_matrix
from experiments.downsampling import measures
from tests.experiments.downsampling import methods


def test_the_low_pass_cuts_the_cosine_transform(rng):
    image = rng.random((32, 32))
    coefficients = fft.dctn(image, norm="ortho")
    coefficients[8:], coefficients[:, 8:] = 0, 0
    expected = fft.idctn(coefficients, norm="ortho")
    found = measures.low_passed(image[None, ..., None].astype(np.float32), 4)
    np.testing.assert_allclose(found[0, ..., 0], expected, atol=1e-6)


def test_half_pixel_restoration_is_pillows():
    expected = resize_matrix(16, 64, "lanczos")
    np.testing.assert_allclose(measures.upsampling_matrix(16, 4, 1.5), expected, atol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1.5, 2.0])
def test_samples_return_to_their_places(offset):
    """A wave of 20 pixels, read every four, is there again; a small pixel aside it would not be."""
    pixels = np.arange(96)
    wave = np.cos(2 * np.pi * pixels / 20 + 0.4)
    samples = np.cos(2 * np.pi * (4 * np.arange(24) + offset) / 20 + 0.4)
    made = measures.upsampling_matrix(24, 4, offset) @ samples
    np.testing.assert_allclose(made[16:-16], wave[16:-16], atol=0.03)


def test_restored_images_stay_in_range(rng):
    small = rng.integers(0, 2, (1, 16, 16, 1)).astype(np.float32)
    made = np.asarray(measures.restored(small, 4, 0.0))
    assert made.min() >= 0 and made.max() <= 1
    np.testing.assert_allclose(made[:, ::4, ::4], small, atol=1e-6)


def waves(*frequencies) -> np.ndarray:
    """(1, 64, 64, 1): the sum of even waves, whose frequency is `k` half periods."""
    places = np.arange(64) + 0.5
    lines = sum(np.cos(np.pi / 64 * k * places) for k in frequencies)
    return np.broadcast_to(lines, (64, 64))[None, ..., None].astype(np.float32)


def share(reduce, images) -> float:
    small = np.asarray(reduce(images))
    of_low = np.asarray(reduce(np.asarray(measures.low_passed(images, 4))))
    return float(measures.aliased_share(small, of_low, 4)[0])


def test_waves_beyond_nyquist_are_aliased():
    assert share(methods.subsample, waves(5)) < 1e-9
    assert share(methods.subsample, waves(20)) > 1 - 1e-6
    # Half of the energy each; what subsampling makes of them are waves of one height.
    assert 0.3 < share(methods.subsample, waves(5, 20)) < 0.7
    # The mean of four pixels passes sinc(f) of a wave: little of the faster one.
    slow, fast = (np.sin(np.pi * k / 32) / (4 * np.sin(np.pi * k / 128)) for k in (5, 20))
    expected = fast**2 / (fast**2 + slow**2)
    assert share(methods.area, waves(5, 20)) == pytest.approx(expected, rel=0.35)


def test_a_constant_has_nothing_aliased():
    assert share(methods.subsample, np.full((1, 64, 64, 1), 0.5, np.float32)) == 0
