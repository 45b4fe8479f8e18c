"""Pooling of image windows."""

import jax
import numpy as np
from jax import lax


def max_pool(x: jax.Array, *, window: int, stride: int = 1, padding: int = 0) -> jax.Array:
    """Takes the maximum of square windows.

    Args:
      x: array of shape (..., height, width, channels), floating.
      window: side of the window.
      stride: step of the window, both axes.
      padding: samples of minus infinity added on all four sides; at most half the window.

    Returns:
      Array of shape (..., out_height, out_width, channels) with
      `out = (size + 2 * padding - window) // stride + 1`.

    Raises:
      ValueError: if the window is larger than the padded map, or an argument is out of range.
    """
    if x.ndim < 3:
        raise ValueError(f"x must have shape (..., height, width, channels), got {x.shape}.")
    if window < 1 or stride < 1 or not 0 <= padding <= window // 2:
        raise ValueError(
            "window and stride must be at least 1 and padding between 0 and window // 2, got "
            f"window={window}, stride={stride}, padding={padding}."
        )
    if min(x.shape[-3:-1]) + 2 * padding < window:
        raise ValueError(
            f"window={window} must fit the padded map: x has shape {x.shape}, padding={padding}."
        )
    lead = x.ndim - 3
    return lax.reduce_window(
        x,
        np.array(-np.inf, x.dtype),
        lax.max,
        (1,) * lead + (window, window, 1),
        (1,) * lead + (stride, stride, 1),
        ((0, 0),) * lead + ((padding, padding), (padding, padding), (0, 0)),
    )
