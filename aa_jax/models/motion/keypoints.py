"""Keypoints with Jacobians: what the motion model knows about a frame.

Coordinates are (x, y) with -1 and 1 at the centres of the outermost samples, as everywhere in
Siarohin et al., "First Order Motion Model for Image Animation" (NeurIPS 2019).
"""

import flax
import jax
from jax import Array, numpy as jnp

from aa_jax.ops.grid_sample import identity_grid

# Of the Gaussian that marks a keypoint in a map, in squared units of the frame's half side.
VARIANCE = 0.01


@flax.struct.dataclass
class Keypoints:
    """Where the parts of a frame are, and how each is turned, scaled and sheared.

    Attributes:
      value: (N, K, 2) positions (x, y).
      jacobian: (N, K, 2, 2) derivative of the frame's coordinates with respect to those of an
        abstract reference frame, row by row; None: not estimated, only positions count.
    """

    value: Array
    jacobian: Array | None = None


def gaussian_heatmaps(points: Array, size: tuple[int, int], *, variance: float = VARIANCE) -> Array:
    """Draws every keypoint as exp(-|z - point|^2 / (2 variance)).

    Args:
      points: (N, K, 2).
      size: (height, width) of the maps.
      variance: squared width.

    Returns:
      (N, height, width, K); 1 where a sample meets its keypoint.
    """
    grid = identity_grid(*size, dtype=points.dtype)
    # A Gaussian is a product of one of rows and one of columns: H + W exponentials, not H W.
    columns = _profile(grid[0, :, 0], points[..., 0], variance)
    rows = _profile(grid[:, 0, 1], points[..., 1], variance)
    return rows[:, :, None, :] * columns[:, None, :, :]


def soft_argmax(heatmap: Array) -> Array:
    """The mean position (N, K, 2) under maps (N, h, w, K) that each sum to one."""
    grid = identity_grid(*heatmap.shape[1:3], dtype=heatmap.dtype)
    x = jnp.einsum("nhwk,w->nk", heatmap, grid[0, :, 0], precision=jax.lax.Precision.HIGHEST)
    y = jnp.einsum("nhwk,h->nk", heatmap, grid[:, 0, 1], precision=jax.lax.Precision.HIGHEST)
    return jnp.stack([x, y], -1)


def inverse_2x2(matrix: Array) -> Array:
    """The inverses of (..., 2, 2), in closed form: not finite where a determinant is 0."""
    a, b = matrix[..., 0, 0], matrix[..., 0, 1]
    c, d = matrix[..., 1, 0], matrix[..., 1, 1]
    adjugate = jnp.stack([jnp.stack([d, -b], -1), jnp.stack([-c, a], -1)], -2)
    return adjugate / (a * d - b * c)[..., None, None]


def product_2x2(first: Array, second: Array) -> Array:
    """Products of (..., 2, 2), written out: a batched matrix product of this size is slower."""
    columns = first[..., :, :, None] * second[..., None, :, :]
    return columns[..., 0, :] + columns[..., 1, :]


def _profile(samples: Array, centres: Array, variance: float) -> Array:
    """(N, S, K) of samples (S,) and centres (N, K)."""
    return jnp.exp(-jnp.square(samples[None, :, None] - centres[:, None, :]) / (2 * variance))
