"""The filtered activation of any pointwise function, by JAX's own derivatives."""

from collections.abc import Callable

import jax
from jax import numpy as jnp


def run(x: jax.Array, up: Callable, pointwise: Callable, parameters: tuple, down: Callable):
    """Returns down(pointwise(up(x), *parameters)); its backward pass recomputes up(x).

    Args:
      x: signal (N, height, width, C).
      up: operator to the temporary grid.
      pointwise: function of the temporary signal and the parameters.
      parameters: arrays that broadcast against (..., C).
      down: operator from the temporary grid.
    """
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    parameters = tuple(jnp.asarray(parameter, dtype) for parameter in parameters)

    def whole(x, parameters):
        return down(pointwise(up(x.astype(dtype)), *parameters)).astype(x.dtype)

    # The temporary signal is several times the input: cheaper to compute again than to keep.
    return jax.checkpoint(whole)(x, parameters)
