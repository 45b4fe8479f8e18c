"""Interleaved measurement of rival implementations in one process."""

import dataclasses
import statistics
import time
from collections.abc import Callable

import jax


@dataclasses.dataclass(frozen=True)
class Timing:
    """Milliseconds of one implementation over the rounds, in order."""

    wall: list[float]
    cpu: list[float]

    @property
    def median_wall(self) -> float:
        return statistics.median(self.wall)

    @property
    def median_cpu(self) -> float:
        return statistics.median(self.cpu)


def measure(rivals: dict[str, Callable[[int], object]], *, rounds: int) -> dict[str, Timing]:
    """Runs every rival twice a round, in turn; the second run is measured.

    Args:
      rivals: functions of the round's number (to choose a fresh input by) that return when their
        work is done.
      rounds: measured rounds.

    Returns:
      Wall and process-CPU milliseconds of each rival.
    """
    results = {name: Timing([], []) for name in rivals}
    for number in range(1, rounds + 1):
        for name, run in rivals.items():
            # Not counted: worker threads of the rival before may still spin, its own may sleep.
            run(number - 1)
            wall, cpu = time.perf_counter(), time.process_time()
            run(number)
            results[name].cpu.append((time.process_time() - cpu) * 1e3)
            results[name].wall.append((time.perf_counter() - wall) * 1e3)
    return results


def ratio(slow: Timing, fast: Timing) -> tuple[float, float]:
    """How many times longer `slow` takes: median over rounds, and the rounds' quartile spread."""
    pairs = [a / b for a, b in zip(slow.wall, fast.wall, strict=True)]
    low, _, high = statistics.quantiles(pairs, n=4)
    return statistics.median(pairs), high - low


def compiled(function: Callable, *examples) -> tuple[Callable, float, float]:
    """Compiles ahead of time.

    Returns:
      The executable, compilation seconds, and megabytes of its temporaries.
    """
    start = time.perf_counter()
    executable = jax.jit(function).lower(*examples).compile()
    seconds = time.perf_counter() - start
    return executable, seconds, executable.memory_analysis().temp_size_in_bytes / 2**20


def cycling(executable: Callable, inputs: list[tuple]) -> Callable[[int], object]:
    """Runs a JAX executable on the round's input and waits for the result."""
    return lambda number: jax.block_until_ready(executable(*inputs[number % len(inputs)]))
