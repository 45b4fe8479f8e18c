"""The GAN on several devices and in several processes is the GAN on one."""

import functools
import json
import re
import signal
import socket
import subprocess
import time

import jax
import pytest

from aa_jax.training import config as configs, distributed
from aa_jax.training.checkpoint import Checkpoints
from experiments.alias_free_gan import images, program as programs
from tests.experiments.alias_free_gan import tiny_config
from tests.training import runs

STEPS = 8
HEARTBEAT_TIMEOUT = 10
# Adam's steps are of one length, however small a gradient; where that is rounding alone its sign
# is chance. So rounding grows by thousands in twenty steps of the usual length: we take short ones.
SETTINGS = {
    "batch_size": "16",
    "optimizer.generator_learning_rate": "1e-4",
    "optimizer.discriminator_learning_rate": "1e-4",
    # Of a steered probability every digit would hang on the signs of logits near zero.
    "augment.kind": "fixed",
    "augment.probability": "0.5",
}


@pytest.fixture(scope="module", autouse=True)
def quick_compiler():
    """Compiles in seconds what runs for less."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def train(num_devices: int, **settings):
    """Trains a network on some devices; returns the metrics of every step, and the last state."""
    config = tiny_config.get_config()
    configs.override(config, SETTINGS | settings)
    mesh = distributed.data_mesh(jax.devices()[:num_devices])
    program = programs.build(config, 0, mesh)
    state = programs.initial_state(config, program, 0)
    batches = images.batches(config, images.open_source(config), mesh)
    iteration, rows = programs.Iteration(program, 0), []
    for _ in range(20):
        state, metrics = iteration(state, distributed.shard_batch(next(batches), mesh))
        rows.append({name: float(value) for name, value in metrics.items()})
    return rows, state


@pytest.fixture(scope="module")
def on_one():
    return train(1)


def losses(rows):
    return [{k: v for k, v in row.items() if k.startswith(("loss", "r1", "aug"))} for row in rows]


def test_eight_devices_give_the_losses_of_one(on_one):
    assert jax.device_count() == 8
    rows, state = train(8)
    assert runs.largest_difference(losses(rows), losses(on_one[0])) < 1e-4
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state))


def test_divided_arrays_give_the_losses_of_whole_ones(on_one, monkeypatch):
    divided = functools.partial(distributed.divided_shardings, least_size=64)
    monkeypatch.setattr(distributed, "divided_shardings", divided)
    rows, state = train(8, sharding="sharded")
    assert runs.largest_difference(losses(rows), losses(on_one[0])) < 1e-4
    for part in (state.generator, state.discriminator, state.ema, state.discriminator_optimizer):
        large = [leaf for leaf in jax.tree.leaves(part) if leaf.size >= 64 and 8 in leaf.shape]
        assert large
        for leaf in large:
            shards = {(shard.device, shard.data.size) for shard in leaf.addressable_shards}
            assert shards == {(device, leaf.size // 8) for device in jax.devices()}


def test_accumulated_gradients_are_those_of_the_batch():
    # Augmentation draws anew for every part, and the running means move once for every part.
    plain, _ = train(1, **{"augment.kind": "none"})
    rows, _ = train(2, **{"augment.kind": "none", "accumulation_steps": "2"})
    assert runs.largest_difference(losses(rows)[:1], losses(plain)[:1]) < 1e-4
    assert runs.largest_difference(losses(rows), losses(plain)) < 2e-3


class Pair:
    """Two processes that train together, with their outputs in files."""

    def __init__(self, workdir, logs):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        logs.mkdir()
        self.processes, self._logs = [], [logs / f"process_{index}.txt" for index in (0, 1)]
        for index in (0, 1):
            arguments = tiny_config.command(
                workdir,
                f"--coordinator=localhost:{port}",
                "--num-processes=2",
                f"--process-id={index}",
                f"--heartbeat-timeout={HEARTBEAT_TIMEOUT}",
                total_kimg=STEPS * tiny_config.BATCH / 1000,
                **{"every.save_kimg": 2 * tiny_config.BATCH / 1000},
            )
            with open(self._logs[index], "w") as log:
                env = runs.environment(devices=1)
                self.processes.append(
                    subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT, env=env)
                )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in self.processes:
            process.kill()  # SIGTERM would only be noted
            process.wait()

    def output(self, index: int) -> str:
        return self._logs[index].read_text()

    def wait_for(self, text: str) -> None:
        """Waits until process 0, which prints, has printed it."""
        deadline = time.monotonic() + 300
        while text not in self.output(0):
            codes = [process.poll() for process in self.processes]
            assert codes == [None, None] and time.monotonic() < deadline, self.output(0)
            time.sleep(0.05)

    def exit_codes(self, *, timeout: float = 300) -> list[int]:
        deadline = time.monotonic() + timeout
        return [process.wait(deadline - time.monotonic()) for process in self.processes]


@pytest.mark.slow
def test_two_processes_train_together_and_recover(uninterrupted, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with Pair(whole, tmp_path / "logs") as pair:
        assert pair.exit_codes() == [0, 0], pair.output(0) + pair.output(1)
        assert "step" in pair.output(0) and "step" not in pair.output(1)
    rows = runs.curve(whole)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))  # written once
    assert runs.largest_difference(rows, runs.curve(uninterrupted)[:STEPS]) < 1e-4

    with Pair(killed, tmp_path / "first_logs") as pair:
        pair.wait_for(f"step 5/{STEPS}")
        pair.processes[1].kill()
        codes = pair.exit_codes(timeout=6 * HEARTBEAT_TIMEOUT)
        assert codes[0] not in (0, -signal.SIGKILL) and codes[1] == -signal.SIGKILL
        assert re.search("another (one has ended|task died)", pair.output(0))
    with Checkpoints(killed / "checkpoints", read_only=True) as checkpoints:
        assert checkpoints.latest_step in (2, 4)
    with Pair(killed, tmp_path / "second_logs") as pair:
        assert pair.exit_codes() == [0, 0], pair.output(0) + pair.output(1)
        assert "step 1/" not in pair.output(0)  # it went on, and did not begin again
    assert runs.curve(killed) == rows
    for name in ("pictures/reals.png", "pictures/fakes_000000.png", "equivariance.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    files = {path.relative_to(whole) for path in whole.rglob("*") if "checkpoints" not in str(path)}
    assert files == {
        path.relative_to(killed) for path in killed.rglob("*") if "checkpoints" not in str(path)
    }
    assert json.loads((whole / "versions.json").read_text())["processes"] == "2"
