"""The alias-free generator, one picture at a time: start, seconds per picture, memory.

Every start is a process of its own: the first with an empty compilation cache, the second with the
first one's. What the published code's CPU path takes is in the project's facts, not measured here.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Of the 256 px networks that are published.
CHANNEL_BASE = {"t": 16384, "r": 2 * 16384}


def run(config: str, resolution: int, *, rounds: int) -> list[dict]:
    """Measures two starts and prints them as a table.

    Args:
      config: "t" or "r".
      resolution: side of the picture.
      rounds: pictures after the first.

    Returns:
      A row for each start: seconds of process time and of wall time, megabytes.
    """
    with tempfile.TemporaryDirectory() as cache:
        rows = [_start(config, resolution, rounds, cache) for _ in range(2)]
    print(f"\nalias-free generator {config.upper()}, {resolution} px, one picture")
    print(
        "| start | to the first picture, s | of it tracing | compiling or loading "
        "| per picture: CPU s | wall s | peak memory, MB |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, row in zip(("first", "second"), rows, strict=True):
        print(
            f"| {name} | {row['first_picture']:.1f} | {row['trace']:.1f} | {row['compile']:.1f} "
            f"| {row['cpu']:.2f} | {row['wall']:.2f} | {row['peak_megabytes']:.0f} |",
            flush=True,
        )
    return rows


def _start(config: str, resolution: int, rounds: int, cache: str) -> dict:
    arguments = [config, str(resolution), str(rounds), repr(time.time())]
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "scripts.benchmarks.generator", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def _measure(config: str, resolution: int, rounds: int, started: float) -> dict:
    import jax
    from flax import nnx

    from aa_jax.models import alias_free
    from aa_jax.training import host_memory

    host_memory.keep_freed_memory()
    plan = {"t": alias_free.config_t, "r": alias_free.config_r}[config]
    plan = plan(resolution, channel_base=CHANNEL_BASE[config])
    graph, state = nnx.split(alias_free.Generator(plan, rngs=nnx.Rngs(0)))
    inputs = alias_free.latents_from_seeds(range(rounds + 1), 512)[:, None]

    marks = [time.perf_counter()]
    lowered = jax.jit(lambda state, z: nnx.merge(graph, state)(z)).lower(state, inputs[0])
    marks.append(time.perf_counter())
    executable = lowered.compile()
    marks.append(time.perf_counter())
    jax.block_until_ready(executable(state, inputs[0]))
    first_picture = time.time() - started
    cpus, walls = [], []
    for z in inputs[1:]:
        cpu, wall = time.process_time(), time.perf_counter()
        jax.block_until_ready(executable(state, z))
        cpus.append(time.process_time() - cpu)
        walls.append(time.perf_counter() - wall)
    return {
        "first_picture": first_picture,
        "trace": marks[1] - marks[0],
        "compile": marks[2] - marks[1],
        "cpu": statistics.median(cpus),
        "wall": statistics.median(walls),
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("config", choices=CHANNEL_BASE)
    parser.add_argument("resolution", type=int)
    parser.add_argument("rounds", type=int)
    parser.add_argument("started", type=float)
    given = parser.parse_args()
    print(json.dumps(_measure(given.config, given.resolution, given.rounds, given.started)))
