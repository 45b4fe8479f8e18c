"""The mixture over a regular grid of samples, fast: the weights are products, x times y.

What `aa_jax.ops.splat.interpolate` computes for any points, two small matrix products compute where
the points are a grid and one standard deviation serves all. That makes it cheap to try dozens of
widths on every photograph. The tests hold the two equal.
"""

import numpy as np


def smooth(
    grids: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    sigma: float,
    *,
    size: tuple[int, int],
    radius: int | None = None,
) -> np.ndarray:
    """The expectation of the mixture; 0 where a window leaves a pixel without points.

    Args:
      grids: (images, rows, columns, channels), the samples.
      rows: y of the samples, in pixels.
      columns: x of the samples.
      sigma: in pixels.
      size: (height, width) to make.
      radius: of the square window around the pixel nearest to a point; None for none.

    Returns:
      (images, height, width, channels), float32.
    """
    down = _weights(size[0], rows, sigma, radius)[0]
    across = _weights(size[1], columns, sigma, radius)[0]
    return _product(down, grids, across)


def local_linear(
    grids: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    sigma: float,
    *,
    size: tuple[int, int],
    ridge: float = 1e-3,
) -> np.ndarray:
    """Planes fitted around every pixel, as `interpolate(..., regression="linear")` without window.

    Args:
      grids, rows, columns, sigma, size: as of `smooth`.
      ridge: as of `interpolate`.

    Returns:
      (images, height, width, channels), float32.
    """
    down, y, yy = _weights(size[0], rows, sigma, None)
    across, x, xx = _weights(size[1], columns, sigma, None)
    mean_y, mean_x = y.sum(1)[:, None], x.sum(1)[None]
    square_y, square_x = yy.sum(1)[:, None], xx.sum(1)[None]
    least = ridge * (square_x + square_y) + 1e-12
    # Weights of a product have no covariance between x and y: the two slopes are apart.
    gain_y = mean_y / (square_y - mean_y**2 + least)
    gain_x = mean_x / (square_x - mean_x**2 + least)
    mean = _product(down, grids, across)
    along_y = _product(y, grids, across) - mean_y[..., None] * mean
    along_x = _product(down, grids, x) - mean_x[..., None] * mean
    return (mean - gain_y[..., None] * along_y - gain_x[..., None] * along_x).astype(np.float32)


def corrected(grids: np.ndarray, at_samples, *, rounds: int) -> np.ndarray:
    """Changes samples until their interpolation returns the given ones: c <- c + y - E[c](p).

    Args:
      grids: the samples y.
      at_samples: function that interpolates such an array at the sample positions themselves.
      rounds: how often.

    Returns:
      An array like `grids`.
    """
    changed = grids
    for _ in range(rounds):
        changed = changed + grids - at_samples(changed)
    return changed


def smooth_at_samples(grids, rows, columns, sigma: float) -> np.ndarray:
    """The expectation of the mixture at the samples' own positions."""
    return _product(_between(rows, sigma), grids, _between(columns, sigma))


def _between(positions, sigma: float):
    weights = np.exp(-((positions[:, None] - positions) ** 2) / (2 * sigma**2))
    return weights / weights.sum(1, keepdims=True)


def _weights(count: int, positions: np.ndarray, sigma: float, radius: int | None):
    """Normalised weights (pixels, samples), and those times the offset and its square."""
    offsets = np.arange(count)[:, None] - np.asarray(positions, float)
    exponents = -(offsets**2) / (2 * sigma**2)
    if radius is not None:
        nearest = np.floor(np.asarray(positions, float) + 0.5)
        inside = np.abs(np.arange(count)[:, None] - nearest) <= radius
        exponents = np.where(inside, exponents, -np.inf)
    peak = exponents.max(1, keepdims=True)
    weights = np.exp(exponents - np.where(np.isfinite(peak), peak, 0))
    weights = weights / np.maximum(weights.sum(1, keepdims=True), np.finfo(float).tiny)
    return weights, weights * offsets, weights * offsets**2


def _product(down, grids, across):
    halfway = np.einsum(
        "yr,brwc->bywc", down.astype(np.float32), grids.astype(np.float32), optimize=True
    )
    return np.einsum("xw,bywc->byxc", across.astype(np.float32), halfway, optimize=True)
