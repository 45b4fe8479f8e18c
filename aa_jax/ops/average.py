"""Averages over windows, over cells and over the whole image."""

import numpy as np
from jax import Array, lax, numpy as jnp


def avg_pool(x: Array, *, window: int = 2, stride: int = 2) -> Array:
    """Mean of every window (no padding), per channel, accumulated in float32 or better.

    Args:
      x: signal (N, H, W, C).
      window: side of the window.
      stride: step between windows.

    Returns:
      (N, H', W', C), H' = floor((H - window) / stride) + 1, in the dtype of `x`.

    Raises:
      ValueError: `x` is not of rank 4, or smaller than the window.
    """
    _check_rank(x)
    if min(x.shape[1:3]) < window:
        raise ValueError(
            f"window={window} must fit the map, got x of shape {x.shape}; use larger images"
        )
    accumulator = jnp.promote_types(x.dtype, jnp.float32)
    total = lax.reduce_window(
        x.astype(accumulator),
        np.array(0, accumulator),
        lax.add,
        window_dimensions=(1, window, window, 1),
        window_strides=(1, stride, stride, 1),
        padding="VALID",
    )
    return (total / (window * window)).astype(x.dtype)


def global_avg_pool(x: Array) -> Array:
    """Mean over all pixels, (N, H, W, C) -> (N, C), accumulated in float32 or better."""
    _check_rank(x)
    accumulator = jnp.promote_types(x.dtype, jnp.float32)
    return jnp.mean(x, axis=(1, 2), dtype=accumulator).astype(x.dtype)


def adaptive_avg_pool(x: Array, *, size: int) -> Array:
    """Means over a `size` x `size` partition of the image, whatever its size.

    Cell i covers the samples floor(i L / size) to ceil((i + 1) L / size) - 1 of an axis of length
    L; neighbouring cells overlap by a sample where L is no multiple of `size`.

    Args:
      x: signal (N, H, W, C).
      size: cells per axis.

    Returns:
      (N, size, size, C) in the dtype of `x`.

    Raises:
      ValueError: `x` is not of rank 4.
    """
    _check_rank(x)
    accumulator = jnp.promote_types(x.dtype, jnp.float32)
    rows = jnp.asarray(_cell_means(x.shape[1], size), accumulator)
    columns = jnp.asarray(_cell_means(x.shape[2], size), accumulator)
    # Weights are not exact in tensor-float arithmetic: ask for full precision.
    y = jnp.einsum(
        "ah,nhwc,bw->nabc", rows, x.astype(accumulator), columns, precision=lax.Precision.HIGHEST
    )
    return y.astype(x.dtype)


def _cell_means(length: int, size: int) -> np.ndarray:
    """The (size, length) matrix whose rows average one cell each."""
    matrix = np.zeros((size, length))
    for cell in range(size):
        start, stop = cell * length // size, -(-(cell + 1) * length // size)
        matrix[cell, start:stop] = 1 / (stop - start)
    return matrix


def _check_rank(x: Array) -> None:
    if x.ndim != 4:
        raise ValueError(f"x must be (N, H, W, C), got shape {x.shape}; add or drop axes")
