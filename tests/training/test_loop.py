"""aa_jax.training.loop: what happens when, and how a run stops."""

import errno
import functools
import os
import signal

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from aa_jax.training import distributed, loop, steps
from aa_jax.training.checkpoint import Checkpoints
from aa_jax.training.logging import DivergenceError, MetricsLogger, read_metrics
from tests.training.classifiers import Batches, NormalizedRegression, make_state

INTERVALS = loop.Intervals(log=4, evaluate=6, save=5)


@pytest.fixture(scope="module")
def program():
    mesh = distributed.data_mesh()
    optimizer = optax.sgd(0.1, momentum=0.9)
    graphdef, _ = make_state(NormalizedRegression(noise=0.1, rngs=nnx.Rngs(0)), optimizer)
    step = steps.make_train_step(steps.classification_loss(graphdef), optimizer)
    return mesh, optimizer, steps.compile_step(step, mesh)


def train(program, workdir, *, total_steps=12, batches=None, evaluate=None, intervals=INTERVALS):
    """Runs or continues a training; returns the final state."""
    mesh, optimizer, step = program
    _, state = make_state(NormalizedRegression(noise=0.1, rngs=nnx.Rngs(0)), optimizer)
    batches = Batches() if batches is None else batches
    with Checkpoints(workdir / "checkpoints", best_metric="score") as checkpoints:
        state = distributed.replicate(state, mesh)
        state, pending = loop.resume(state, batches, checkpoints) or (state, [])
        start = int(state.step)
        options = dict(total_steps=total_steps, batch_size=16, start_step=start, tensorboard=False)
        with MetricsLogger(workdir, **options) as logger:
            logger.restore(start, pending)
            return loop.train(
                state,
                step,
                batches,
                total_steps=total_steps,
                place=functools.partial(distributed.shard_batch, mesh=mesh),
                evaluate=evaluate or (lambda state: {"score": float(state.step)}),
                checkpoints=checkpoints,
                logger=logger,
                every=intervals,
                config={"name": "test"},
            )


def losses(workdir):
    rows = read_metrics(workdir / "metrics.jsonl")
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a.params, b.params)
    jax.tree.map(np.testing.assert_array_equal, a.stats, b.stats)


def test_rows_evaluations_and_checkpoints_come_when_due(program, tmp_path):
    saved = []
    original = Checkpoints.save

    def save(self, step, *args, **options):
        saved.append((step, options["metrics"]))
        return original(self, step, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", save)
        state = train(program, tmp_path, total_steps=14)
    assert int(state.step) == 14
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows if "loss" in row] == [4, 8, 12, 14]
    assert [row["step"] for row in rows if "score" in row] == [6, 12, 14]
    steps_saved = [(step, metrics.get("score")) for step, metrics in saved]
    assert steps_saved == [(5, None), (6, 6.0), (10, None), (12, 12.0), (14, 14.0)]


def test_stopping_and_going_on_changes_no_bit(program, tmp_path):
    whole = train(program, tmp_path / "whole")
    for stop in (3, 5, 10):  # before, between and after rows and checkpoints
        workdir = tmp_path / f"stop_{stop}"

        class Interrupted(Batches):
            def __next__(self, stop=stop):
                if self._next == stop:
                    raise KeyboardInterrupt
                return super().__next__()

        with pytest.raises(KeyboardInterrupt):
            train(program, workdir, batches=Interrupted())
        assert_same(train(program, workdir), whole)
        assert losses(workdir) == losses(tmp_path / "whole")


def test_a_longer_run_goes_on_from_a_finished_one(program, tmp_path):
    train(program, tmp_path / "short", total_steps=8)
    longer = train(program, tmp_path / "short", total_steps=12)
    assert_same(longer, train(program, tmp_path / "whole", total_steps=12))


def test_a_finished_run_does_nothing_more(program, tmp_path):
    state = train(program, tmp_path)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    again = train(program, tmp_path, batches=Batches(), evaluate=pytest.fail)
    assert_same(again, state)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_sigterm_saves_and_leaves_with_code_zero(program, tmp_path):
    class Terminated(Batches):
        def __next__(self):
            if self._next == 6:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().__next__()

    previous = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as exit_:
        train(program, tmp_path / "stopped", batches=Terminated())
    assert exit_.value.code == 0
    assert signal.getsignal(signal.SIGTERM) is previous
    with Checkpoints(tmp_path / "stopped" / "checkpoints", read_only=True) as checkpoints:
        assert checkpoints.latest_step == 7
        info = checkpoints.info()
    assert info["data"] == {"next": 7} and len(info["pending"]) == 3  # steps 5, 6 and 7
    assert_same(train(program, tmp_path / "stopped"), train(program, tmp_path / "whole"))
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")


def test_divergence_stops_and_names_the_last_good_checkpoint(program, tmp_path):
    class Poisoned(Batches):
        def __next__(self):
            batch = super().__next__()
            if self._next == 7:
                batch["image"][:] = np.nan
            return batch

    with pytest.raises(DivergenceError, match="at step 7.*The last good checkpoint is: step 6 in"):
        train(program, tmp_path, batches=Poisoned())
    assert sorted(losses(tmp_path)) == [4]
    with Checkpoints(tmp_path / "checkpoints", read_only=True) as checkpoints:
        assert checkpoints.latest_step == 6
    with pytest.raises(DivergenceError, match="none was written yet"):
        intervals = loop.Intervals(log=100, evaluate=100, save=100)
        train(program, tmp_path / "early", batches=Poisoned(), intervals=intervals)


def test_without_results_steps_due_and_the_last_are_saved_all_the_same(program, tmp_path):
    intervals = loop.Intervals(log=4, evaluate=6, save=100)
    train(program, tmp_path, total_steps=8, evaluate=lambda state: {}, intervals=intervals)
    saved = sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())
    assert saved == [6, 8]
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows] == [4, 8] and all("loss" in row for row in rows)


def test_a_file_that_cannot_be_written_is_an_error_that_says_what_is_safe(program, tmp_path):
    def evaluate(state):
        if int(state.step) == 12:
            raise OSError(errno.ENOSPC, "No space left on device", "picture.png")
        return {}

    with pytest.raises(loop.RunFolderError, match="No space.*picture.png.*is: step 10 in .*again"):
        train(program, tmp_path, evaluate=evaluate)
    assert_same(train(program, tmp_path), train(program, tmp_path / "whole"))


def test_an_interval_must_be_positive():
    with pytest.raises(ValueError, match="interval 'save' must be at least 1 step"):
        loop.Intervals(log=1, evaluate=1, save=0)
