"""Compiles the GPU kernel of the filtered activation ahead of time for an H200, without a GPU.

    JAX_PLATFORMS=cpu python -m scripts.kernels.gpu

Needs jax-cuda12-plugin and nvidia-cuda-nvcc-cu12. Prints, for each shape class, what a block costs:
registers of a thread, bytes spilled, shared memory, seconds to compile; fails if any spills. Run it
in a process of its own: what it sets in the environment counts only before JAX starts.
"""

import argparse
import dataclasses
import itertools
import os
import re
import tempfile
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["MOSAIC_GPU_DUMP_PTXAS"] = "1"

import jax  # noqa: E402
from jax import numpy as jnp  # noqa: E402
from jax.experimental import topologies  # noqa: E402
from jax.sharding import NamedSharding, PartitionSpec  # noqa: E402

from aa_jax.ops.filtered_activation import pallas_gpu  # noqa: E402
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_plan import StripTiling  # noqa: E402
from aa_jax.ops.filtered_activation.stage import Stage  # noqa: E402
from scripts.kernels.shape_classes import CLASSES, stage_of  # noqa: E402

# What the compiler asks of a device, for an H200.
H200 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 4800000000000 l2_cache_size: 62914560 clock_rate_ghz: 1.98
  device_memory_size: 150754820096 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 minor: 0 }
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 8 }
runtime_version { major: 13 minor: 0 patch: 0 }
device_description_str: "NVIDIA H200"
"""


MODES = {"plain": "forward", "write": "forward with codes", "read": "backward"}


_COLUMNS = (
    *("class", "terms", "dtype", "pass", "kernel", "tile", "registers", "spilled", "shared kB"),
    *("blocks", "s"),
)


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one kernel costs.

    Attributes:
      registers: of a thread.
      spilled: bytes of a thread's registers that go through local memory, stores and loads.
      launch: how the kernel runs.
      seconds: to lower and compile it.
    """

    registers: int
    spilled: int
    launch: pallas_gpu.Launch
    seconds: float

    @property
    def beside(self) -> int:
        """Blocks that a multiprocessor runs beside each other."""
        kept = 1024
        by_registers = 65536 // (128 * (-(-self.registers // 8) * 8))
        return min(by_registers, 233472 // (self.launch.shared + kept))


def lowered_kernel(stage: Stage, batch: int, channels: int, dtype, mode: str) -> jax.stages.Lowered:
    """Lowers one kernel for an H200.

    Args:
      stage: for `mode` "read" the gated one, so the transpose for a backward pass.
      batch, channels, dtype: of the signal.
      mode: "plain" forward, forward that "write"s codes, or gated, which "read"s them.
    """
    topology = topologies.get_topology_desc(platform="cuda", target_config=H200, topology="1x1x1")
    sharding = NamedSharding(topologies.make_mesh(topology, (1,), ("d",)), PartitionSpec())
    x = jax.ShapeDtypeStruct((batch, *stage.size, channels), dtype, sharding=sharding)
    shape = stage.codes_shape(batch, channels)
    codes = jax.ShapeDtypeStruct(shape, jnp.uint8, sharding=sharding)
    if mode == "read":
        traced = jax.jit(lambda x, codes: pallas_gpu.gated(x, codes, stage)).trace(x, codes)
    else:
        write = mode == "write"
        traced = jax.jit(lambda x: pallas_gpu.filtered(x, stage, with_codes=write)).trace(x)
    return traced.lower(lowering_platforms=("cuda",))


def compile_kernel(stage: Stage, batch: int, channels: int, dtype, mode: str) -> Cost:
    """Compiles one kernel for an H200; arguments as of `lowered_kernel`."""
    launch = pallas_gpu.launch_of(stage, batch, channels, dtype, mode)
    start = time.perf_counter()
    with CompilerOutput() as output:
        lowered_kernel(stage, batch, channels, dtype, mode).compile()
    seconds = time.perf_counter() - start
    return Cost(
        registers=int(re.search(r"Used (\d+) registers", output.text)[1]),
        spilled=sum(int(n) for n in re.findall(r"(\d+) bytes spill", output.text)),
        launch=launch,
        seconds=seconds,
    )


class CompilerOutput:
    """Keeps what this process writes to standard output and error, from any language."""

    def __enter__(self):
        self._file = tempfile.TemporaryFile()
        self._saved = [os.dup(1), os.dup(2)]
        os.dup2(self._file.fileno(), 1)
        os.dup2(self._file.fileno(), 2)
        return self

    def __exit__(self, *_):
        for descriptor, saved in enumerate(self._saved, 1):
            os.dup2(saved, descriptor)
            os.close(saved)
        self._file.seek(0)
        self.text = self._file.read().decode(errors="replace")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("classes", nargs="*", default=list(CLASSES), metavar="CLASS")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--dtypes", nargs="*", default=["float32", "bfloat16"], metavar="DTYPE")
    arguments = parser.parse_args()
    print("| " + " | ".join(_COLUMNS) + " |")
    print("|---" * len(_COLUMNS) + "|")
    spilling = []
    for name, dtype in itertools.product(arguments.classes, arguments.dtypes):
        forward = stage_of(CLASSES[name], dtype)
        for mode, label in MODES.items():
            stage = forward.transpose if mode == "read" else forward
            cost = compile_kernel(stage, arguments.batch, arguments.channels, dtype, mode)
            print(_row(name, forward, dtype, label, stage, cost), flush=True)
            if cost.spilled:
                spilling.append(f"{name} {dtype} {label}")
    if spilling:
        raise SystemExit(f"registers spill to memory in: {', '.join(spilling)}")


def _row(name: str, forward: Stage, dtype: str, label: str, stage: Stage, cost: Cost) -> str:
    launch = cost.launch
    tile = f"{launch.columns} of {stage.out_size[1]} columns x {launch.tiling.channels}"
    cells = (
        name,
        len(forward.down.terms),
        dtype,
        label,
        "tensor cores" if isinstance(launch.tiling, StripTiling) else "sums",
        tile,
        cost.registers,
        cost.spilled,
        f"{launch.shared / 1000:.0f}",
        cost.beside,
        f"{cost.seconds:.1f}",
    )
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


if __name__ == "__main__":
    main()
