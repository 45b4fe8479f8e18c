"""Resampling in plain XLA: the specification, and the fast path on CPU.

One axis after the other, as a polyphase sum of shifted slices: XLA compiles that to one loop whose
innermost index is the channel. Each slice is taken once, times the taps of all phases, so that the
phases come out interleaved. Where the filter is long for the signal, a product with the banded
matrix of the axis is faster. XLA's own grouped and dilated convolutions are 10 to 100 times slower
on CPU.

Padding is never a pass of its own over a large array. An axis is computed in three parts, of which
only the outer two, next to the borders, read a padded strip. The last axis, if it grows, would
have too many small parts: the pass before it writes the zeros that it reads. Those two passes are
kept apart, or XLA would compute the first again for every tap of the second.
"""

import functools

import jax
import numpy as np
from jax import lax, numpy as jnp

from aa_jax.ops.apart import apart
from aa_jax.ops.resample.geometry import Axis, Resample


def resample(x, plan: Resample):
    """Applies `plan` to `x` of shape (batch, *spatial, channels); computes in float32 or better."""
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    return _separable(x.astype(dtype), plan.axes, plan.terms).astype(x.dtype)


def _span(x, dim: int, start: int, stop: int):
    """Samples start to stop of one axis, zeros where there are none."""
    size = x.shape[dim]
    # Cropped first: a pad with negative amounts would write all of the array to crop it then.
    inside = lax.slice_in_dim(x, min(max(start, 0), size), max(min(stop, size), 0), axis=dim)
    if inside.shape[dim] == stop - start:
        return inside
    config = [(0, 0, 0)] * x.ndim
    config[dim] = (min(max(-start, 0), stop - start), min(max(stop - size, 0), stop - start), 0)
    return lax.pad(inside, np.zeros((), x.dtype), config)


def _separable(x, axes: tuple[Axis, ...], terms):
    *before, last = sorted(range(len(axes)), key=lambda a: _turn(axes[a], a))
    extended = axes[last].phases > 1 and not prefers_product(axes[last])

    def columns(x):
        signals = [x] * len(terms)
        for a in before:
            signals = [
                _along([signal], axes[a], a + 1, [term[a]])
                for signal, term in zip(signals, terms, strict=True)
            ]
        if extended:
            signals = [_span(signal, last + 1, *axes[last].whole_reach) for signal in signals]
        return signals

    if before and extended:
        columns = jax.jit(columns)  # traced once for all platforms
        signals = lax.platform_dependent(x, cpu=functools.partial(apart, columns), default=columns)
    else:
        signals = columns(x)
    # The terms meet in the last pass, so that its result is written once.
    return _along(signals, axes[last], last + 1, [term[last] for term in terms], extended=extended)


def _turn(axis: Axis, number: int) -> tuple[float, int]:
    """Sorts axes: what shrinks most (or grows least) first, so that others have less to read.

    Among equals it is the pass along rows that should meet the large array, reading or writing: a
    row stays in the fastest cache, but no more than a few rows beside each other do.
    """
    growth = axis.size_out / axis.size_in
    rows_first = growth < 1 and axis.taps > 8 * axis.up
    return growth, -number if rows_first else number


def _along(signals, axis: Axis, dim: int, taps, *, extended: bool = False):
    """Filters signals along one axis, each with taps of its own, and adds the results.

    `extended` signals hold all samples that the axis reads, the zeros around them too.
    """
    if taps == [(1.0,)] and axis.up == axis.stride == 1 and axis.reach == (0, axis.size_in):
        return signals[0]
    if prefers_product(axis):
        return _product_along(signals, axis, dim, taps)
    return _slices_along(signals, axis, dim, taps, extended)


def prefers_product(axis: Axis) -> bool:
    """Whether a banded matrix product is faster than shifted slices.

    Measured on CPU: slices cost their number, the matrix its width, and an entry of the matrix
    costs about 3/8 of a slice's; below 8 slices the loop over them always wins.
    """
    slices = axis.taps / axis.up
    return slices >= 8 and 8 * slices >= 3 * axis.size_in


def _slice(x, axis: Axis, dim: int, sample: int, periods: int):
    """What a tap reads in some periods, if in the first it reads `sample` of `x`."""
    return lax.slice_in_dim(x, sample, sample + (periods - 1) * axis.stride + 1, axis.stride, dim)


def _slices_along(signals, axis: Axis, dim: int, taps, extended: bool):
    columns = [_taps_by_sample(axis, row) for row in taps]
    if not any(columns):
        x = signals[0]
        return jnp.zeros((*x.shape[:dim], axis.size_out, *x.shape[dim + 1 :]), x.dtype)
    first, end = axis.whole_reach
    parts, done = [], 0
    for count in _parts(axis, extended):
        start = first + done * axis.stride
        stop = end - (axis.periods - done - count) * axis.stride
        total = None
        for x, row in zip(signals, columns, strict=True):
            strip = x if extended else _span(x, dim, start, stop)
            for sample, column in row.items():
                part = _slice(strip, axis, dim, sample - first, count)
                part = _times(part, column, dim)
                total = part if total is None else lax.add(total, part)
        # A single phase gets its axis too: seeing through to the concatenation, XLA would fuse more
        # of what follows into it, and compute it again for every tap.
        parts.append(total if axis.phases > 1 else lax.expand_dims(total, (dim + 1,)))
        done += count
    surplus = axis.periods * axis.phases - axis.size_out
    if surplus and signals[0].shape[-1] == 1:
        # Each part on its own: of a single channel, XLA on CPU (jaxlib 0.10.2) computes wrong
        # numbers for a slice of interleaved phases that ends in a lone first phase.
        parts = [y.reshape(*y.shape[:dim], -1, *y.shape[dim + 2 :]) for y in parts]
        parts[-1] = lax.slice_in_dim(parts[-1], 0, parts[-1].shape[dim] - surplus, axis=dim)
        return lax.concatenate(parts, dim)
    y = lax.concatenate(parts, dim)
    y = y.reshape(*y.shape[:dim], axis.periods * axis.phases, *y.shape[dim + 2 :])
    return lax.slice_in_dim(y, 0, axis.size_out, axis=dim)


def _parts(axis: Axis, extended: bool) -> list[int]:
    """Periods of the parts of an axis: next to either border, and in between."""
    if extended:
        return [axis.periods]
    first, end = axis.whole_reach
    head = min(max(-(first // axis.stride), 0), axis.periods)
    tail = min(max(-((axis.size_in - end) // axis.stride), 0), axis.periods - head)
    body = axis.periods - head - tail
    # Where no border is in reach, halves: the concatenation also keeps XLA from fusing this axis
    # into the next one, which would compute it again for every tap.
    parts = [head, body, tail] if head or tail else [body // 2, body - body // 2]
    return [count for count in parts if count]


def _times(x, values: list[float], dim: int):
    """`x` times a value; or, if there are several phases, times each, on a new axis behind `dim`.

    The constants are put together in the program. A NumPy array would become an operand of every
    branch and loop around: to be loaded each time.
    """
    if len(values) == 1:
        return lax.mul(x, _constant(values[0], x.shape, x.dtype))
    shape = (*x.shape[: dim + 1], len(values), *x.shape[dim + 1 :])
    kept = tuple(axis for axis in range(len(shape)) if axis != dim + 1)
    constants = lax.concatenate([_constant(value, (1,), x.dtype) for value in values], 0)
    constants = lax.broadcast_in_dim(constants, shape, (dim + 1,))
    return lax.mul(lax.broadcast_in_dim(x, shape, kept), constants)


def _constant(value: float, shape: tuple[int, ...], dtype):
    """`lax.full`, which takes several times as long to trace."""
    return lax.broadcast_in_dim(np.asarray(value, dtype), shape, ())


def _taps_by_sample(axis: Axis, taps) -> dict[int, list[float]]:
    """For each input sample that a period makes use of, its tap in every phase."""
    columns = {}
    for phase in range(axis.phases):
        for k, sample in axis.taps_of_phase(phase):
            if taps[k] != 0.0:
                columns.setdefault(sample, [0.0] * axis.phases)[phase] = taps[k]
    return columns


def _product_along(signals, axis: Axis, dim: int, taps):
    """One axis as a matrix product."""
    total = 0.0
    for x, row in zip(signals, taps, strict=True):
        x = _span(x, dim, *axis.whole_reach)
        matrix = jnp.asarray(banded_matrix(axis, row), x.dtype)
        total += jnp.tensordot(matrix, x, ((1,), (dim,)), precision="highest")
    return jnp.moveaxis(total, 0, dim)


def banded_matrix(axis: Axis, taps) -> np.ndarray:
    """Returns the matrix of one axis of a valid signal, shape (size_out, samples read), float64."""
    first, end = axis.whole_reach
    matrix = np.zeros((axis.size_out, end - first))
    for out in range(axis.size_out):
        period, phase = divmod(out, axis.phases)
        for k, sample in axis.taps_of_phase(phase):
            matrix[out, sample + period * axis.stride - first] = taps[k]
    return matrix
