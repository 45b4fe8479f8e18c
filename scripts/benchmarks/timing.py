"""Interleaved measurement of rival implementations in one process."""

import dataclasses
import statistics
import time
from collections.abc import Callable

import jax

# Seconds of a rival's turn: first uncounted, then counted, at least one run each.
_SETTLE, _COUNTED = 0.05, 0.05


@dataclasses.dataclass(frozen=True)
class Timing:
    """Milliseconds of one implementation in each round, in order."""

    wall: list[float]
    cpu: list[float]

    @property
    def median_wall(self) -> float:
        return statistics.median(self.wall)

    @property
    def median_cpu(self) -> float:
        return statistics.median(self.cpu)


def measure(rivals: dict[str, Callable[[int], object]], *, rounds: int) -> dict[str, Timing]:
    """Gives every rival its turn in each round, and times it once it has settled.

    Short runs are repeated. For some 50 ms after a change of rivals, worker threads of the one
    before still spin on a core, caches hold its arrays, and the scheduler has the new one's threads
    share a core: twice the time of a run of a millisecond.

    Args:
      rivals: functions of a number (to choose a fresh input by) that return when their work is
        done.
      rounds: how many turns each gets.

    Returns:
      For each rival and round, the median wall and mean process-CPU milliseconds of a run.
    """
    results = {name: Timing([], []) for name in rivals}
    for _ in range(rounds):
        for name, run in rivals.items():
            _runs(run, _SETTLE)
            before = time.process_time()
            walls = _runs(run, _COUNTED)
            results[name].cpu.append((time.process_time() - before) / len(walls) * 1e3)
            results[name].wall.append(statistics.median(walls) * 1e3)
    return results


def _runs(run: Callable[[int], object], seconds: float) -> list[float]:
    """Seconds of each of as many runs as take the given time together, at least one."""
    walls = []
    while sum(walls) < seconds:
        start = time.perf_counter()
        run(len(walls))
        walls.append(time.perf_counter() - start)
    return walls


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
