"""aa_jax.training.logging: means, rows, resumption, console."""

import io
import json
import time

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.training.logging import (
    DivergenceError,
    MetricsLogger,
    drop_rows_after,
    read_metrics,
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def make_logger(tmp_path, **options):
    options = {"total_steps": 10, "batch_size": 4, "stream": io.StringIO(), **options}
    return MetricsLogger(tmp_path, tensorboard=options.pop("tensorboard", False), **options)


def test_rows_are_means_since_the_last_row(tmp_path):
    with make_logger(tmp_path) as logger:
        for step in range(1, 7):
            logger.add(step, {"loss": jnp.asarray(step**2, jnp.float32), "diverged": jnp.zeros(())})
            if step % 3 == 0:
                logger.log(step)
        logger.write(6, {"eval_top1": 0.5})
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows] == [3, 6, 6]
    assert [row.get("loss") for row in rows] == [14 / 3, (16 + 25 + 36) / 3, None]
    assert rows[2] == {"step": 6, "eval_top1": 0.5}
    assert all("diverged" not in row for row in rows)


def test_rows_not_logged_yet_survive_a_restart(tmp_path):
    with make_logger(tmp_path) as logger:
        logger.add(1, {"loss": jnp.asarray(0.1)})
        logger.add(2, {"loss": jnp.asarray(0.7)})
        pending = json.loads(json.dumps(logger.fetch()))
        logger.add(3, {"loss": jnp.asarray(0.3)})
        expected = logger.log(3)["loss"]
    (tmp_path / "metrics.jsonl").unlink()
    with make_logger(tmp_path, start_step=2) as logger:
        logger.restore(2, pending)
        logger.add(3, {"loss": jnp.asarray(0.3)})
        assert logger.log(3)["loss"] == expected


def test_speed_data_wait_and_eta(tmp_path):
    with make_logger(tmp_path) as logger:
        time.sleep(0.2)  # compilation, which is not counted
        logger.add(1, {"loss": jnp.zeros(())})
        begin = time.perf_counter()
        for step in (2, 3):
            with logger.waiting_for_data():
                time.sleep(0.06)
            time.sleep(0.04)
            logger.add(step, {"loss": jnp.zeros(())})
        with logger.pause():
            time.sleep(0.3)  # an evaluation, which is not counted either
        elapsed = time.perf_counter() - begin - 0.3
        row = logger.log(3)
    assert row["images_per_second"] == pytest.approx(2 * 4 / elapsed, rel=0.25)
    assert row["data_wait"] == pytest.approx(0.12 / elapsed, rel=0.25)
    assert row["eta_seconds"] == pytest.approx(7 * elapsed / 2, rel=0.25)


def test_adding_does_not_wait_for_the_step_just_dispatched(tmp_path):
    class Scalar:
        """Stands for a device scalar; remembers whether somebody waited for it."""

        waited = False

        def block_until_ready(self):
            self.waited = True
            return self

    with make_logger(tmp_path) as logger:
        scalars = [Scalar() for _ in range(5)]
        for step, scalar in enumerate(scalars, 1):
            logger.add(step, {"loss": scalar})
        # The first is waited for (compilation); the last two are still in flight.
        assert [scalar.waited for scalar in scalars] == [True, True, True, False, False]
        logger._buffer = []


def test_divergence_names_the_step(tmp_path):
    good = {"loss": jnp.ones(()), "grad_norm": jnp.ones(()), "diverged": jnp.zeros(())}
    bad = {**good, "loss": jnp.asarray(np.nan), "diverged": jnp.ones(())}
    with make_logger(tmp_path) as logger:
        for step, metrics in enumerate((good, bad, good), 5):
            logger.add(step, metrics)
        with pytest.raises(DivergenceError, match="diverged at step 6: .*loss nan"):
            logger.log(7)
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_values_that_are_not_finite_stay_valid_json(tmp_path):
    with make_logger(tmp_path) as logger:
        for step, value in ((1, np.inf), (2, 3.0), (3, np.inf)):
            logger.add(step, {"loss": jnp.asarray(value), "skipped": jnp.asarray(value != 3.0)})
            if step != 1:
                logger.log(step)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["loss"] for row in rows] == [3.0, None]


def test_rows_beyond_the_restored_step_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"step": step, "loss": 1 / step}) for step in range(1, 6)]
    path.write_text("\n".join(lines) + '\n{"step": 6, "lo')  # killed while writing
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 3, 4, 5]
    with make_logger(tmp_path, start_step=3) as logger:
        logger.write(4, {"loss": 0.0})
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 3, 4]
    assert path.read_text().splitlines()[:3] == lines[:3]  # digit for digit
    assert [each.name for each in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_line_damaged_in_the_middle_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\nnonsense\n{"step": 3}\n')
    with pytest.raises(ValueError, match="line 2 is not JSON: 'nonsense'"):
        drop_rows_after(path, 1)


def test_plain_lines_in_a_file_and_a_bar_on_a_terminal(tmp_path):
    for stream in (io.StringIO(), Terminal()):
        with make_logger(tmp_path, stream=stream, label="blur") as logger:
            for step in (1, 2, 3, 4, 5):
                logger.add(step, {"loss": jnp.asarray(2.5), "accuracy": jnp.asarray(0.25)})
                if step in (2, 5):
                    logger.log(step)
            logger.write(5, {"eval_top1": 0.5})
        text = stream.getvalue()
        assert "blur  step 2/10  loss 2.5  accuracy 0.25" in text and "eval_top1 0.5000\n" in text
        assert "images/s" in text and "data wait" in text and "eta 0:00:00" in text
        assert ("\r" in text) == stream.isatty()
        assert ("█" * 12 + "░" * 12 in text) == stream.isatty()  # half of 24 at step 5 of 10
        assert text.count("\n") == (1 if stream.isatty() else 3)


def test_tensorboard_gets_the_same_numbers(tmp_path):
    from tensorboardX.proto.event_pb2 import Event

    with make_logger(tmp_path, tensorboard=True) as logger:
        logger.add(1, {"loss": jnp.asarray(2.5)})
        logger.log(1)
    found = {}
    for path in (tmp_path / "tensorboard").iterdir():
        data = path.read_bytes()
        while data:  # records: length, checksum, event, checksum
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
            data = data[12 + length + 4 :]
    assert found[("loss", 1)] == 2.5


def test_other_processes_stay_quiet(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    stream = io.StringIO()
    with make_logger(tmp_path / "run", stream=stream, tensorboard=True) as logger:
        logger.add(1, {"loss": jnp.ones(())})
        logger.log(1)
        logger.flush()
    assert not stream.getvalue() and not (tmp_path / "run").exists()
