"""Resampling through affine maps: a SciPy oracle with the published, dynamic margins."""

import jax
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from jax import numpy as jnp

from aa_jax.ops.augmentation.warp import reach, warp
from tests.tolerances import relative_error

TAPS = np.array(  # sym6 of unit norm, as tabulated: 12 digits are right
    [
        0.015404109327027373,
        0.0034907120842174702,
        -0.11799011114819057,
        -0.048311742585633,
        0.4910559419267466,
        0.787641141030194,
        0.3379294217276218,
        -0.07263752278646252,
        -0.021060292512300564,
        0.04472490177066578,
        0.0017677118642428036,
        -0.007800708325034148,
    ]
) / np.sqrt(2)

warped = jax.jit(warp)


def oracle(images, linear, offset):
    """One image after the other, in a frame as large as the batch asks for."""
    _, height, width, _ = images.shape
    sizes = np.array([width, height])
    corners = np.array([[i, j] for i in (-1, 1) for j in (-1, 1)]) * (sizes - 1) / 2
    sources = np.concatenate([corners @ a.T + b for a, b in zip(linear, offset, strict=True)])
    past = np.stack([-sources.min(0), sources.max(0)]) + 6 - (sizes - 1) / 2
    (left, top), (right, bottom) = np.ceil(np.clip(past, 0, sizes - 1)).astype(int)
    results = np.empty_like(images)
    for image, a, b, result in zip(images, linear, offset, results, strict=True):
        for channel in range(images.shape[-1]):
            plane = np.pad(image[..., channel], ((top, bottom), (left, right)), mode="reflect")
            fine = np.zeros((2 * plane.shape[0], 2 * plane.shape[1]))
            fine[::2, ::2] = plane
            fine = scipy.signal.convolve2d(np.pad(fine, (6, 5)), 4 * np.outer(TAPS, TAPS), "valid")
            # Output samples of the doubled grid, as points of the image from its middle.
            y, x = (np.arange(2 * n + 12) - (2 * n + 12) / 2 + 1 for n in (height, width))
            points = np.stack(np.meshgrid(x / 2, y / 2), -1) @ a.T + b
            # Sample 0 of the image is at the fine grid's 2 * (left, top).
            columns, rows = np.moveaxis(points + (sizes - 1) / 2, -1, 0)
            places = [2 * (rows + top), 2 * (columns + left)]
            turned = scipy.ndimage.map_coordinates(fine, places, order=1, mode="grid-constant")
            turned = scipy.signal.correlate2d(turned[1:-1, 1:-1], np.outer(TAPS, TAPS), "valid")
            result[..., channel] = turned[::2, ::2]
    return results


def maps(rng, batch, spread):
    linear = np.eye(2) + spread * rng.normal(size=(batch, 2, 2))
    return linear.astype(np.float32), (4 * spread * rng.normal(size=(batch, 2))).astype(np.float32)


# Gentle: margins of a few samples. Wild: the margins end at the whole image, and zeros show.
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.15, 2.0])
def test_agrees_with_oracle(rng, spread):
    images = rng.normal(size=(3, 14, 19, 2))
    linear, offset = maps(rng, 3, spread)
    expected = oracle(images, linear.astype(np.float64), offset.astype(np.float64))
    if spread == 2.0:
        assert (expected == 0).any()
    assert relative_error(warped(images.astype(np.float32), linear, offset), expected) <= 2e-5
    with jax.enable_x64(True):
        assert relative_error(warped(jnp.asarray(images), linear, offset), expected) <= 1e-11


def test_margins():
    reached = jax.jit(reach, static_argnums=(2, 3))
    linear = np.float32([[[1, 0], [0, 1]], [[0, -1], [1, 0]]])
    still = np.zeros((2, 2), np.float32)
    # A quarter turn of 30 x 40 reads five rows too many at either side, and six more are needed.
    np.testing.assert_array_equal(reached(linear, still, 30, 40), [[11, 11], [6, 6]])
    np.testing.assert_array_equal(reached(linear, still + 3.5, 30, 40), [[8, 15], [3, 10]])
    np.testing.assert_array_equal(reached(linear, still + 100, 30, 40), [[0, 29], [0, 39]])


def test_maps_between_samples_of_one_grid_are_exact(rng):
    """The filters are orthogonal to their even shifts: up and down again is the identity."""
    images = rng.normal(size=(3, 14, 19, 2)).astype(np.float32)
    linear = np.tile(np.eye(2, dtype=np.float32), (3, 1, 1))
    moved = warped(images, linear, np.float32([[3, -5], [-8, 0], [0, 0]]))
    mirrored = np.pad(images, ((0, 0), (8, 8), (8, 8), (0, 0)), mode="reflect")
    expected = [mirrored[0, 3:17, 11:30], mirrored[1, 8:22, 0:19], images[2]]
    assert relative_error(moved, expected) <= 5e-7


def test_a_lone_sample():
    """Has no neighbours to be mirrored: all around it is zero, and it comes back."""
    image = np.full((1, 1, 1, 1), 3.0, np.float32)
    result = warped(image, np.eye(2, dtype=np.float32)[None], np.zeros((1, 2), np.float32))
    expected = oracle(image.astype(np.float64), np.eye(2)[None], np.zeros((1, 2)))
    assert relative_error(result, expected) <= 1e-6
