"""Progress and metrics: a line or a bar on the console, `metrics.jsonl`, TensorBoard.

Reading a loss from the device makes Python wait for it, so steps hand over device scalars, which
are kept and fetched together at the log interval.
"""

import contextlib
import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import jax
import numpy as np

from aa_jax.training import distributed

STEPS_IN_FLIGHT = 2
_BAR_WIDTH = 24
# What counts or is steered: the latest value says where a run stands, a mean does not.
_CLOCKS = ("kimg", "augment_probability")


class DivergenceError(ValueError):
    """The loss or the gradient is not finite."""


class MetricsLogger:
    """Collects the metrics of steps and writes their means.

    Args:
        workdir: gets `metrics.jsonl`, one JSON object a line with `step`, and `tensorboard/`.
        total_steps: of the whole run, for the ETA.
        batch_size: global batch size, for images/s.
        start_step: the step the run goes on from; what was logged beyond it is dropped, since
            those steps are about to be repeated.
        label: printed at the start of each line.
        tensorboard: write TensorBoard files too (needs tensorboardX).
        stream: console; a terminal gets a bar, anything else plain lines.

    Only the main process prints and writes.
    """

    def __init__(
        self,
        workdir: str | pathlib.Path,
        *,
        total_steps: int,
        batch_size: int,
        start_step: int = 0,
        label: str = "",
        tensorboard: bool = True,
        stream: TextIO | None = None,
    ):
        workdir = pathlib.Path(workdir)
        self._total_steps, self._batch_size, self._label = total_steps, batch_size, label
        self._stream = sys.stdout if stream is None else stream
        self._file = self._tensorboard = None
        self._bar_shown = False
        if distributed.is_main_process():
            workdir.mkdir(parents=True, exist_ok=True)
            drop_rows_after(workdir / "metrics.jsonl", start_step)
            self._file = open(workdir / "metrics.jsonl", "a", encoding="utf-8")
            if tensorboard:
                from tensorboardX import SummaryWriter

                self._tensorboard = SummaryWriter(
                    str(workdir / "tensorboard"), purge_step=start_step + 1
                )
        self._buffer: list[tuple[int, Mapping[str, Any]]] = []
        self._warm = False
        self._restart_clock()

    def __enter__(self) -> "MetricsLogger":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    @contextlib.contextmanager
    def waiting_for_data(self) -> Iterator[None]:
        """Counts the time inside as waiting for data."""
        begin = time.perf_counter()
        yield
        self._waited += time.perf_counter() - begin

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Leaves the time inside (an evaluation, a checkpoint) out of images/s and ETA."""
        begin = time.perf_counter()
        yield
        self._begin += time.perf_counter() - begin

    def add(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
        """Keeps the metrics of a step. Waits only for an earlier one, so that the host does not
        run ahead of the device and pile up batches there."""
        self._buffer.append((step, metrics))
        self._steps += 1
        if len(self._buffer) > STEPS_IN_FLIGHT:
            jax.block_until_ready(self._buffer[-1 - STEPS_IN_FLIGHT][1])
        if not self._warm:  # the first step compiles: it says nothing about speed
            jax.block_until_ready(metrics)
            self._warm = True
            self._restart_clock()

    def fetch(self) -> list[dict[str, float]]:
        """The metrics kept so far as numbers, also for a checkpoint; they stay kept.

        Raises:
            DivergenceError: a step among them has diverged.
        """
        rows = jax.device_get([metrics for _, metrics in self._buffer])
        rows = [{name: float(value) for name, value in row.items()} for row in rows]
        for (step, _), row in zip(self._buffer, rows, strict=True):
            if row.get("diverged"):
                values = ", ".join(
                    f"{name} {value:g}" for name, value in row.items() if name != "diverged"
                )
                raise DivergenceError(
                    f"training has diverged at step {step}: expected finite losses and gradients, "
                    f"got {values}"
                )
        self._buffer = [(step, row) for (step, _), row in zip(self._buffer, rows, strict=True)]
        return rows

    def restore(self, step: int, rows: list[dict[str, float]]) -> None:
        """Takes back what `fetch` returned when the checkpoint of `step` was written."""
        first = step - len(rows) + 1
        self._buffer = [(first + offset, row) for offset, row in enumerate(rows)]

    def log(self, step: int) -> dict[str, float]:
        """Writes the means of the metrics kept since the last call, and prints progress."""
        rows = self.fetch()
        self._buffer = []
        # Not every step has every metric: lazy regularisers come now and then.
        names = dict.fromkeys(name for row in rows for name in row)
        means = {
            name: (_last if name in _CLOCKS else _mean)([row[name] for row in rows if name in row])
            for name in names
        }
        means.pop("diverged", None)
        seconds = max(time.perf_counter() - self._begin, 1e-9)
        if self._steps:  # none yet when the very first step is logged
            rate = self._steps * self._batch_size / seconds
            means["images_per_second"] = round(rate, 1)
            if "kimg" in means:
                means["seconds_per_kimg"] = round(1000 / rate, 2)
            means["data_wait"] = round(min(self._waited / seconds, 1.0), 4)
            means["eta_seconds"] = round((self._total_steps - step) * seconds / self._steps, 1)
        self._restart_clock()
        self._write(step, means)
        self._print(step, _progress_text(means), is_progress=True)
        return means

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes numbers already at hand, such as those of an evaluation."""
        self._write(step, metrics)
        self._print(step, "  ".join(f"{name} {value:.4f}" for name, value in metrics.items()))

    def flush(self) -> None:
        """Brings everything written to the disk, before a checkpoint that presupposes it."""
        if self._file:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._bar_shown:
            self._stream.write("\n")
        for writer in filter(None, (self._file, self._tensorboard)):
            writer.close()
        self._file = self._tensorboard = None

    def _restart_clock(self) -> None:
        self._begin, self._waited, self._steps = time.perf_counter(), 0.0, 0

    def _write(self, step: int, metrics: Mapping[str, float]) -> None:
        if not self._file:
            return
        finite = {k: v if math.isfinite(v) else None for k, v in metrics.items()}
        self._file.write(json.dumps({"step": step, **finite}) + "\n")
        self._file.flush()
        if self._tensorboard:
            for name, value in metrics.items():
                self._tensorboard.add_scalar(name, value, step)

    def _print(self, step: int, text: str, *, is_progress: bool = False) -> None:
        if not self._file:
            return
        done = f"{self._label}{'  ' if self._label else ''}step {step}/{self._total_steps}"
        terminal = self._stream.isatty()
        if terminal and is_progress:
            filled = round(_BAR_WIDTH * step / max(self._total_steps, 1))
            bar = "█" * filled + "░" * (_BAR_WIDTH - filled)
            self._stream.write(f"\r\x1b[K{bar}  {done}  {text}")
        else:
            self._stream.write(f"{chr(13) + chr(27) + '[K' if terminal else ''}{done}  {text}\n")
        self._bar_shown = terminal and is_progress
        self._stream.flush()


def read_metrics(path: str | pathlib.Path) -> list[dict[str, Any]]:
    """The rows of a `metrics.jsonl`; a last line cut off by a crash is left out."""
    path = pathlib.Path(path)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = []
    for number, line in enumerate(lines):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number == len(lines) - 1:
                break
            raise ValueError(f"{path}, line {number + 1} is not JSON: {line[:80]!r}") from error
    return rows


def drop_rows_after(path: str | pathlib.Path, step: int) -> None:
    """Removes the rows of later steps from a `metrics.jsonl`, by replacing the file at once."""
    path = pathlib.Path(path)
    if not path.exists():
        return
    rows = [row for row in read_metrics(path) if row["step"] <= step]
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _mean(values: list[float]) -> float:
    """The mean of the finite values (steps skipped in float16 may have others)."""
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan


def _last(values: list[float]) -> float:
    return values[-1]


def _progress_text(means: Mapping[str, float]) -> str:
    shown = ("loss", "accuracy", "learning_rate", "loss_scale")
    shown += ("kimg", "loss_generator", "loss_discriminator", "augment_probability")
    parts = [f"{name.replace('_', ' ')} {means[name]:.4g}" for name in shown if name in means]
    if "images_per_second" in means:
        minutes, seconds = divmod(round(means["eta_seconds"]), 60)
        parts.append(f"{means['images_per_second']:.0f} images/s")
        parts.append(f"data wait {100 * means['data_wait']:.0f}%")
        parts.append(f"eta {minutes // 60}:{minutes % 60:02}:{seconds:02}")
    return "  ".join(parts)
