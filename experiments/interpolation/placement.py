"""Where the Gaussians of a fit begin: dense where an image has detail, and never far apart."""

import numpy as np

from aa_jax.nn import GaussianMixture
from aa_jax.ops.splat import interpolate

_WIDTH = 0.5  # of the distance to neighbours
_LEAST, _MOST = 0.5, 8.0  # pixels


def densities(image: np.ndarray, detail: float) -> np.ndarray:
    """Probability of a point for every pixel: a share by the gradient's size, the rest evenly.

    Args:
      image: (height, width, channels).
      detail: the share.

    Returns:
      (height, width), of sum one.
    """
    rows, columns = (np.gradient(image.mean(-1), axis=axis) for axis in (0, 1))
    size = np.hypot(rows, columns)
    evenly = np.full(size.shape, 1 / size.size)
    if not size.any():
        return evenly
    return detail * size / size.sum() + (1 - detail) * evenly


def first_mixture(image: np.ndarray, options, rng: np.random.Generator) -> GaussianMixture:
    """A mixture that shows a blurred image.

    Args:
      image: (height, width, channels), float in [0, 1].
      options: FitOptions.
      rng: draws the positions.
    """
    height, width = image.shape[:2]
    if min(height, width) < 2:
        raise ValueError(f"image must be at least 2 x 2 pixels, got {height} x {width}.")
    if options.points > height * width:
        raise ValueError(
            f"points must be at most the image's {height * width} pixels, got {options.points}."
        )
    density = densities(image, options.detail).ravel()
    pixels = rng.choice(density.size, options.points, replace=False, p=density)
    row, column = np.divmod(pixels, width)
    points = np.stack([column, row], -1) + rng.uniform(-0.5, 0.5, (options.points, 2))
    spacing = 1 / np.sqrt(options.points * density[pixels])
    widths = np.clip(_WIDTH * spacing, _LEAST, _MOST)
    values = image[row, column]
    if not options.normalize:  # peaks that add up to about the image
        values = values * 0.3
    return GaussianMixture(
        points,
        values,
        widths,
        normalize=options.normalize,
        support=options.support,
    )


def room(model: GaussianMixture, size: tuple[int, int]) -> int:
    """A capacity for the mixture at an image's size, with some for widths that grow."""
    rendering = interpolate(
        model.points[...],
        model.values[...],
        model.covariances(),
        size=size,
        support=model.support,
        window=model.window,
        fallback=0.0,
    )
    return max(2 * int(rendering.entries), len(model.values[...]))
