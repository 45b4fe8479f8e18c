"""Compiles the GPU kernels of `aa_jax.ops.splat` ahead of time for an H200, without a GPU.

    JAX_PLATFORMS=cpu python -m scripts.kernels.gpu_splat

Needs what `scripts.kernels.gpu` needs. Prints what each sum of each kind of rendering costs:
registers of a thread, bytes spilled, shared memory of a program, how many run beside each other on
a multiprocessor, seconds to compile; then temporary memory of whole renderings and gradients. Fails
if registers spill. Run it in a process of its own: what it sets in the environment counts only
before JAX starts.
"""

import argparse
import os
import re
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from scripts.kernels import gpu  # noqa: E402, I001  (sets the environment before JAX starts)

import jax  # noqa: E402
from jax import numpy as jnp  # noqa: E402
from jax.experimental import topologies  # noqa: E402
from jax.sharding import NamedSharding, PartitionSpec  # noqa: E402

from aa_jax.ops import splat  # noqa: E402
from aa_jax.ops.splat import (  # noqa: E402
    pallas_gpu,
    pallas_gpu_kernel,
    pallas_gpu_pairs,
    regression,
)
from aa_jax.ops.splat.bins import Bins  # noqa: E402
from aa_jax.ops.splat.layout import LANES, Layout  # noqa: E402
from aa_jax.ops.splat.terms import derivative  # noqa: E402
from aa_jax.ops.splat.window import Window  # noqa: E402

_CHANNELS = 3
_MEAN, _PLANE = (regression.terms(order, _CHANNELS) for order in (0, 1))
_WINDOW, _SMOOTH = Window(3.0), Window(3.0, "smooth")

# Which sum, of what, how far points reach. `splat` asks for the same sums as a mean.
CASES = {
    "peak": ("peak", (), _WINDOW),
    "peak, smooth": ("peak", (), _SMOOTH),
    "mean or sum": ("evaluate", _MEAN, _WINDOW),
    "gradient by values": ("moments", _MEAN, _WINDOW),
    "gradient by points": ("moments", derivative(_MEAN, _WINDOW).targets, _WINDOW),
    "gradient by points, smooth": ("moments", derivative(_MEAN, _SMOOTH).targets, _SMOOTH),
    "plane": ("evaluate", _PLANE, _WINDOW),
}

_COLUMNS = ("case", "sum", "terms", "registers", "spilled", "shared kB", "programs", "s")


class Arrays:
    """Shapes of a rendering's arrays, on a GPU that isn't there.

    Args:
      points: number of points.
      capacity: of points in cells of 8 x 8 pixels.
      height, width: of the image.
    """

    def __init__(self, points: int, capacity: int, height: int, width: int):
        topology = topologies.get_topology_desc(
            platform="cuda", target_config=gpu.H200, topology="1x1x1"
        )
        mesh = topologies.make_mesh(topology, (1,), ("d",))
        self._sharding = NamedSharding(mesh, PartitionSpec())
        self.points, self.capacity, self.size = points, capacity, (height, width)
        self.blocks = -(-height // 8) * -(-width // 8)

    def of(self, *shape: int, dtype=jnp.float32) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=self._sharding)

    def of_sum(self, name: str, terms) -> list:
        """Arguments of one of the three sums."""
        blocks, points = self.blocks, self.points
        layout = Layout(
            positions=self.of(2, blocks, LANES),
            used=self.of(blocks, LANES, dtype=bool),
            cells=self.of(blocks, dtype=jnp.int32),
            origin=self.of(2),
            spacing=self.of(2),
        )
        cells = self.of(blocks, dtype=jnp.int32)
        found = Bins(self.of(self.capacity, dtype=jnp.int32), cells, cells)
        channels = 1 + max((channel for *_, channel in terms), default=0)
        linear = {
            "peak": [],
            "evaluate": [self.of(len(terms), points), self.of(blocks, LANES)],
            "moments": [self.of(channels, blocks, LANES), self.of(blocks, LANES)],
        }
        return [self.of(6, points), self.of(2, points), *linear[name], layout, found]


def compiled_sum(case: str, arrays: Arrays) -> tuple:
    """Compiles one sum; returns the cells of its row, and the bytes that spill."""
    name, terms, window = CASES[case]
    options = {"window": window} | ({"terms": terms} if terms else {})
    arguments = arrays.of_sum(name, terms)
    start = time.perf_counter()
    with gpu.CompilerOutput() as output:
        traced = jax.jit(lambda *a: getattr(pallas_gpu, name)(*a, **options)).trace(*arguments)
        traced.lower(lowering_platforms=("cuda",)).compile()
    seconds = time.perf_counter() - start
    registers = int(re.search(r"Used (\d+) registers", output.text)[1])
    spilled = sum(int(n) for n in re.findall(r"(\d+) bytes spill", output.text))
    columns = pallas_gpu_pairs.columns_before_coefficients(window)
    if name == "moments":
        body = pallas_gpu_kernel.AtEntries(window, terms, columns, False)
    else:
        columns += len(terms)
        body = pallas_gpu_kernel.AtPositions(window, terms or None, columns, False)
    shared = pallas_gpu_kernel.shared_memory(body)
    # By threads, registers and shared memory, as `scripts.kernels.gpu` counts them.
    by_registers = 65536 // (128 * (-(-registers // 8) * 8))
    beside = min(2048 // 128, by_registers, 233472 // (shared + 1024))
    return spilled, (
        *(case, name, len(terms), registers, spilled, f"{shared / 1000:.1f}", beside),
        f"{seconds:.1f}",
    )


def compiled_rendering(name: str, arrays: Arrays, *, gradient: bool) -> tuple:
    """Compiles a whole rendering; returns bytes of temporary memory, and seconds."""

    def image(points, values, width):
        return getattr(splat, name)(
            points,
            values,
            width,
            size=arrays.size,
            capacity=arrays.capacity,
            implementation="pallas",
        ).image

    def gradients(*inputs):
        return jax.grad(lambda *inputs: jnp.sum(image(*inputs) ** 2), (0, 1, 2))(*inputs)

    n = arrays.points
    shapes = arrays.of(n, 2), arrays.of(n, _CHANNELS), arrays.of(n, 2, 2)
    start = time.perf_counter()
    with gpu.CompilerOutput():
        traced = jax.jit(gradients if gradient else image).trace(*shapes)
        executable = traced.lower(lowering_platforms=("cuda",)).compile()
    seconds = time.perf_counter() - start
    return executable.memory_analysis().temp_size_in_bytes, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE")
    parser.add_argument("--points", type=int, default=10000)
    parser.add_argument("--capacity", type=int, default=105000)
    parser.add_argument("--size", type=int, nargs=2, default=(512, 768))
    options = parser.parse_args()
    arrays = Arrays(options.points, options.capacity, *options.size)
    print("| " + " | ".join(_COLUMNS) + " |")
    print("|---" * len(_COLUMNS) + "|")
    spilling = []
    for case in options.cases:
        spilled, row = compiled_sum(case, arrays)
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
        if spilled:
            spilling.append(case)
    for name in ("interpolate", "splat"):
        for gradient in (False, True):
            temporary, seconds = compiled_rendering(name, arrays, gradient=gradient)
            what = f"{name}{', value and gradient' if gradient else ''}"
            print(f"{what}: {temporary / 1e6:.1f} MB temporary, {seconds:.1f} s", flush=True)
    if spilling:
        raise SystemExit(f"registers spill to memory in: {', '.join(spilling)}")


if __name__ == "__main__":
    main()
