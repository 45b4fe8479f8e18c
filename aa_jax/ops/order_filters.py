"""The median of square windows, by a network of exchanges, at the kept positions only."""

import functools
from typing import Literal

import jax
from jax import lax, numpy as jnp

from aa_jax.ops.adaptive_filter import adaptive_filter
from aa_jax.ops.pad import Mode, check_mode, pad2d


def median_filter(
    images: jax.Array, *, size: int = 3, stride: int = 1, border: Mode = "zero"
) -> jax.Array:
    """Median of the square window around every kept pixel, for each channel on its own.

    Every step is a minimum or a maximum of whole images, so it runs on vectors and is
    differentiable almost everywhere: the gradient goes to the pixel that is the median, in equal
    shares where several are.

    Args:
      images: array of shape (height, width, channels) or (batch, height, width, channels),
        floating.
      size: side of the window, odd.
      stride: of the kept pixels, which are 0, stride, 2 stride...; others are not computed.
      border: what lies outside: "zero", "edge", "reflect" or "circular".

    Returns:
      Array of the dtype of `images`, with ceil(height / stride) rows and ceil(width / stride)
      columns.

    Raises:
      ValueError: if an argument is malformed, or the image is too small for the border.
    """
    check_window(images, size, stride)
    check_mode(border)
    return _median(images, size, stride, border)


def check_window(images, size: int, stride: int) -> None:
    """Raises ValueError unless a window of that side can go over these images."""
    shape, dtype = jnp.shape(images), jnp.result_type(images)
    if len(shape) not in (3, 4) or 0 in shape or not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(
            "images must be floats of shape ([batch,] height, width, channels), got "
            f"{dtype} of shape {shape}."
        )
    if isinstance(size, bool) or not isinstance(size, int) or size < 1 or size % 2 == 0:
        raise ValueError(f"size must be a positive odd integer, got {size!r}.")
    if isinstance(stride, bool) or not isinstance(stride, int) or stride < 1:
        raise ValueError(f"stride must be a positive integer, got {stride!r}.")


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _median(images, size: int, stride: int, border: Mode):
    y = _selected(images if images.ndim == 4 else images[None], size, stride, border)
    return y if images.ndim == 4 else y[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def _selected(x, size: int, stride: int, border: Mode):
    values = _windows(x, size, stride, border)
    for low, high, keeps in median_network(len(values)):
        pair = values[low], values[high]
        if keeps != "high":
            values[low] = jnp.minimum(*pair)
        if keeps != "low":
            values[high] = jnp.maximum(*pair)
    return values[len(values) // 2]


@_selected.defjvp
def _selected_jvp(size: int, stride: int, border: Mode, primals, tangents):
    # Through the network, derivatives take fifty times as long as the network, and to compile.
    (x,), (tangent,) = primals, tangents
    y = _selected(x, size, stride, border)
    same = jnp.stack([v == y for v in _windows(x, size, stride, border)], -1).astype(x.dtype)
    shares = same / jnp.sum(same, -1, keepdims=True)
    shares = shares.reshape(*y.shape[:3], -1)
    return y, adaptive_filter(tangent, shares, size=size, stride=stride, mode=border)


def _windows(x, size: int, stride: int, border: Mode) -> list:
    """For each place in the window, its pixel in every kept window."""
    height, width = x.shape[1:3]
    padded = pad2d(x, size // 2, mode=border)
    values = []
    for u in range(size):
        rows = lax.slice_in_dim(padded, u, u + height, stride, axis=1)
        values += [lax.slice_in_dim(rows, v, v + width, stride, axis=2) for v in range(size)]
    return values


@functools.lru_cache(maxsize=16)
def median_network(number: int) -> tuple[tuple[int, int, Literal["low", "high", "both"]], ...]:
    """Exchanges that bring the median of values to the place in the middle.

    Batcher's merge exchange ("Sorting networks and their applications", 1968), which sorts any
    number of values, without what does not reach the middle: 24 exchanges for 9 values, 113 for
    25; of many, only one result is of use.

    Args:
      number: of the values, odd.

    Returns:
      Triples in order: the place that gets the lower value, that which gets the higher one, and
      which of the two are used later on.
    """
    exchanges, sorted_by = [], 1
    while sorted_by < number:
        step = sorted_by
        while step:
            exchanges += _merges(number, sorted_by, step)
            step //= 2
        sorted_by *= 2
    used, kept = {number // 2}, []
    for low, high in reversed(exchanges):
        if used & {low, high}:
            keeps = "both" if used >= {low, high} else "low" if low in used else "high"
            kept.append((low, high, keeps))
            used |= {low, high}
    return tuple(reversed(kept))


def _merges(number: int, sorted_by: int, step: int) -> list[tuple[int, int]]:
    """One round: places `step` apart that lie in the same pair of runs being merged."""
    pairs = []
    for start in range(step % sorted_by, number - step, 2 * step):
        for low in range(start, min(start + step, number - step)):
            if low // (2 * sorted_by) == (low + step) // (2 * sorted_by):
                pairs.append((low, low + step))
    return pairs
