"""Killed at random steps and started again, a run ends as if nothing had happened.

The whole path is exercised: the script, real data, a real network, the files on disk.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys

import pytest

from aa_jax.training.checkpoint import Checkpoints
from aa_jax.training.logging import read_metrics

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOTAL_STEPS = 24
SETTINGS = {
    "steps": TOTAL_STEPS,
    "every.log": 1,
    "every.save": 5,
    "every.evaluate": 12,
    "ema_decay": 0.9,
    "model.width": 4,
    "model.stage_sizes": "1,1",
    "data.train_options.size": 16,
    "data.test_options.size": 16,
    "tensorboard": False,
}


def command(workdir, variant):
    config = ROOT / "experiments" / "classification" / "configs" / "quickstart.py"
    return [
        sys.executable,
        str(ROOT / "scripts" / "train.py"),
        f"--config={config}:smoke,variant={variant}",
        f"--workdir={workdir}",
        *(f"--config.{name}={value}" for name, value in SETTINGS.items()),
    ]


def run(workdir, variant="blur"):
    arguments = command(workdir, variant)
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr


def stop(workdir, *, at_step: int, how: signal.Signals, variant="blur") -> int:
    """Starts the run and sends a signal once it has reported a step; returns the exit code."""
    with subprocess.Popen(command(workdir, variant), stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if f"step {at_step}/{TOTAL_STEPS}" in line:
                process.send_signal(how)
                break
        process.stdout.read()
        return process.wait(timeout=300)


def curve(workdir) -> list[dict]:
    """The rows of a run without the timings, which do differ."""
    timings = ("images_per_second", "data_wait", "eta_seconds")
    rows = read_metrics(workdir / "metrics.jsonl")
    return [{k: v for k, v in row.items() if k not in timings} for row in rows]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("uninterrupted")
    run(workdir)
    rows = curve(workdir)
    assert [row["step"] for row in rows if "loss" in row] == list(range(1, TOTAL_STEPS + 1))
    assert len({row["loss"] for row in rows if "loss" in row}) == TOTAL_STEPS
    return rows


def test_killed_twice_it_ends_with_the_same_losses(uninterrupted, tmp_path):
    seed = int(os.environ.get("AA_JAX_KILL_SEED", "0"))
    first, second = sorted(random.Random(seed).sample(range(2, TOTAL_STEPS - 4), 2))
    for step in (first, second):
        assert stop(tmp_path, at_step=step, how=signal.SIGKILL) == -signal.SIGKILL
    run(tmp_path)
    assert curve(tmp_path) == uninterrupted, (seed, first, second)
    names = {path.name for path in tmp_path.iterdir()} - {"compilation_cache"}
    assert names == {"checkpoints", "config.json", "metrics.jsonl", "versions.json"}
    with Checkpoints(tmp_path / "checkpoints", read_only=True) as checkpoints:
        assert checkpoints.latest_step == TOTAL_STEPS


def test_sigterm_saves_leaves_with_code_zero_and_goes_on(uninterrupted, tmp_path):
    assert stop(tmp_path, at_step=7, how=signal.SIGTERM) == 0
    with Checkpoints(tmp_path / "checkpoints", read_only=True) as checkpoints:
        saved = checkpoints.latest_step
    assert saved == curve(tmp_path)[-1]["step"] >= 7  # not only the regular one of step 5

    # A network of another width is refused in this folder, and changes nothing there.
    before = (tmp_path / "config.json").read_text()
    wider = [*command(tmp_path, "blur"), "--config.model.width=6"]
    result = subprocess.run(wider, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "is of another model or optimiser" in result.stderr
    expected = "params/conv1/kernel: checkpoint float32(3, 3, 3, 4), model float32(3, 3, 3, 6)"
    assert expected in result.stderr
    assert (tmp_path / "config.json").read_text() == before

    run(tmp_path)
    assert curve(tmp_path) == uninterrupted
