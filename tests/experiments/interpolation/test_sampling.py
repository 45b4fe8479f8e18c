"""Reading between pixels."""

import numpy as np
from scipy import ndimage

from experiments.interpolation import sampling


def test_reading_between_pixels_is_scipys():
    generator = np.random.default_rng(0)
    image = generator.random((7, 9, 2))
    points = generator.random((50, 2)) * [11, 9] - 1.5
    expected = [
        ndimage.map_coordinates(image[..., c], points[:, ::-1].T, order=1, mode="nearest")
        for c in range(2)
    ]
    np.testing.assert_allclose(sampling.sample_bilinear(image, points), np.stack(expected, -1))
