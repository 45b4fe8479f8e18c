"""Random gains of octaves: distribution, power, and a SciPy oracle for the filters."""

import jax
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from aa_jax.ops.augmentation import Augmentation
from aa_jax.ops.augmentation.draws import draw
from aa_jax.ops.augmentation.frequency import apply_gains, octave_gains
from tests.tolerances import OP, relative_error

POWER = np.array([10, 1, 1, 1]) / 13
BATCH = 4000


@jax.jit
def numbers(seed, probability):
    return draw(jax.random.key(seed), BATCH, probability)


def drawn(probability, augmentation):
    return jax.jit(octave_gains, static_argnums=1)(numbers(5, probability), augmentation)


@pytest.mark.parametrize("band", range(4))
def test_one_octave(band):
    bands = np.eye(4)[band]
    gains = drawn(0.8, Augmentation(imgfilter=0.5, imgfilter_bands=tuple(bands)))
    gains = np.asarray(gains, np.float64)
    changed = (abs(gains - 1) > 1e-6).any(1)
    assert abs(changed.mean() - 0.4) < 4 * np.sqrt(0.24 / BATCH)
    np.testing.assert_allclose(gains**2 @ POWER, 1, rtol=1e-5)
    others = np.delete(gains, band, 1)
    np.testing.assert_allclose(others, others[:, :1].repeat(3, 1), rtol=1e-5)
    gain = np.log2(gains[changed, band] / others[changed, 0])
    assert scipy.stats.kstest(gain, scipy.stats.norm().cdf).pvalue > 1e-3


def test_octaves_are_independent_and_renormalised_one_by_one():
    expected = np.ones((BATCH, 4))
    for band in range(4):
        bands = tuple(np.eye(4)[band])
        expected *= np.asarray(drawn(0.7, Augmentation(imgfilter=1.0, imgfilter_bands=bands)))
    assert relative_error(drawn(0.7, Augmentation(imgfilter=1.0)), expected) <= OP["float32"]


def test_filters_agree_with_oracle(golden, rng):
    bank = golden("alias_free/augment.npz")["Hz_fbank"].astype(np.float64)
    images = rng.normal(size=(3, 22, 31, 2)).astype(np.float32)
    gains = np.exp2(rng.normal(size=(3, 4))).astype(np.float32)
    expected = []
    for image, taps in zip(images.astype(np.float64), gains @ bank, strict=True):
        for axis in (0, 1):
            image = scipy.ndimage.convolve1d(image, taps, axis, mode="mirror")
        expected.append(image)
    assert relative_error(jax.jit(apply_gains)(images, gains), expected) <= OP["float32"]


def test_equal_gains_scale():
    images = np.random.default_rng(0).normal(size=(2, 24, 24, 1)).astype(np.float32)
    result = jax.jit(apply_gains)(images, np.full((2, 4), 3.0, np.float32))
    assert relative_error(result, 9 * images) <= OP["float32"]
