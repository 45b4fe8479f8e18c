"""Compiles `aa_jax.ops.splat`, which is plain JAX there, ahead of time for a TPU v5e, without one.

    JAX_PLATFORMS=cpu python -m scripts.kernels.tpu_splat

Needs what `scripts.kernels.tpu` needs. Prints seconds to compile and temporary HBM of a value, and
of a value with its gradient. Run it in a process of its own: what it sets in the environment counts
only before JAX starts.
"""

import argparse
import os
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from scripts.kernels import tpu  # noqa: F401, E402, I001  (sets the environment before JAX starts)

import jax  # noqa: E402
import numpy as np  # noqa: E402
from jax import numpy as jnp  # noqa: E402
from jax.experimental import topologies  # noqa: E402
from jax.sharding import Mesh, NamedSharding, PartitionSpec  # noqa: E402

from aa_jax.ops import splat  # noqa: E402

_CHANNELS = 3
CASES = {
    "mean": (splat.interpolate, {}),
    "plane": (splat.interpolate, {"regression": "linear"}),
    "sum": (splat.splat, {}),
}


def compiled_cost(case: str, *, gradient: bool, points: int, capacity: int, size) -> tuple:
    """Compiles one rendering for a TPU v5e.

    Args:
      case: one of `CASES`.
      gradient: with its gradient in points, values and covariances.
      points: how many.
      capacity: of points in cells of 8 x 8 pixels.
      size: (height, width) of the image.

    Returns:
      Bytes of temporary HBM, and seconds to compile.
    """
    device = topologies.get_topology_desc("v5e:2x2", platform="tpu").devices[0]
    sharding = NamedSharding(Mesh(np.array([device]), ("device",)), PartitionSpec())
    function, options = CASES[case]

    def loss(*inputs):
        return jnp.sum(function(*inputs, size=size, capacity=capacity, **options).image ** 2)

    shapes = [
        jax.ShapeDtypeStruct((points, *rest), jnp.float32, sharding=sharding)
        for rest in ((2,), (_CHANNELS,), (2, 2))
    ]
    run = jax.value_and_grad(loss, (0, 1, 2)) if gradient else loss
    lowered = jax.jit(run).trace(*shapes).lower(lowering_platforms=("tpu",))
    start = time.perf_counter()
    executable = lowered.compile()
    seconds = time.perf_counter() - start
    return executable.memory_analysis().temp_size_in_bytes, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=10000)
    parser.add_argument("--capacity", type=int, default=105000)
    parser.add_argument("--size", type=int, nargs=2, default=(512, 768))
    parser.add_argument("--only", nargs="+", default=list(CASES), choices=list(CASES))
    options = parser.parse_args()
    print(f"{'case':6} {'what':20} temp MB  compile s")
    for case in options.only:
        for gradient in (False, True):
            temporary, seconds = compiled_cost(
                case,
                gradient=gradient,
                points=options.points,
                capacity=options.capacity,
                size=tuple(options.size),
            )
            what = "value and gradient" if gradient else "value"
            print(f"{case:6} {what:20} {temporary / 1e6:7.1f} {seconds:10.1f}", flush=True)


if __name__ == "__main__":
    main()
