"""Samples of an image between its pixels."""

import numpy as np


def sample_bilinear(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Reads an image between its pixels; positions outside read the border.

    Args:
      image: (height, width, channels).
      points: (N, 2), x and y; pixel centres are whole numbers.

    Returns:
      (N, channels) of the dtype of `image`.
    """
    height, width = image.shape[:2]
    x, y = np.clip(np.asarray(points, np.float64), 0, [width - 1, height - 1]).T
    left = np.minimum(x.astype(int), max(width - 2, 0))
    top = np.minimum(y.astype(int), max(height - 2, 0))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    upper = (1 - fx) * image[top, left] + fx * image[top, right]
    lower = (1 - fx) * image[bottom, left] + fx * image[bottom, right]
    return ((1 - fy) * upper + fy * lower).astype(image.dtype)
