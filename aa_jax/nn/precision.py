"""The dtype a layer computes in."""

from jax import Array, numpy as jnp


def promote(*arrays: Array | None, dtype: jnp.dtype | None) -> tuple[Array | None, ...]:
    """Casts arrays to `dtype`, or to the dtype they promote to together if it is None.

    `None` among the arrays (an absent bias) stays `None`.
    """
    if dtype is None:
        dtype = jnp.result_type(*(array for array in arrays if array is not None))
    return tuple(None if array is None else jnp.asarray(array, dtype) for array in arrays)
