"""SciPy's interpolations of scattered samples, each to all pixels of an image.

OpenBLAS splits the 2 x 2 systems that SciPy solves for every triangle over threads, which on a busy
machine takes a hundred times as long as solving them. It reads OPENBLAS_NUM_THREADS when NumPy is
first imported: set it to 1 before, as `python -m experiments.interpolation.irregular` does.
"""

import numpy as np
from scipy import interpolate, spatial


def nearest(points: np.ndarray, values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Reads the nearest sample: (height, width, channels)."""
    index = spatial.cKDTree(points).query(pixels(size))[1]
    return values[index].reshape(*size, -1)


def linear(points: np.ndarray, values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Planes over the triangles of a Delaunay triangulation; NaN outside the points' hull."""
    return interpolate.griddata(points, values, pixels(size), "linear").reshape(*size, -1)


def clough_tocher(points: np.ndarray, values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cubics over those triangles with continuous slopes; NaN outside the points' hull."""
    return interpolate.CloughTocher2DInterpolator(points, values)(pixels(size)).reshape(*size, -1)


def radial_basis(
    points: np.ndarray, values: np.ndarray, size: tuple[int, int], *, neighbors: int = 16
) -> np.ndarray:
    """Thin-plate splines, one through the samples nearest to each pixel."""
    spline = interpolate.RBFInterpolator(points, values, neighbors=neighbors)
    return spline(pixels(size)).reshape(*size, -1)


def filled(image: np.ndarray, instead) -> np.ndarray:
    """Replaces NaN by another image, or a number."""
    return np.where(np.isnan(image), instead, image)


def pixels(size: tuple[int, int]) -> np.ndarray:
    """(height width, 2), x and y of pixel centres, row by row."""
    return np.stack(np.meshgrid(np.arange(size[1]), np.arange(size[0])), -1).reshape(-1, 2)
