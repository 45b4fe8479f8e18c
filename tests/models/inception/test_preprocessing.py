"""The three dialects against Pillow, SciPy, exact fractions, and numbers computed by PyTorch."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates

from aa_jax.models.inception import DIALECTS, inception_input, resize_as

# Two units in the last place of 255.
ROUNDING = 5e-5


def pictures(rng, height, width):
    """Noise of black and white, on which a bicubic filter overshoots."""
    return 255 * rng.integers(0, 2, (2, height, width, 3), dtype=np.uint8)


def row_of_squares(length):
    """A picture whose rows are i^2 mod 256, and its transpose."""
    row = (np.arange(length) ** 2 % 256).astype(np.uint8)
    wide = np.broadcast_to(row[None, None, :, None], (1, 4, length, 3))
    return wide, wide.swapaxes(1, 2)


@pytest.mark.parametrize("shape", [(64, 80), (333, 500)])
def test_clean_is_pillow_in_float_clipped(shape, rng):
    images = pictures(rng, *shape)
    channels = [
        [
            Image.fromarray(image[..., c].astype(np.float32)).resize((299, 299), Image.BICUBIC)
            for c in range(3)
        ]
        for image in images
    ]
    expected = np.moveaxis(np.asarray([[np.asarray(c) for c in i] for i in channels]), 1, -1)
    assert expected.min() < -1 and expected.max() > 256
    resized = np.asarray(resize_as(images, size=299, dialect="clean"))
    np.testing.assert_allclose(resized, expected.clip(0, 255), atol=2 * ROUNDING)
    assert np.any(resized != np.round(resized))


@pytest.mark.parametrize("dialect", ["pytorch", "tensorflow"])
def test_bilinear_coordinates(dialect, rng):
    height, width = 70, 420
    images = pictures(rng, height, width)
    grid = np.arange(299)
    grids = [
        (grid + 0.5) * n / 299 - 0.5 if dialect == "pytorch" else grid * n / 299
        for n in (height, width)
    ]
    where = np.meshgrid(*grids, indexing="ij")
    expected = np.empty((2, 299, 299, 3))
    for n, c in np.ndindex(2, 3):
        plane = images[n, ..., c].astype(np.float64)
        expected[n, ..., c] = map_coordinates(plane, where, order=1, mode="nearest")
    # Published positions are rounded to float32.
    resized = resize_as(images, size=299, dialect=dialect)
    np.testing.assert_allclose(resized, expected, atol=0.01)


def test_pytorch_to_the_last_digits():
    """Against PyTorch 2.13's interpolate(mode="bilinear", align_corners=False), float32."""
    at = [0, 1, 37, 101, 150, 222, 297, 298]
    known = {
        1000: [1.516722559928894, 20.65050506591797, 9.573577880859375, 227.20928955078125,
               83.954833984375, 81.28936767578125, 103.48309326171875, 173.12554931640625],
        64: [0.0, 0.0, 56.901336669921875, 194.70733642578125, 55.189029693603516,
             140.8080596923828, 129.0, 129.0],
    }  # fmt: skip
    for length, expected in known.items():
        wide, tall = row_of_squares(length)
        across = np.asarray(resize_as(wide, size=299, dialect="pytorch"))[0, 150, at, 1]
        down = np.asarray(resize_as(tall, size=299, dialect="pytorch"))[0, at, 150, 1]
        np.testing.assert_allclose(across, expected, atol=ROUNDING)
        np.testing.assert_allclose(down, expected, atol=ROUNDING)


def test_tensorflow_to_the_last_digits():
    """Against positions in exact fractions, rounded to float32 as that program rounds them."""
    wide, _ = row_of_squares(1000)
    row = wide[0, 0, :, 0].astype(int)
    scale = Fraction(float(np.float32(1000) / np.float32(299)))
    resized = np.asarray(resize_as(wide, size=299, dialect="tensorflow"))[0, 0, :, 0]
    for i in range(299):
        position = Fraction(float(np.float32(float(scale * i))))
        below = int(position)
        above = min(below + 1, 999)
        exact = row[below] + (position - below) * int(row[above] - row[below])
        assert abs(resized[i] - float(exact)) < ROUNDING


@pytest.mark.parametrize("dialect", DIALECTS)
def test_right_size_stays(dialect, rng):
    images = rng.integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_as(images, size=224, dialect=dialect), images)


def test_range():
    ends = np.array([0, 128, 255], np.uint8)
    images = np.broadcast_to(ends[:, None, None, None], (3, 8, 8, 3))
    for dialect in DIALECTS:
        middles = np.asarray(inception_input(images, dialect=dialect))[:, 100, 100, 0]
        expected = [-1, 2 * 128 / 255 - 1, 1] if dialect == "pytorch" else [-1, 0, 127 / 128]
        np.testing.assert_allclose(middles, expected, atol=1e-6)


def test_refuses():
    image = np.zeros((1, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="dialect must be one of clean, pytorch, tensorflow"):
        inception_input(image, dialect="legacy")
    with pytest.raises(ValueError, match="images must be uint8 from 0 to 255, got float32"):
        inception_input(image.astype(np.float32), dialect="clean")
    with pytest.raises(ValueError, match="must be images"):
        inception_input(image[..., :1], dialect="clean")
