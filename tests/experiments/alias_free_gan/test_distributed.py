"""The GAN on several devices and in several processes is the GAN on one."""

import signal
import socket
import subprocess
import time

import pytest

from tests.experiments.alias_free_gan import tiny_config
from tests.training import runs

STEPS = 8
HEARTBEAT_TIMEOUT = 10


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
    with Pair(tmp_path / "whole", tmp_path / "logs") as pair:
        assert pair.exit_codes() == [0, 0], pair.output(0) + pair.output(1)
        printed = pair.output(1)
    assert "step" not in printed and "whole" not in printed
    rows = runs.curve(tmp_path / "whole")
    alone = runs.curve(uninterrupted)[:STEPS]
    difference = runs.largest_difference(rows, alone)
    print(f"two processes against one: {difference:.2g}")
    assert difference < 1e-4
