"""Compiles the TPU kernel of the filtered activation ahead of time for a v5e, without a TPU.

    JAX_PLATFORMS=cpu python -m scripts.kernels.tpu [--channels 128] [--only "T 276"]

Needs libtpu. Prints, for each shape class and direction, what the compiler says: bytes that pass
through HBM and the time they take at least, VMEM, temporary HBM, and its own seconds. It does not
time the inside of a kernel: its "optimal" microseconds follow from the bytes that we state. Run it
in a process of its own: what it sets in the environment counts only before JAX starts.
"""

import argparse
import dataclasses
import os
import re
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# No TPU here: neither ask a metadata server for one nor wait for other workers.
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-4")
os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")

import jax  # noqa: E402
import numpy as np  # noqa: E402
from jax.experimental import topologies  # noqa: E402
from jax.experimental.layout import Format, Layout  # noqa: E402
from jax.sharding import Mesh, NamedSharding, PartitionSpec  # noqa: E402

from aa_jax.ops.filtered_activation import pallas_tpu  # noqa: E402
from aa_jax.ops.filtered_activation.pallas_tpu_plan import plan_of  # noqa: E402
from aa_jax.ops.filtered_activation.stage import Stage  # noqa: E402
from scripts.kernels.shape_classes import CLASSES, stage_of  # noqa: E402

MODES = ("forward", "forward, codes", "backward")


@dataclasses.dataclass(frozen=True)
class Cost:
    """What the compiler says of one call.

    Attributes:
      operations: floating-point operations that the filters ask for.
      hbm_bytes: bytes of arguments and results.
      temporary_bytes: HBM beyond them.
      vmem_bytes: VMEM of the kernel.
      optimal_seconds: the compiler's estimate, from the kernel's stated bytes; None if none.
      compile_seconds: seconds to compile, without tracing.
    """

    operations: int
    hbm_bytes: int
    temporary_bytes: int
    vmem_bytes: int
    optimal_seconds: float | None
    compile_seconds: float


def compiled_cost(stage: Stage, mode: str, *, batch: int, channels: int, dtype: str) -> Cost:
    """Compiles one call for a TPU v5e and asks the compiler what it costs.

    Args:
      stage: the forward stage.
      mode: one of `MODES`.
      batch: images.
      channels: channels.
      dtype: of the signal.
    """
    device = topologies.get_topology_desc("v5e:2x2", platform="tpu").devices[0]
    sharding = NamedSharding(Mesh(np.array([device]), ("device",)), PartitionSpec())
    # Row-major, as the kernel wants it; otherwise the figures would hold two copies as well.
    layout = Format(Layout((0, 1, 2, 3)), sharding)

    def array(shape, kind):
        return jax.ShapeDtypeStruct(shape, kind, sharding=layout)

    if mode == "backward":
        stage = stage.transpose
    operands = [array((batch, *stage.size, channels), dtype)]
    if mode == "backward":
        operands.append(array(stage.codes_shape(batch, channels), "uint8"))
        run = lambda v, codes: pallas_tpu.gated(v, codes, stage)  # noqa: E731
    else:
        codes = mode == "forward, codes"
        run = lambda x: pallas_tpu.filtered(x, stage, with_codes=codes)  # noqa: E731
    lowered = jax.jit(run, out_shardings=layout).trace(*operands).lower(lowering_platforms=("tpu",))
    start = time.perf_counter()
    executable = lowered.compile()
    seconds = time.perf_counter() - start
    memory, costs = executable.memory_analysis(), executable.cost_analysis() or {}
    plan = plan_of(stage, itemsize=2 if dtype == "bfloat16" else 4, with_codes=mode != MODES[0])
    return Cost(
        operations=plan.operations * batch * channels,
        hbm_bytes=memory.argument_size_in_bytes + memory.output_size_in_bytes,
        temporary_bytes=memory.temp_size_in_bytes,
        vmem_bytes=_vmem(executable.as_text()),
        optimal_seconds=costs.get("optimal_seconds"),
        compile_seconds=seconds,
    )


def _vmem(text: str) -> int:
    """Largest VMEM that the program's kernels say they use (memory space 1)."""
    used = re.findall(
        r'"used_scoped_memory_configs":\[\{"memory_space":"1","offset":"\d+","size":"(\d+)"', text
    )
    return max(map(int, used), default=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--only", nargs="+", default=list(CLASSES), choices=list(CLASSES))
    options = parser.parse_args()
    print(
        f"{'class':11} {'dtype':9} {'mode':15} terms  GFLOP  HBM MB  floor us  temp MB  VMEM MiB  "
        "optimal us  compile s"
    )
    for name in options.only:
        for dtype in options.dtypes:
            for mode in MODES:
                _print_row(name, mode, dtype, options.batch, options.channels)


def _print_row(name: str, mode: str, dtype: str, batch: int, channels: int):
    stage = stage_of(CLASSES[name], dtype)
    head = f"{name:11} {dtype:9} {mode:15} {len(stage.down.terms):5}"
    if reason := pallas_tpu.unsupported(stage, dtype, channels):
        raise SystemExit(f"{head}: {reason}")
    cost = compiled_cost(stage, mode, batch=batch, channels=channels, dtype=dtype)
    optimal = "-" if cost.optimal_seconds is None else f"{cost.optimal_seconds * 1e6:.1f}"
    # A v5e moves 819 GB/s.
    print(
        f"{head} {cost.operations / 1e9:6.2f} {cost.hbm_bytes / 1e6:7.1f} "
        f"{cost.hbm_bytes / 819e3:9.1f} {cost.temporary_bytes / 1e6:8.1f} "
        f"{cost.vmem_bytes / 2**20:9.1f} {optimal:>11} {cost.compile_seconds:10.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
