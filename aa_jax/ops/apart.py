"""Keeping XLA's CPU compiler from fusing what is faster apart."""

import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax import lax, numpy as jnp


def apart(function: Callable, *operands: jax.Array, after: Sequence[jax.Array] = ()) -> list:
    """Runs `function` behind a branch that is always taken, so that its results are written out.

    XLA on CPU drops optimization barriers, and fuses a filter pass into the next one, which then
    computes it again for every tap, or into the update of a larger array, which then runs on one
    core. A branch it leaves alone; it costs some microseconds.

    Args:
      function: of the operands; returns a list of arrays (batch, *spatial, channels) with the batch
        and channels of the first operand.
      *operands: arrays (batch, *spatial, channels).
      after: arrays to be computed before.

    Returns:
      What `function` returns.
    """
    function = jax.jit(function)  # so that it is traced once, here, and not in the branch again
    shapes = jax.eval_shape(function, *operands)
    first = operands[0]
    if not first.size:
        return function(*operands)
    # Always true, but XLA doesn't work it out. From the middle: it does know the zeros of padding.
    samples = [x[tuple(size // 2 for size in x.shape)] for x in (first, *after)]
    always = [(sample <= np.inf) | jnp.isnan(sample) for sample in samples]
    return lax.cond(
        functools.reduce(jnp.logical_and, always),
        function,
        lambda x, *_: [zeros_beside(x, shape.shape[1:-1], shape.dtype) for shape in shapes],
        *operands,
    )


def zeros_beside(x: jax.Array, spatial: tuple[int, ...], dtype) -> jax.Array:
    """Zeros (batch, *spatial, channels), sharded over devices as the batch and channels of `x`."""
    nothing = x[(slice(None), *[slice(0, 0)] * len(spatial))].astype(dtype)
    config = [(0, 0, 0), *((size, 0, 0) for size in spatial), (0, 0, 0)]
    return lax.pad(nothing, np.zeros((), dtype), config)
