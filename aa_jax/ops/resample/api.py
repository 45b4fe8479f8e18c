"""Public resampling operators: argument checks, and the plan that the implementation follows.

Semantics are those of "Alias-Free Generative Adversarial Networks" (Karras et al., 2021) and its
predecessors: zero insertion after every sample, padding counted on the upsampled grid, a valid
FIR filter, decimation from the first sample on.
"""

import dataclasses
import math

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.ops.linear import apply_linear
from aa_jax.ops.pad import Mode, as_padding, check_mode, is_integer, pad_axes
from aa_jax.ops.resample.geometry import Axis, Resample, output_size
from aa_jax.ops.resample.terms import Taps, filter_shape, separated


def upfirdn2d(
    x: jax.Array,
    taps: Taps,
    *,
    up: int | tuple[int, int] = 1,
    down: int | tuple[int, int] = 1,
    padding=0,
    flip_filter: bool = False,
    gain: float = 1.0,
    mode: Mode = "zero",
) -> jax.Array:
    """Upsamples by zero insertion, pads, filters and downsamples an image, in one operator.

    Differentiable with respect to `x` to any order, forward and reverse; the gradient is the
    same operator with the factors exchanged and the filter flipped. Computes in float32 or
    better and returns the dtype of `x`.

    Args:
      x: array of shape (..., height, width, channels), floating.
      taps: host array, static: None for no filter; (taps,) for a separable filter along both
        axes; a pair (vertical taps, horizontal taps); (filter_height, filter_width) for a full
        filter; or `aa_jax.filters.LowRank`.
      up: upsampling factor, or (vertical, horizontal). `up - 1` zeros follow every sample.
      down: downsampling factor, or (vertical, horizontal). The first sample is kept.
      padding: samples on the upsampled grid: int, (vertical, horizontal) or (top, bottom, left,
        right). Negative crops.
      flip_filter: False convolves, True correlates.
      gain: factor of the result.
      mode: what lies outside the image: "zero", "reflect", "edge" or "circular"; the image is
        extended so before zero insertion.

    Returns:
      Array of shape (..., out_height, out_width, channels) with
      `out = (size * up + padding_before + padding_after - taps) // down + 1`.

    Raises:
      ValueError: if an argument is malformed, or the filter is longer than the padded signal.
    """
    if x.ndim < 3:
        raise ValueError(f"x must have shape (..., height, width, channels), got {x.shape}.")
    top, bottom, left, right = as_padding(padding)
    return _upfirdn(
        x,
        taps,
        up=factors_of("up", up, 2),
        down=factors_of("down", down, 2),
        padding=((top, bottom), (left, right)),
        flip_filter=flip_filter,
        gain=gain,
        mode=mode,
    )


def upfirdn1d(
    x: jax.Array,
    taps: np.ndarray | None,
    *,
    up: int = 1,
    down: int = 1,
    padding: int | tuple[int, int] = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    mode: Mode = "zero",
) -> jax.Array:
    """`upfirdn2d` for signals.

    Args:
      x: array of shape (..., width, channels), floating.
      taps: host array (taps,), or None for no filter.
      up: upsampling factor.
      down: downsampling factor.
      padding: samples on the upsampled grid, int or (before, after). Negative crops.
      flip_filter: False convolves, True correlates.
      gain: factor of the result.
      mode: what lies outside the signal, see `upfirdn2d`.

    Returns:
      Array of shape (..., out_width, channels).

    Raises:
      ValueError: as `upfirdn2d`.
    """
    if x.ndim < 2:
        raise ValueError(f"x must have shape (..., width, channels), got {x.shape}.")
    if taps is not None and np.ndim(taps) != 1:
        raise ValueError(f"taps must have shape (taps,), got shape {np.shape(taps)}.")
    values = (padding, padding) if np.ndim(padding) == 0 else tuple(padding)
    if len(values) != 2 or not all(is_integer(value) for value in values):
        raise ValueError(f"padding must be an integer or (before, after), got {padding!r}.")
    before, after = (int(value) for value in values)
    return _upfirdn(
        x,
        taps,
        up=factors_of("up", up, 1),
        down=factors_of("down", down, 1),
        padding=((before, after),),
        flip_filter=flip_filter,
        gain=gain,
        mode=mode,
    )


def filter2d(
    x: jax.Array, taps: Taps, *, padding=0, flip_filter=False, gain=1.0, mode: Mode = "zero"
) -> jax.Array:
    """Filters an image and keeps its size; `padding` is added to what that takes.

    See `upfirdn2d` for arguments and errors.
    """
    sizes = filter_shape(taps)
    return upfirdn2d(
        x,
        taps,
        padding=_added(padding, [(size // 2, (size - 1) // 2) for size in sizes]),
        flip_filter=flip_filter,
        gain=gain,
        mode=mode,
    )


def upsample2d(
    x: jax.Array, taps: Taps, *, up=2, padding=0, flip_filter=False, gain=1.0, mode: Mode = "zero"
) -> jax.Array:
    """Upsamples an image to `up` times its size; zero insertion's loss of gain is made good.

    See `upfirdn2d` for arguments and errors.
    """
    factors = factors_of("up", up, 2)
    sizes = filter_shape(taps)
    pads = [((t + u - 1) // 2, (t - u) // 2) for t, u in zip(sizes, factors, strict=True)]
    return upfirdn2d(
        x,
        taps,
        up=factors,
        padding=_added(padding, pads),
        flip_filter=flip_filter,
        gain=gain * math.prod(factors),
        mode=mode,
    )


def downsample2d(
    x: jax.Array, taps: Taps, *, down=2, padding=0, flip_filter=False, gain=1.0, mode: Mode = "zero"
) -> jax.Array:
    """Filters an image and keeps every `down`-th sample, centred.

    See `upfirdn2d` for arguments and errors.
    """
    factors = factors_of("down", down, 2)
    sizes = filter_shape(taps)
    pads = [((t - d + 1) // 2, (t - d) // 2) for t, d in zip(sizes, factors, strict=True)]
    return upfirdn2d(
        x,
        taps,
        down=factors,
        padding=_added(padding, pads),
        flip_filter=flip_filter,
        gain=gain,
        mode=mode,
    )


def _added(padding, pads) -> tuple[int, int, int, int]:
    (top, bottom), (left, right) = pads
    return tuple(
        a + b for a, b in zip(as_padding(padding), (top, bottom, left, right), strict=True)
    )


def factors_of(name: str, value, axes: int) -> tuple[int, ...]:
    """Spells a factor out for every axis; ValueError unless positive integers."""
    values = (value,) * axes if np.ndim(value) == 0 else tuple(value)
    if len(values) != axes or not all(is_integer(v) and v >= 1 for v in values):
        pair = " or (vertical, horizontal)" if axes == 2 else ""
        raise ValueError(f"{name} must be a positive integer{pair}, got {value!r}.")
    return tuple(int(v) for v in values)


def _upfirdn(x, taps, *, up, down, padding, flip_filter, gain, mode):
    check_mode(mode)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"x must be a floating-point array, got dtype {x.dtype}; cast it first.")
    spatial = len(up)
    sizes = x.shape[-1 - spatial : -1]
    terms = separated(taps, spatial, gain=float(gain), dtype=x.dtype, flip=not flip_filter)
    axes = []
    for a in range(spatial):
        length = len(terms[0][a])
        out = output_size(sizes[a], up[a], down[a], padding[a], length)
        if out < 1:
            raise ValueError(
                f"taps must not be longer than the padded signal: axis {a - spatial - 1} of x has "
                f"{sizes[a]} samples, times up={up[a]} plus padding {padding[a]} makes "
                f"{sizes[a] * up[a] + sum(padding[a])}, and the filter has {length} taps."
            )
        axes.append(Axis(sizes[a], out, up[a], down[a], padding[a][0], length))
    if mode != "zero":
        x, axes = extended(x, axes, mode)
    plan = Resample(axes=tuple(axes), terms=terms)
    lead = x.shape[: x.ndim - spatial - 1]
    y = apply_linear(plan, x.reshape(-1, *x.shape[len(lead) :]))
    return y.reshape(*lead, *y.shape[1:])


def extended(x, axes: list[Axis], mode: str):
    """Extends `x` as far as the filter reads; what remains is the same operator on zeros."""
    amounts, extended = [], []
    for axis in axes:
        first, end = axis.reach
        before, after = max(-first, 0), max(end - axis.size_in, 0)
        amounts.append((before, after))
        extended.append(
            dataclasses.replace(
                axis,
                size_in=axis.size_in + before + after,
                offset=axis.offset - before * axis.up,
            )
        )
    return pad_axes(x, tuple(amounts), mode=mode), extended
