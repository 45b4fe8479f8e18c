"""Resampling in plain XLA: the specification, and the fast path on CPU.

A polyphase sum of shifted slices, one axis after the other. XLA compiles each axis to one loop
whose innermost index is the channel; its own grouped and dilated convolutions are 10 to 100 times
slower on CPU. Padding is done once, in front of the first axis: what follows reads valid samples
only, so nothing larger than the intermediate is ever written.
"""

import numpy as np
from jax import lax
from jax import numpy as jnp

from aa_jax.ops.resample.geometry import Axis, Resample


def resample(x, plan: Resample):
    """Applies `plan` to `x` of shape (batch, *spatial, channels); computes in float32 or better."""
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    if plan.banded:
        y = sum(_banded(x.astype(dtype), plan.axes, term) for term in plan.terms)
        return y.astype(x.dtype)
    x_valid = _fit(x, plan.axes).astype(dtype)
    y = sum(_shifts(x_valid, plan.axes, term) for term in plan.terms)
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


def _shifts(x, axes: tuple[Axis, ...], term):
    # The axis that shrinks most (or grows least) goes first: less to read for the others.
    order = sorted(range(len(axes)), key=lambda a: axes[a].size_out / axes[a].size_in)
    for a in order:
        x = _shifts_along(x, axes[a], a + 1, term[a])
    return x


def _shifts_along(x, axis: Axis, dim: int, taps):
    """One axis of a valid signal: `phases` sums of strided slices, interleaved."""
    first, _ = axis.whole_reach
    periods = axis.periods
    if taps == (1.0,) and axis.up == axis.down == 1:
        return x
    sums = []
    for phase in range(axis.phases):
        total = None
        for k, sample in axis.taps_of_phase(phase):
            if taps[k] == 0.0:
                continue
            start = sample - first
            limit = start + (periods - 1) * axis.stride + 1
            part = lax.slice_in_dim(x, start, limit, axis.stride, axis=dim)
            part = part if taps[k] == 1.0 else part * np.asarray(taps[k], x.dtype)
            total = part if total is None else total + part
        if total is None:
            shape = list(x.shape)
            shape[dim] = periods
            total = jnp.zeros(shape, x.dtype)
        sums.append(total)
    # Keeps XLA from recomputing this axis for every tap of the next.
    if len(sums) == 1:
        return lax.optimization_barrier(sums[0])
    y = jnp.stack(sums, dim + 1)
    y = y.reshape(*x.shape[:dim], periods * axis.phases, *x.shape[dim + 1 :])
    return lax.optimization_barrier(lax.slice_in_dim(y, 0, axis.size_out, axis=dim))


def _banded(x, axes: tuple[Axis, ...], term):
    for a, (axis, taps) in enumerate(zip(axes, term, strict=True)):
        matrix = jnp.asarray(banded_matrix(axis, taps), x.dtype)
        x = jnp.moveaxis(jnp.tensordot(matrix, x, ((1,), (a + 1,)), precision="highest"), 0, a + 1)
    return x


def banded_matrix(axis: Axis, taps) -> np.ndarray:
    """Returns the matrix (size_out, size_in) of one axis, float64."""
    matrix = np.zeros((axis.size_out, axis.size_in))
    out, k = np.meshgrid(np.arange(axis.size_out), np.arange(axis.taps), indexing="ij")
    position = out * axis.down + k - axis.offset
    sample = position // axis.up
    hit = (position % axis.up == 0) & (sample >= 0) & (sample < axis.size_in)
    matrix[out[hit], sample[hit]] = np.asarray(taps)[k[hit]]
    return matrix
