"""Pyramids: values by SciPy, exact reconstruction, the model's scales, mistakes."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from scipy import ndimage

from aa_jax.ops.downsample import antialias_interpolate
from aa_jax.ops.pyramid import (
    gaussian_pyramid,
    image_pyramid,
    laplacian_pyramid,
    reconstruct,
)

ROW = np.array([1, 4, 6, 4, 1]) / 16


def noise(*shape):
    return np.random.default_rng(0).uniform(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(2, 32, 48, 3), (21, 27, 1)])
def test_gaussian_levels_by_scipy(shape):
    x = noise(*shape)
    levels = gaussian_pyramid(x, 3)
    np.testing.assert_array_equal(levels[0], x)
    expected = x.astype(float)
    for level in levels[1:]:
        for axis in (-3, -2):
            expected = ndimage.correlate1d(expected, ROW, axis, mode="mirror")
        expected = expected[..., ::2, ::2, :]
        np.testing.assert_allclose(level, expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 32, 48, 3), (21, 26, 1), (1, 3, 4, 2)])
def test_bands_add_up_again(shape):
    with jax.enable_x64(True):
        x = jnp.asarray(noise(*shape), jnp.float64)
        bands = laplacian_pyramid(x, 2 if min(shape[-3:-1]) < 5 else 4)
        np.testing.assert_allclose(reconstruct(bands), x, atol=1e-15)
    bands = laplacian_pyramid(noise(*shape), 2)
    np.testing.assert_allclose(reconstruct(bands), noise(*shape), atol=2e-7)


@pytest.mark.parametrize("size", [16, 17])
def test_flat_images_and_ramps_have_empty_bands(size):
    """A level lies in place: doubled, a ramp meets itself, up to the borders."""
    ramp = np.arange(size, dtype=np.float32)[:, None, None] * np.ones((1, size, 1), np.float32)
    band, _ = laplacian_pyramid(ramp, 2)
    np.testing.assert_allclose(band[4:-4], 0, atol=1e-5)
    band, last = laplacian_pyramid(np.ones_like(ramp), 2)
    np.testing.assert_allclose(band, 0, atol=1e-6)
    np.testing.assert_allclose(last, 1, atol=1e-6)


def test_the_pyramid_of_the_motion_model():
    x = noise(2, 33, 40, 3)
    images = image_pyramid(x, (1, 0.5, 0.25, 0.125))
    assert list(images) == [1, 0.5, 0.25, 0.125]
    np.testing.assert_array_equal(images[1], x)
    # Each is made of the images themselves, not of the scale before.
    for scale in (0.5, 0.25, 0.125):
        np.testing.assert_array_equal(images[scale], antialias_interpolate(x, scale))
    assert images[0.125].shape == (2, 5, 5, 3)


def test_a_pyramid_is_differentiable():
    x = noise(1, 12, 12, 1)
    gradient = jax.grad(lambda v: sum((b**2).sum() for b in laplacian_pyramid(v, 3)))(x)
    step = 1e-2 * noise(1, 12, 12, 1)

    def loss(v):
        return sum(float((np.asarray(b, float) ** 2).sum()) for b in laplacian_pyramid(v, 3))

    difference = (loss(x + step) - loss(x - step)) / 2
    np.testing.assert_allclose(np.vdot(gradient, step), difference, rtol=1e-3)


IMAGE = np.zeros((8, 9, 1), np.float32)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gaussian_pyramid(IMAGE[0], 2), "images must be floats of shape"),
        (lambda: gaussian_pyramid(IMAGE.astype(int), 2), "images must be floats .* got int"),
        (lambda: gaussian_pyramid(IMAGE, 0), "levels must be a positive integer, got 0"),
        (lambda: laplacian_pyramid(IMAGE, 4), "levels=4 are too many .* a side of 2"),
        (lambda: reconstruct(()), "pyramid must hold one image at least"),
        (lambda: reconstruct((IMAGE, IMAGE)), r"pyramid must have ceil\(side / 2\) samples"),
        (lambda: image_pyramid(IMAGE, (2,)), "scale must lie in"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
