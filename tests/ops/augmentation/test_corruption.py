"""Noise and boxes: distributions, and oracles that go from sample to sample."""

import jax
import numpy as np
import pytest
import scipy.special
import scipy.stats

from aa_jax.ops.augmentation import Augmentation, augment
from aa_jax.ops.augmentation.draws import draw

run = jax.jit(augment, static_argnames="augmentation")
NOISE, BOX = Augmentation(noise=1.0), Augmentation(cutout=1.0)
KEY = jax.random.key(7)


def test_noise():
    images = np.full((1500, 8, 8, 2), 0.5, np.float32)
    added = np.asarray(run(images, KEY, 0.6, NOISE), np.float64).reshape(1500, -1) - 0.5
    noisy = (added != 0).any(1)
    assert abs(noisy.mean() - 0.6) < 4 * np.sqrt(0.24 / 1500)
    # White and normal within an image; its deviation is the magnitude of a normal draw.
    deviation = added[noisy].std(1)
    whitened = added[noisy] / deviation[:, None]
    assert abs(np.mean(whitened[:, 1:] * whitened[:, :-1])) < 0.02
    assert abs(whitened.mean()) < 0.02 and abs(np.mean(whitened**4) - 3) < 0.15
    assert scipy.stats.kstest(deviation, scipy.stats.halfnorm(scale=0.1).cdf).pvalue > 1e-3


def test_noise_at_a_percentile():
    images = np.zeros((64, 16, 16, 1), np.float32)
    added = np.asarray(run(images, KEY, 0.0, NOISE, percentile=0.8))
    assert abs(added.std() / (0.1 * scipy.special.erfinv(0.8)) - 1) < 0.03


def boxed(images, centres, size):
    """Sets to zero what lies within the box, one sample after the other."""
    result = images.copy()
    _, height, width, _ = images.shape
    for image, (x, y) in zip(result, centres, strict=True):
        for i in range(height):
            for j in range(width):
                across, down = abs((j + 0.5) / width - x), abs((i + 0.5) / height - y)
                if across < size / 2 and down < size / 2:
                    image[i, j] = 0
    return result


@pytest.mark.parametrize("percentile", [0.1, 0.5, 0.85])
def test_box_at_a_percentile(rng, percentile):
    images = rng.normal(size=(2, 13, 18, 3)).astype(np.float32)
    expected = boxed(images, [(percentile, percentile)] * 2, 0.5)
    np.testing.assert_array_equal(run(images, KEY, 0.0, BOX, percentile=percentile), expected)


def test_boxes(rng):
    images = rng.normal(size=(600, 12, 10, 1)).astype(np.float32)
    result = np.asarray(run(images, KEY, 0.7, BOX))
    centres = np.asarray(
        jax.jit(draw, static_argnums=1)(KEY, 600, 0.7).uniform("cutout", 2), np.float64
    )
    assert (scipy.stats.kstest(centres, scipy.stats.uniform.cdf).pvalue > 1e-3).all()
    expected = boxed(images, centres, 0.5)
    cut = (result == expected).all((1, 2, 3))
    assert ((result == images).all((1, 2, 3)) | cut).all()
    assert abs(cut.mean() - 0.7) < 4 * np.sqrt(0.21 / 600)
    small = np.asarray(run(images, KEY, 1.0, Augmentation(cutout=1.0, cutout_size=0.2)))
    np.testing.assert_array_equal(small, boxed(images, centres, 0.2))
