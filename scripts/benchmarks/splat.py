"""Images from scattered samples: our mixtures of Gaussians, SciPy's interpolators, dense sums.

All rivals see the same random points with the colours of a photograph, and take turns in a process
of their own, whose BLAS has one thread: with more, the tiny LAPACK calls that `griddata` makes for
every triangle take a hundred times longer, which says nothing about the method. XLA's own threads,
which ours and the dense sums in JAX run on, do not heed these settings. On CPU it is CPU time that
is compared, so that whoever uses both cores pays for both; on an accelerator it is wall time, and
SciPy is left out. Without a GPU: five minutes on two cores.
"""

import argparse
import dataclasses
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from scripts.benchmarks.splat_peers import (
    INPUTS,
    PIXELS_PER_POINT,
    SIGMA,
    Rival,
    compiled,
    dense_jax,
    on_device,
    photograph_samples,
    scipy_rivals,
)

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
OURS, EAGER = "ours, jitted", "ours, eager"
# How many times the CPU time of ours a rival should take at least.
CLAIMS = {
    "griddata linear": 3,
    "RBFInterpolator, 16 neighbours": 20,
    "dense sum, JAX": 200,
    "dense sum, NumPy": 200,
}
# A rival that has run for so many seconds gets no further turn.
_ENOUGH = 20.0
_COUNTED = 0.1


def run(*, rounds: int, output: pathlib.Path | None = None, keep_freed_memory: bool = True) -> None:
    """Measures in a process whose BLAS has one thread.

    Args:
      rounds: turns of each rival; those of more than seconds get fewer.
      output: folder for table, rows and plot.
      keep_freed_memory: see `aa_jax.training.host_memory`.
    """
    command = [sys.executable, "-m", "scripts.benchmarks.splat", str(rounds)]
    if output:
        command += ["--output", str(output.resolve())]
    if not keep_freed_memory:
        command.append("--default-allocator")
    environment = os.environ | dict.fromkeys(BLAS_THREADS, "1")
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def measure_all(
    *, rounds: int, points: int = 65536, least: int = 4096, most: int = 262144, peers: bool = True
) -> Iterator[tuple[str, object]]:
    """Measures everything, subject by subject.

    Args:
      rounds: turns of each rival.
      points: how many samples the rivals interpolate, a square of an even number.
      least: where the scaling begins, likewise.
      most: where it ends, a multiple of `least` by a power of 4.
      peers: False for ours alone.

    Yields:
      ("rivals", rows), ("scaling", curves) and ("renders", rows), each as soon as it is known.
    """
    yield "rivals", _interpolation(points, rounds, peers)
    yield "scaling", _scaling(least, most, min(rounds, 5))
    yield "renders", _renders(rounds)


def measure(rivals: dict, rounds: int) -> tuple[dict, dict]:
    """Turn by turn, as `timing.measure`; but a run of seconds is neither settled nor repeated much.

    Returns:
      For each rival a `Timing`, in milliseconds: wall and process-CPU time of each round; and what
      its first run of all gave.
    """
    from scripts.benchmarks.timing import Timing

    results = {name: Timing([], []) for name in rivals}
    spent, made = dict.fromkeys(rivals, 0.0), {}
    for number in range(rounds):
        for name, rival in rivals.items():
            if spent[name] >= _ENOUGH:
                continue
            if rival.settles:
                rival.run(number)
            walls, before = [], time.process_time()
            while sum(walls) < _COUNTED:
                start = time.perf_counter()
                image = rival.run(number + 1 + len(walls))
                walls.append(time.perf_counter() - start)
                made.setdefault(name, image)
            cpu = (time.process_time() - before) / len(walls)
            spent[name] += sum(walls)
            results[name].cpu.append(cpu * rival.share * 1e3)
            results[name].wall.append(statistics.median(walls) * rival.share * 1e3)
    return results, made


def ratio(slow: list[float], fast: list[float]) -> tuple[float, float | None]:
    """Median of the rounds' ratios, and their quartile spread if there are two rounds or more."""
    pairs = [a / b for a, b in zip(slow, fast, strict=False)]  # the slow one may have fewer
    if len(pairs) < 2:
        return pairs[0], None
    low, _, high = statistics.quantiles(pairs, n=4, method="inclusive")
    return statistics.median(pairs), high - low


def _row(name: str, rival: Rival, timing) -> dict:
    return {
        "method": name,
        "cpu_s": timing.median_cpu / 1e3,
        "wall_s": timing.median_wall / 1e3,
        "rounds": len(timing.wall),
        "projected_from": rival.share,
        "compile_s": rival.compile_s,
        "temporaries_mb": rival.temporaries_mb,
        "ours": rival.ours,
    }


# --- all rivals on one image ---


def _interpolation(points: int, rounds: int, peers: bool) -> list[dict]:
    import jax
    import numpy as np

    picture, samples = photograph_samples(points)
    rivals = _ours(samples, len(picture))
    if peers:
        rivals |= dense_jax(samples, len(picture))
    if peers and jax.default_backend() == "cpu":
        rivals |= scipy_rivals(samples, len(picture))
    results, images = measure(rivals, rounds)
    clock = "cpu" if jax.default_backend() == "cpu" else "wall"
    rows = []
    for name, rival in rivals.items():
        row = _row(name, rival, results[name]) | {"clock": clock, "ratios": {}}
        for base in (OURS, EAGER):
            times = (getattr(results[n], clock) for n in (name, base))
            middle, spread = ratio(*times)
            row["ratios"][base] = {"median": middle, "spread": spread}
        row["l1"] = None
        if rival.share == 1 and "gradient" not in name:
            error = np.abs(np.asarray(images[name], float).reshape(picture.shape) - picture)
            row["l1"] = float(np.nanmean(error))
        rows.append(row)
    return rows


def _ours(samples, side: int) -> dict[str, Rival]:
    import jax

    from aa_jax.ops.splat import interpolate

    inputs, size = on_device(samples), (side, side)

    def eager(**options) -> Rival:
        def image(number):
            return jax.block_until_ready(
                interpolate(*inputs[number % INPUTS], SIGMA, size=size, **options).image
            )

        start = time.perf_counter()
        image(0)
        seconds = time.perf_counter() - start
        for number in range(1, INPUTS):  # most share the compilation, but not for sure
            image(number)
        return Rival(image, settles=True, compile_s=seconds, ours=True)

    forward, gradient = _functions(side)
    return {
        OURS: compiled(forward, inputs, ours=True),
        EAGER: eager(),
        # Without a search for the sample nearest to the few pixels that no point reaches.
        "ours, jitted, zero in gaps": compiled(
            _functions(side, fallback=0.0)[0], inputs, ours=True
        ),
        "ours, eager, local linear": eager(regression="linear"),
        "ours, value and gradient, jitted": compiled(gradient, inputs, ours=True),
    }


def _functions(side: int, **options) -> tuple[Callable, Callable]:
    """Of points and values: the image, and the loss with its gradient, also in all widths."""
    import jax
    from jax import numpy as jnp

    from aa_jax.ops.splat import interpolate

    def forward(points, values):
        return interpolate(points, values, SIGMA, size=(side, side), **options).image

    def loss(points, values, width):
        # Widths that are variables leave the bound that is taken for a constant to the caller.
        capacity = 4 * len(points)
        image = interpolate(
            points, values, width, size=(side, side), capacity=capacity, **options
        ).image
        return jnp.mean(image**2)

    def gradient(points, values):
        width = jnp.full(len(points), SIGMA, points.dtype)
        return jax.value_and_grad(loss, argnums=(0, 1, 2))(points, values, width)

    return forward, gradient


# --- how the time grows with the number of points ---


def _scaling(least: int, most: int, rounds: int) -> list[dict]:
    import jax
    import numpy as np

    steps = round(math.log(most / least, 4)) + 1
    numbers = [least * 4**k for k in range(steps)]
    fixed = math.isqrt(PIXELS_PER_POINT * numbers[-1]) // 2
    curves = {
        f"{PIXELS_PER_POINT} pixels per point": lambda n: math.isqrt(PIXELS_PER_POINT * n),
        f"{fixed} x {fixed} pixels": lambda n: fixed,
    }
    rivals, built = {}, {}
    for title, side_of in curves.items():
        for number in numbers:
            side = side_of(number)
            if (number, side) not in built:
                built[number, side] = _scaling_rivals(number, side)
            for kind, rival in built[number, side].items():
                rivals[title, kind, number] = rival
    results, _ = measure(rivals, rounds)
    clock = "cpu" if jax.default_backend() == "cpu" else "wall"
    rows = []
    for title, side_of in curves.items():
        for kind in ("forward", "value and gradient"):
            keys = [(title, kind, number) for number in numbers]
            times = [statistics.median(getattr(results[key], clock)) / 1e3 for key in keys]
            slope, _ = np.polyfit(np.log(numbers), np.log(times), 1)
            rows.append(
                {
                    "curve": title,
                    "kind": kind,
                    "clock": clock,
                    "points": numbers,
                    "sides": [side_of(number) for number in numbers],
                    "seconds": times,
                    "slope": float(slope),
                    "compile_s": [rivals[key].compile_s for key in keys],
                    "temporaries_mb": [rivals[key].temporaries_mb for key in keys],
                }
            )
    return rows


def _scaling_rivals(number: int, side: int) -> dict[str, Rival]:
    import numpy as np

    rng = np.random.default_rng(number)
    samples = [
        (rng.uniform(-0.5, side - 0.5, (number, 2)), rng.uniform(size=(number, 3)))
        for _ in range(INPUTS)
    ]
    inputs = on_device(samples)
    # Few points leave much of a large image uncovered; looking for the nearest is another cost.
    forward, gradient = _functions(side, fallback=0.0)
    return {
        "forward": compiled(forward, inputs, ours=True),
        "value and gradient": compiled(gradient, inputs, ours=True),
    }


# --- renders per second ---


def _renders(rounds: int, *, gaussians: int = 10_000, size: tuple[int, int] = (512, 768)):
    """Sums of that many Gaussians of any covariance, about 2.5 px wide, as fitted to a picture."""
    import jax
    import numpy as np
    from jax import numpy as jnp

    from aa_jax.ops.splat import splat

    rng = np.random.default_rng(0)
    inputs = []
    for _ in range(INPUTS):
        places = rng.uniform(-0.5, np.array(size)[::-1] - 0.5, (gaussians, 2))
        angle = rng.uniform(0, np.pi, gaussians)
        axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        sigmas = 2.5 * np.exp(rng.normal(scale=0.3, size=(gaussians, 2)))
        covariance = np.einsum("ikn,nk,jkn->nij", axes, sigmas**2, axes)
        arrays = (places, rng.uniform(-1, 1, (gaussians, 3)), covariance)
        inputs.append(tuple(jnp.asarray(array, jnp.float32) for array in arrays))
    needed = max(int(splat(*arrays, size=size).entries) for arrays in inputs)
    capacity = math.ceil(1.05 * needed)  # as a training loop would set it after a look

    def forward(*arrays):
        return splat(*arrays, size=size, capacity=capacity).image

    def gradient(*arrays):
        return jax.value_and_grad(lambda *a: jnp.mean(forward(*a) ** 2), (0, 1, 2))(*arrays)

    kinds = {"forward": forward, "value and gradient": gradient}
    rivals = {kind: compiled(function, inputs, ours=True) for kind, function in kinds.items()}
    if jax.default_backend() != "cpu":  # otherwise it would be the way there and back
        rivals = {kind: _queued(rival) for kind, rival in rivals.items()}
    results, _ = measure(rivals, rounds)
    rows = []
    for kind, rival in rivals.items():
        row = _row(kind, rival, results[kind])
        row |= {"gaussians": gaussians, "size": size, "entries": needed}
        rows.append(row | {"per_second": 1 / row["wall_s"], "per_cpu_second": 1 / row["cpu_s"]})
    return rows


def _queued(rival: Rival, number: int = 16) -> Rival:
    """That many images in a run: those after the first wait on the device, not on the host."""
    import jax

    def run(first):
        return jax.block_until_ready([rival.launch(first + i) for i in range(number)])

    return dataclasses.replace(rival, run=run, share=1 / number)


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("rounds", type=int)
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--default-allocator", action="store_true")
    given = parser.parse_args()
    from aa_jax.training import host_memory
    from scripts.benchmarks import report, splat_report

    if not given.default_allocator:
        host_memory.keep_freed_memory()
    splat_report.run(
        measure_all(rounds=given.rounds), machine=report.machine(), output=given.output
    )


if __name__ == "__main__":
    _main()
