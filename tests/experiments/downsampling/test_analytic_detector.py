"""Keypoints without training: they move with the image, whatever its contrast."""

import numpy as np
import pytest

from experiments.downsampling import analytic_detector
from experiments.downsampling.analytic_detector import MIN_SIZE, NUM_KEYPOINTS, detect

SIZE = 56
PIXEL = 2 / (SIZE - 1)


def picture(right: float, down: float) -> np.ndarray:
    """Blobs and lines that nothing aliases of, drawn at their place."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    x, y = columns - right, rows - down
    image = 0.3 + 0 * x
    for cx, cy, sigma, height in ((22, 30, 2, 0.5), (33, 25, 4, 0.3), (28, 36, 3, -0.25)):
        image += height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2))
    for cx, cy, wavelength, angle in ((25, 24, 6, 0.1), (31, 32, 10, 1.0), (24, 33, 8, 2.0)):
        along = np.cos(angle) * (x - cx) + np.sin(angle) * (y - cy)
        near = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 4.0**2))
        image += 0.2 * near * np.cos(2 * np.pi * along / wavelength)
    return np.repeat(image[None, ..., None], 3, -1).astype(np.float32)


@pytest.fixture(scope="module")
def still():
    return np.asarray(detect(picture(0, 0)))


def test_ten_places_within_the_image(still):
    assert still.shape == (1, NUM_KEYPOINTS, 2) == (1, 10, 2)
    assert np.abs(still).max() < 1
    assert len(np.unique(still.round(2), axis=1)[0]) > 5


@pytest.mark.parametrize("right, down", [(3, -2), (0.375, 0.375), (-1.4, 0.2)])
def test_they_move_with_the_image(still, right, down):
    moved = (np.asarray(detect(picture(right, down))) - still) / PIXEL
    # The rest is mean shift that has not quite arrived.
    np.testing.assert_allclose(moved, np.broadcast_to([right, down], moved.shape), atol=0.1)


def test_contrast_and_brightness_do_not_matter(still):
    np.testing.assert_allclose(detect(0.2 * picture(0, 0) + 0.5), still, atol=1e-3)


def test_a_blob_is_found_where_it_is():
    rows, columns = np.mgrid[:SIZE, :SIZE]
    bright = np.exp(-((columns - 31.3) ** 2 + (rows - 22.6) ** 2) / (2 * 2.0**2))
    found = np.asarray(detect(np.repeat(bright[None, ..., None], 3, -1).astype(np.float32)))
    expected = np.array([31.3, 22.6]) * PIXEL - 1
    np.testing.assert_allclose(found[0, 0], expected, atol=0.05 * PIXEL)


def test_filters_do_not_answer_to_constants():
    filters = analytic_detector.filters()
    np.testing.assert_allclose(filters.sum((0, 1)), 0, atol=1e-12)
    np.testing.assert_allclose((filters**2).sum((0, 1)), 1)


def test_flat_images_have_finite_keypoints():
    assert np.isfinite(detect(np.full((2, SIZE, SIZE, 3), 0.5, np.float32))).all()


@pytest.mark.parametrize("shape", [(1, MIN_SIZE - 1, 64, 3), (64, 64, 3), (1, 64, 64, 1)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="images must have shape"):
        detect(np.zeros(shape, np.float32))
