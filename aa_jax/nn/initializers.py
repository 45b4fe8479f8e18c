"""How weights start, spelled as the papers' code has it."""

import functools
import math

import jax
import numpy as np
from flax import nnx
from jax import Array, lax, numpy as jnp

# Draws are made in blocks of one or the other size. XLA compiles a random number generator anew
# for every shape, which takes seconds on CPU and, for a whole network, longer than an epoch.
_SMALL, _LARGE = 2**14, 2**19


def kaiming_normal_fan_out(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    """Untruncated normal of variance 2 / fan_out: ResNet, VGG, MobileNet.

    fan_out is outputs times kernel area, also for grouped convolutions.
    """
    fan_out = shape[-1] * math.prod(shape[:-2])
    return normal(math.sqrt(2 / fan_out))(key, shape, dtype)


def kaiming_normal_fan_in(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    """Untruncated normal of variance 2 / fan_in: DenseNet."""
    return normal(math.sqrt(2 / math.prod(shape[:-1])))(key, shape, dtype)


def uniform_fan_in(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    """Uniform on +-1/sqrt(fan_in), the papers' framework's choice where nobody chooses."""
    return uniform(1 / math.sqrt(math.prod(shape[:-1])))(key, shape, dtype)


def normal(deviation: float) -> nnx.Initializer:
    """Normal of mean zero and the given standard deviation."""

    def draw(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
        return (deviation * _draw(jax.random.normal, key, shape)).astype(dtype)

    return draw


def uniform(bound: float) -> nnx.Initializer:
    """Uniform on [-bound, bound]."""

    def draw(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
        return (bound * (2 * _draw(jax.random.uniform, key, shape) - 1)).astype(dtype)

    return draw


def _draw(distribution, key: Array, shape: tuple[int, ...]) -> Array:
    """float32 draws of any shape, from blocks of few shapes."""
    count = math.prod(shape)
    size = _SMALL if count <= 8 * _SMALL else _LARGE
    block = functools.partial(_block, distribution, size, key)
    indices = np.arange(-(-count // size))
    if isinstance(key, jax.core.Tracer):
        draws = lax.map(block, jnp.asarray(indices)).reshape(-1)
    else:
        draws = jnp.concatenate([block(index) for index in indices])
    return draws[:count].reshape(shape)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _block(distribution, size: int, key: Array, index: Array) -> Array:
    return distribution(jax.random.fold_in(key, index), (size,), jnp.float32)
