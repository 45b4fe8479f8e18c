"""Training runs as processes of their own, as a user starts them: to be stopped and compared."""

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from aa_jax.training.logging import read_metrics

ROOT = pathlib.Path(__file__).resolve().parents[2]
_TIMINGS = ("images_per_second", "seconds_per_kimg", "data_wait", "eta_seconds")


def command(config: str, workdir: os.PathLike, settings: Mapping[str, Any], *options) -> list[str]:
    """The command line of a run: `config` is a file below the root, perhaps with `:arg`."""
    return [
        sys.executable,
        str(ROOT / "scripts" / "train.py"),
        f"--config={ROOT / config}",
        f"--workdir={workdir}",
        *(f"--config.{name}={value}" for name, value in settings.items()),
        *options,
    ]


def environment(*, devices: int) -> dict[str, str]:
    """Of a process with so many simulated devices, whose compiler does not try very hard."""
    flag = f"--xla_force_host_platform_device_count={devices}"
    return {**os.environ, "XLA_FLAGS": flag, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


def run(arguments: list[str], env: Mapping[str, str] | None = None, *, fails: bool = False) -> str:
    """Runs to the end; returns its output, or, if it `fails`, its errors."""
    result = subprocess.run(
        arguments, capture_output=True, text=True, timeout=300, check=False, env=env
    )
    assert (result.returncode != 0) == fails, result.stdout + result.stderr
    return result.stderr if fails else result.stdout


def stop(
    arguments: list[str],
    env: Mapping[str, str] | None = None,
    *,
    at: str,
    how: signal.Signals,
) -> int:
    """Starts a run and sends it a signal once it has printed `at`; returns its exit code."""
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=env) as process:
        for line in process.stdout:
            if at in line:
                process.send_signal(how)
                break
        process.stdout.read()
        return process.wait(timeout=300)


def curve(workdir: pathlib.Path) -> list[dict]:
    """The rows of a run without the timings, which do differ."""
    rows = read_metrics(workdir / "metrics.jsonl")
    return [{k: v for k, v in row.items() if k not in _TIMINGS} for row in rows]


def largest_difference(a: Any, b: Any) -> float:
    """Of two trees of numbers or arrays, relative to the numbers but for those below 1e-3."""

    def difference(x, y):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        assert x.shape == y.shape
        return np.max(np.abs(x - y) / np.maximum(np.abs(y), 1e-3), initial=0)

    return max(jax.tree.leaves(jax.tree.map(difference, a, b)))
