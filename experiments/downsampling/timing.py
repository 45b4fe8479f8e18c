"""CPU time of every reduction, in a process of its own with one thread; and a device's time.

`scripts/benchmark.py downsample` compares with other libraries; these are the study's own columns.
Run: python -m experiments.downsampling.timing METHOD/PHASE ... (prints JSON).
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

ROUNDS = 50
SIZE = 256
ROOT = pathlib.Path(__file__).resolve().parents[2]


def cpu_milliseconds(
    keys: Sequence[str], *, rounds: int = ROUNDS, size: int = SIZE
) -> dict[str, float]:
    """Measures CPU time per image with one thread.

    The time is that of the process, so that other programs hardly disturb it. Rounds go over all
    reductions in turn.

    Args:
      keys: of `Reduction.key`, as "area/native".
      rounds: whose median is taken.
      size: side of the image, in pixels.

    Returns:
      Milliseconds by key, for one image (size, size, 3) of float32.

    Raises:
      RuntimeError: the process failed; the message holds what it said.
    """
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    command = [sys.executable, "-m", __name__, *keys, f"--rounds={rounds}", f"--size={size}"]
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(f"timing failed: {process.stderr.strip()}")
    return json.loads(process.stdout.splitlines()[-1])


def device_milliseconds(
    keys: Sequence[str], *, rounds: int = ROUNDS, size: int = SIZE
) -> dict[str, float] | None:
    """The same on JAX's default device, in time of the clock; None if that is the CPU."""
    import jax

    if jax.default_backend() == "cpu":
        return None
    return _medians(keys, time.perf_counter, rounds, size)


def _medians(
    keys: Sequence[str], clock: Callable[[], float], rounds: int, size: int
) -> dict[str, float]:
    import jax
    import numpy as np

    from aa_jax.ops.downsample import downsample
    from experiments.downsampling.reductions import FACTOR

    rng = np.random.default_rng(0)
    # More than one image, so that no round has the one before in a register.
    images = [jax.device_put(rng.random((1, size, size, 3), np.float32)) for _ in range(4)]
    calls = {}
    for key in keys:
        method, _, phase = key.partition("/")
        options = {"method": method, "phase": phase}
        calls[key] = lambda x, options=options: downsample(x, FACTOR, **options)
    times: dict[str, list[float]] = {key: [] for key in keys}
    for index in range(rounds + 2):  # two to warm up, the first of which compiles
        image = images[index % len(images)]
        for key, call in calls.items():
            start = clock()
            jax.block_until_ready(call(image))
            times[key].append(clock() - start)
    return {key: 1000 * statistics.median(values[2:]) for key, values in times.items()}


def main() -> None:
    """The process of `cpu_milliseconds`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("keys", nargs="+", metavar="METHOD/PHASE")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--size", type=int, default=SIZE)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # before JAX starts its threads; Linux only
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(json.dumps(_medians(options.keys, time.process_time, options.rounds, options.size)))


if __name__ == "__main__":
    main()
