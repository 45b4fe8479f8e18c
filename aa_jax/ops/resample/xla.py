"""Resampling in plain XLA: the specification, and the fast path on CPU.

One axis after the other, as a polyphase sum of shifted slices: XLA compiles that to one loop whose
innermost index is the channel. Where the filter is long for the signal, a product with the banded
matrix of the axis is faster. XLA's own grouped and dilated convolutions are 10 to 100 times slower
on CPU.

An axis that grows takes each shifted slice once, times the taps of all phases: so the phases come
out interleaved. Its passes are kept apart, or XLA would compute the first again for every tap of
the second.

Padding is never a pass of its own over a large array. An axis that grows is padded in front of
the first pass, when the array is smallest. Any other axis is computed in three parts, of which
only the outer two, next to the borders, read a padded strip.
"""

import functools

import numpy as np
from jax import lax, numpy as jnp

from aa_jax.ops.apart import apart
from aa_jax.ops.resample.geometry import Axis, Resample


def resample(x, plan: Resample):
    """Applies `plan` to `x` of shape (batch, *spatial, channels); computes in float32 or better."""
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    fitted = x
    for a, axis in enumerate(plan.axes):
        if not _in_parts(axis):
            fitted = _span(fitted, a + 1, *axis.whole_reach)
    return _separable(fitted.astype(dtype), plan.axes, plan.terms).astype(x.dtype)


def _in_parts(axis: Axis) -> bool:
    return axis.phases == 1 and not prefers_product(axis)


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
    # The axis that shrinks most (or grows least) goes first: less to read for the others.
    order = sorted(range(len(axes)), key=lambda a: axes[a].size_out / axes[a].size_in)
    *before, last = order

    def columns(x):
        signals = [x] * len(terms)
        for a in before:
            signals = [
                _along([signal], axes[a], a + 1, [term[a]])
                for signal, term in zip(signals, terms, strict=True)
            ]
        return signals

    if before and not _in_parts(axes[last]):
        signals = lax.platform_dependent(x, cpu=functools.partial(apart, columns), default=columns)
    else:
        signals = columns(x)
    # The terms meet in the last pass, so that its result is written once.
    return _along(signals, axes[last], last + 1, [term[last] for term in terms])


def _along(signals, axis: Axis, dim: int, taps):
    """Filters signals along one axis, each with taps of its own, and adds the results."""
    if _in_parts(axis):
        return _parts_along(signals, axis, dim, taps)
    if prefers_product(axis):
        return _product_along(signals, axis, dim, taps)
    return _interleaved_along(signals, axis, dim, taps)


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


def _nothing_along(x, dim: int, size: int):
    return jnp.zeros((*x.shape[:dim], size, *x.shape[dim + 1 :]), x.dtype)


def _interleaved_along(signals, axis: Axis, dim: int, taps):
    """One axis of signals that are padded already: a sum of slices times the taps of all phases."""
    first, _ = axis.whole_reach
    parts = []
    for x, row in zip(signals, taps, strict=True):
        for sample, column in _taps_by_sample(axis, row).items():
            part = jnp.expand_dims(_slice(x, axis, dim, sample - first, axis.periods), dim + 1)
            parts.append(part * np.asarray(column, x.dtype).reshape(-1, *(1,) * (x.ndim - dim - 1)))
    if not parts:
        return _nothing_along(signals[0], dim, axis.size_out)
    y = sum(parts[1:], parts[0])
    y = y.reshape(*y.shape[:dim], axis.periods * axis.phases, *y.shape[dim + 2 :])
    return lax.slice_in_dim(y, 0, axis.size_out, axis=dim)


def _taps_by_sample(axis: Axis, taps) -> dict[int, list[float]]:
    """For each input sample that a period makes use of, its tap in every phase."""
    columns = {}
    for phase in range(axis.phases):
        for k, sample in axis.taps_of_phase(phase):
            if taps[k] != 0.0:
                columns.setdefault(sample, [0.0] * axis.phases)[phase] = taps[k]
    return columns


def _parts_along(signals, axis: Axis, dim: int, taps):
    """One axis without upsampling: outputs next to either border, and those in between."""
    if taps == [(1.0,)] and axis.stride == 1 and axis.reach == (0, axis.size_in):
        return signals[0]
    if not any(_taps_by_sample(axis, row) for row in taps):
        return _nothing_along(signals[0], dim, axis.size_out)
    first, end = axis.reach
    head = min(max(-(first // axis.stride), 0), axis.size_out)
    tail = min(max(-((axis.size_in - end) // axis.stride), 0), axis.size_out - head)
    body = axis.size_out - head - tail
    # Where no border is in reach, halves: the concatenation also keeps XLA from fusing this axis
    # into the next one, which would compute it again for every tap.
    counts = [head, body, tail] if head or tail else [body // 2, body - body // 2]
    parts, done = [], 0
    for count in counts:
        if count:
            start = first + done * axis.stride
            stop = end - (axis.size_out - done - count) * axis.stride
            total = 0.0
            for x, row in zip(signals, taps, strict=True):
                strip = _span(x, dim, start, stop)
                for sample, (tap,) in _taps_by_sample(axis, row).items():
                    part = _slice(strip, axis, dim, sample - first, count)
                    total = total + part * np.asarray(tap, x.dtype)
            parts.append(total)
            done += count
    return lax.concatenate(parts, dim)


def _product_along(signals, axis: Axis, dim: int, taps):
    """One axis of valid signals as a matrix product."""
    total = 0.0
    for x, row in zip(signals, taps, strict=True):
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
