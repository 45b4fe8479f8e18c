"""Downsampling by every method: ours, PyTorch's and OpenCV's, one thread each, in one process.

The process is bound to one core before JAX starts, which also makes its CPU time a measure that
other work on the machine disturbs little; it is what is compared. Rivals of a method take turns.
Ours is called as users call it, argument checks and all, and not as a compiled function.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ONE_THREAD = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}
ROUNDS, BATCHES, SIDE = 50, (1, 16), 256
INPUTS = 3  # taken in turn
# A turn, in seconds: so much is not counted, so much is; one run each at least.
_SETTLE, _COUNTED = 0.001, 0.004


def run(*, rounds: int, output: pathlib.Path | None = None, keep_freed_memory: bool = True) -> None:
    """Measures in a process of one thread on one core.

    Args:
      rounds: turns of each rival.
      output: folder for downsample.md and downsample.json.
      keep_freed_memory: see `aa_jax.training.host_memory`.
    """
    command = [sys.executable, "-m", "scripts.benchmarks.downsample", str(rounds)]
    if output:
        command += ["--output", str(output.resolve())]
    if not keep_freed_memory:
        command.append("--default-allocator")
    subprocess.run(command, cwd=ROOT, env=os.environ | ONE_THREAD, check=True)


def measure_all(
    *, rounds: int, batches=BATCHES, side: int = SIDE, methods=None, peers: bool = True
) -> Iterator[dict]:
    """Measures method by method.

    Args:
      rounds: turns of each rival.
      batches: how many images at a time.
      side: of the images.
      methods: None for all.
      peers: False for ours alone.

    Yields:
      Rows, as soon as they are known: {"method", "batch", "compile_s", "cpu_ms": milliseconds by
      rival (median over the rounds), "wall_ms", "ratios": how many times our CPU time, by peer}.
    """
    import jax
    import numpy as np

    from aa_jax.ops.downsample import METHODS, downsample
    from scripts.benchmarks import downsample_peers

    rng = np.random.default_rng(0)
    for batch in batches:
        arrays = [
            rng.uniform(size=(batch, side, side, 3)).astype(np.float32) for _ in range(INPUTS)
        ]
        inputs = [jax.device_put(array) for array in arrays]
        found = dict(downsample_peers.pytorch(arrays)) if peers else {}
        if peers:
            found["OpenCV"] = downsample_peers.opencv(arrays)
        for method in methods or METHODS:

            def ours(number, method=method, inputs=inputs):
                image = inputs[number % INPUTS]
                return downsample(image, 4, method=method).block_until_ready()

            start = time.perf_counter()
            ours(0)
            seconds = time.perf_counter() - start
            rivals = {name: table[method] for name, table in found.items() if method in table}
            yield row(method, batch, seconds, measure({"ours": ours, **rivals}, rounds))


def row(method: str, batch: int, compile_s: float, timings: dict) -> dict:
    """Sums up the CPU and wall milliseconds of each rival in each round."""
    ours = timings["ours"]["cpu"]
    return {
        "method": method,
        "batch": batch,
        "compile_s": compile_s,
        "cpu_ms": {name: statistics.median(t["cpu"]) for name, t in timings.items()},
        "wall_ms": {name: statistics.median(t["wall"]) for name, t in timings.items()},
        "ratios": {
            name: statistics.median(a / b for a, b in zip(t["cpu"], ours, strict=True))
            for name, t in timings.items()
            if name != "ours"
        },
    }


def measure(rivals: dict[str, Callable[[int], object]], rounds: int) -> dict:
    """CPU and wall milliseconds of each rival, for every round; they take turns."""
    results = {name: {"cpu": [], "wall": []} for name in rivals}
    repeats = {}
    for name, rival in rivals.items():
        rival(0)  # settles, and loads what is loaded once
        start = time.perf_counter()
        rival(1)
        repeats[name] = max(time.perf_counter() - start, 1e-6)
    for _ in range(rounds):
        for name, rival in rivals.items():
            for number in range(max(1, int(_SETTLE / repeats[name]))):
                rival(number)
            count = max(1, int(_COUNTED / repeats[name]))
            wall, cpu = time.perf_counter(), time.process_time()
            for number in range(count):
                rival(number)
            results[name]["cpu"].append((time.process_time() - cpu) / count * 1e3)
            results[name]["wall"].append((time.perf_counter() - wall) / count * 1e3)
    return results


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("rounds", type=int)
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--default-allocator", action="store_true")
    given = parser.parse_args()
    # Before JAX starts, which counts the cores.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    from aa_jax.training import host_memory
    from scripts.benchmarks import downsample_report, report

    if not given.default_allocator:
        host_memory.keep_freed_memory()
    downsample_report.run(
        measure_all(rounds=given.rounds),
        machine=f"{report.machine()}; medians of {given.rounds} rounds",
        output=given.output,
    )


if __name__ == "__main__":
    _main()
