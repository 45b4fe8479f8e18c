"""Resampling in plain XLA: the specification, and the fast path on CPU.

One axis after the other, as a polyphase sum of shifted slices: XLA compiles that to one loop whose
innermost index is the channel. Where the filter is long for the signal, a product with the banded
matrix of the axis is faster. XLA's own grouped and dilated convolutions are 10 to 100 times slower
on CPU. Padding is done once, in front of the first axis: what follows reads valid samples only, so
nothing larger than the intermediate is ever written.
"""

import numpy as np
from jax import lax, numpy as jnp

from aa_jax.ops.resample.geometry import Axis, Resample


def resample(x, plan: Resample):
    """Applies `plan` to `x` of shape (batch, *spatial, channels); computes in float32 or better."""
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    valid = _fit(x, plan.axes).astype(dtype)
    y = sum(_separable(valid, plan.axes, term) for term in plan.terms)
    return y.astype(x.dtype)


def _fit(x, axes: tuple[Axis, ...]):
    """Pads with zeros or crops, so that the outputs read exactly all of the result."""
    config = [(0, 0, 0)]
    for axis in axes:
        first, end = axis.whole_reach
        config.append((-first, end - axis.size_in, 0))
    config.append((0, 0, 0))
    if all(low == high == 0 for low, high, _ in config):
        return x
    return lax.pad(x, np.zeros((), x.dtype), config)


def _separable(x, axes: tuple[Axis, ...], term):
    # The axis that shrinks most (or grows least) goes first: less to read for the others.
    order = sorted(range(len(axes)), key=lambda a: axes[a].size_out / axes[a].size_in)
    for a in order:
        axis, taps = axes[a], term[a]
        if taps == (1.0,) and axis.up == axis.down == 1:
            continue
        along = _product_along if prefers_product(axis) else _shifts_along
        # The barrier keeps XLA from recomputing this axis for every tap of the next.
        x = lax.optimization_barrier(along(x, axis, a + 1, taps))
    return x


def prefers_product(axis: Axis) -> bool:
    """Whether a banded matrix product is faster than shifted slices.

    Measured on CPU: slices cost their number, the matrix its width, and an entry of the matrix
    costs about 3/8 of a slice's; below 8 slices the loop over them always wins.
    """
    slices = axis.taps / axis.up
    return slices >= 8 and 8 * slices >= 3 * axis.size_in


def _shifts_along(x, axis: Axis, dim: int, taps):
    """One axis of a valid signal: `phases` sums of strided slices, interleaved."""
    first, _ = axis.whole_reach
    sums = []
    for phase in range(axis.phases):
        total = None
        for k, sample in axis.taps_of_phase(phase):
            if taps[k] == 0.0:
                continue
            start = sample - first
            limit = start + (axis.periods - 1) * axis.stride + 1
            part = lax.slice_in_dim(x, start, limit, axis.stride, axis=dim)
            part = part * np.asarray(taps[k], x.dtype)
            total = part if total is None else total + part
        if total is None:
            shape = (*x.shape[:dim], axis.periods, *x.shape[dim + 1 :])
            total = jnp.zeros(shape, x.dtype)
        sums.append(total)
    if len(sums) == 1:
        return sums[0]
    y = jnp.stack(sums, dim + 1)
    y = y.reshape(*x.shape[:dim], axis.periods * axis.phases, *x.shape[dim + 1 :])
    return lax.slice_in_dim(y, 0, axis.size_out, axis=dim)


def _product_along(x, axis: Axis, dim: int, taps):
    """One axis of a valid signal as a matrix product."""
    matrix = jnp.asarray(banded_matrix(axis, taps), x.dtype)
    return jnp.moveaxis(jnp.tensordot(matrix, x, ((1,), (dim,)), precision="highest"), 0, dim)


def banded_matrix(axis: Axis, taps) -> np.ndarray:
    """Returns the matrix of one axis of a valid signal, shape (size_out, samples read), float64."""
    first, end = axis.whole_reach
    matrix = np.zeros((axis.size_out, end - first))
    for out in range(axis.size_out):
        period, phase = divmod(out, axis.phases)
        for k, sample in axis.taps_of_phase(phase):
            matrix[out, sample + period * axis.stride - first] = taps[k]
    return matrix
