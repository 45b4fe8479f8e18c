"""What this machine can do at most, measured: bytes copied and products summed in a second."""

import dataclasses

import jax
from jax import numpy as jnp

from scripts.benchmarks.timing import compiled, cycling, measure


@dataclasses.dataclass(frozen=True)
class Ceilings:
    """Rates that no kernel here exceeds for long.

    Attributes:
      copy: bytes read and written per second, for arrays larger than any cache.
      matmul: floating-point operations per second of a large matrix product.
    """

    copy: float
    matmul: float


def ceilings(dtype: str, *, rounds: int = 7) -> Ceilings:
    """Measures both, in the given dtype, on the default device."""
    on_cpu = jax.default_backend() == "cpu"
    length = 2**26 if on_cpu else 2**29
    side = 2048 if on_cpu else 8192
    arrays = [(jnp.full(length, i, dtype),) for i in range(2)]
    matrices = [(jnp.full((side, side), i, dtype), jnp.ones((side, side), dtype)) for i in range(2)]
    copy, *_ = compiled(lambda a: a + 1, *arrays[0])
    matmul, *_ = compiled(jnp.matmul, *matrices[0])
    timings = measure(
        {"copy": cycling(copy, arrays), "matmul": cycling(matmul, matrices)}, rounds=rounds
    )
    return Ceilings(
        copy=2 * arrays[0][0].nbytes / min(timings["copy"].wall) * 1e3,
        matmul=2 * side**3 / min(timings["matmul"].wall) * 1e3,
    )
