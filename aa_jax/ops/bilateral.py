"""The bilateral filter: averages of neighbours that are near in place and alike in colour."""

import functools
import math
from typing import Literal, get_args

import jax
import numpy as np
from jax import lax, numpy as jnp

from aa_jax.ops.order_filters import check_window
from aa_jax.ops.pad import Mode, check_mode, pad2d

Window = Literal["square", "disc"]
WINDOWS = get_args(Window)
# More taps than these stay a loop in the program, which is slower and compiles at once.
_UNROLLED = 25


def bilateral_filter(
    images: jax.Array,
    *,
    size: int = 5,
    sigma_colour: float = 0.1,
    sigma_space: float = 1.5,
    stride: int = 1,
    window: Window = "square",
    border: Mode = "reflect",
) -> jax.Array:
    """Averages each window by distance in space and in colour (Tomasi and Manduchi, ICCV 1998).

    A neighbour at distance r, whose channels differ by d (the sum of absolute differences, as in
    OpenCV), counts `exp(-r**2 / (2 sigma_space**2) - d**2 / (2 sigma_colour**2))`; weights are
    divided by their sum. All channels share them. Differentiable with respect to the images, except
    where two colours are equal in a channel.

    Args:
      images: array of shape (height, width, channels) or (batch, height, width, channels),
        floating.
      size: side of the window, odd.
      sigma_colour: in units of the images' values.
      sigma_space: in pixels.
      stride: of the kept pixels, which are 0, stride, 2 stride...; others are not computed.
      window: "square", or "disc" for its pixels within a radius of size // 2 only, as OpenCV.
      border: what lies outside: "reflect" (without the edge twice, OpenCV's reflect-101), "edge",
        "zero" or "circular".

    Returns:
      Array of the dtype of `images`, with ceil(height / stride) rows and ceil(width / stride)
      columns; computed in float32 or better.

    Raises:
      ValueError: if an argument is malformed, or the image is too small for the border.
    """
    check_window(images, size, stride)
    check_mode(border)
    if window not in WINDOWS:
        raise ValueError(f"window must be one of {', '.join(WINDOWS)}, got {window!r}.")
    for name, sigma in (("sigma_colour", sigma_colour), ("sigma_space", sigma_space)):
        if not (math.isfinite(sigma) and sigma > 0):
            raise ValueError(f"{name} must be positive and finite, got {sigma!r}.")
    widths = (float(sigma_colour), float(sigma_space))
    return _bilateral(images, size, widths, stride, window, border)


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4, 5))
def _bilateral(images, size, widths, stride, window, border):
    x = images if images.ndim == 4 else images[None]
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    kept = tuple(-(-extent // stride) for extent in x.shape[1:3])
    half = size // 2
    planes = _phases(pad2d(x, half, mode=border), stride, kept, (size - 1) // stride)
    places, weights = _taps(size, widths[1], window)
    # Which phase, and where in it, each tap begins.
    starts = np.concatenate([places % stride @ [[stride], [1]], places // stride], 1)
    centre = _tap(planes, (half % stride * (stride + 1), half // stride, half // stride), kept)
    exponent = -0.5 / widths[0] ** 2

    def add(values, weight, sums):
        # Channel by channel, so that the exponential, too, is taken once for all of them.
        differences = [jnp.abs(v - c) for v, c in zip(values, centre, strict=True)]
        distance = functools.reduce(jnp.add, differences)
        weight = jnp.exp(exponent * distance**2) * weight
        return sums[0] + weight * values, sums[1] + weight

    sums = jnp.zeros_like(centre), jnp.zeros_like(centre[0])
    if len(places) <= _UNROLLED:
        # Split, so that the derivative of a tap concerns the samples of its phase only: a third of
        # the time for a batch.
        phases = lax.split(planes, (1,) * len(planes))
        for (phase, *start), weight in zip(starts.tolist(), weights, strict=True):
            values = _tap(phases[phase], (0, *start), kept)
            sums = add(values, np.asarray(weight, x.dtype), sums)
    else:
        starts, weights = jnp.asarray(starts, jnp.int32), jnp.asarray(weights, x.dtype)
        sums = lax.fori_loop(
            *(0, len(places)),
            lambda tap, sums: add(_tap(planes, starts[tap], kept), weights[tap], sums),
            sums,
        )
    total, weight = sums
    y = jnp.moveaxis(total / weight, 0, -1).astype(images.dtype)
    return y if images.ndim == 4 else y[0]


def _tap(planes, start, kept: tuple[int, int]):
    """(channels, batch, rows, columns) from (phase, row, column) on."""
    phase, row, column = start
    shape = (1, *planes.shape[1:3], *kept)
    if isinstance(row, int):
        begin = (phase, 0, 0, row, column)
        end = [b + s for b, s in zip(begin, shape, strict=True)]
        return lax.slice(planes, begin, end)[0]
    zero = jnp.zeros_like(row)
    return lax.dynamic_slice(planes, (phase, zero, zero, row, column), shape)[0]


def _taps(size: int, sigma: float, window: str) -> tuple[np.ndarray, np.ndarray]:
    """Places (taps, 2) in the window, from its corner, and their weights (taps,)."""
    half = size // 2
    places = np.indices((size, size)).reshape(2, -1).T
    square = ((places - half) ** 2).sum(1)
    kept = square <= half**2 if window == "disc" else np.full(len(square), True)
    return places[kept], np.exp(-0.5 / sigma**2 * square[kept])


def _phases(padded, stride: int, kept: tuple[int, int], reach: int):
    """(stride**2, channels, batch, rows, columns): the samples of one tap lie side by side."""
    batch, *sizes, channels = padded.shape
    rows, columns = (count + reach for count in kept)
    margins = [(0, count * stride - s, 0) for s, count in zip(sizes, (rows, columns), strict=True)]
    whole = lax.pad(padded, np.zeros((), padded.dtype), [(0, 0, 0), *margins, (0, 0, 0)])
    cut = whole.reshape(batch, rows, stride, columns, stride, channels)
    return cut.transpose(2, 4, 5, 0, 1, 3).reshape(stride**2, channels, batch, rows, columns)
