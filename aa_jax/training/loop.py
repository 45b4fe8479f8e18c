"""The training loop: get a batch, step, log, evaluate, save. It knows no task."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from aa_jax.training import preemption
from aa_jax.training.checkpoint import Checkpoints
from aa_jax.training.logging import DivergenceError, MetricsLogger
from aa_jax.training.state import TrainState


class RunFolderError(ValueError):
    """A file of a run could not be read or written."""


@dataclasses.dataclass(frozen=True)
class Intervals:
    """How often to do what, in steps; the last step does everything.

    Attributes:
        log: write mean metrics.
        evaluate: evaluate (and save, so that the best can be kept).
        save: save besides that.
    """

    log: int
    evaluate: int
    save: int

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"interval {field.name!r} must be at least 1 step, got {self}")


def train(
    state: TrainState,
    step: Callable[[TrainState, Any], tuple[TrainState, Mapping[str, Any]]],
    batches: Iterator[Mapping[str, np.ndarray]],
    *,
    total_steps: int,
    place: Callable[[Mapping[str, np.ndarray]], Any],
    evaluate: Callable[[TrainState], Mapping[str, float]],
    checkpoints: Checkpoints,
    logger: MetricsLogger,
    every: Intervals,
    config: Mapping[str, Any],
) -> TrainState:
    """Trains from `state.step` to `total_steps`.

    Args:
        state: fresh, or restored together with the position of `batches` and the logger's rows.
        step: from `steps.compile_step`; donates the state.
        batches: endless, with `get_state()`, which must be JSON and, with several processes, the
            same in all of them.
        total_steps: number of the last step.
        place: turns a host batch into arrays on the devices.
        evaluate: measures a state.
        checkpoints: where to save.
        logger: where to log.
        every: intervals.
        config: stored in each checkpoint.

    Returns:
        The state after the last step, its checkpoint being complete.

    Raises:
        DivergenceError: loss or gradient is not finite; the last good checkpoint is named.
        CheckpointError: a checkpoint could not be written.
        RunFolderError: something else could not.
        SystemExit: with code 0, after a checkpoint, when SIGTERM arrived.
    """
    results: Mapping[str, float] = {}
    try:
        with preemption.watch() as is_wanted_back:
            for number in range(int(state.step) + 1, total_steps + 1):
                with logger.waiting_for_data():
                    batch = next(batches)
                state, metrics = step(state, place(batch))
                logger.add(number, metrics)

                last, leave = number == total_steps, is_wanted_back(number)
                if last or number % every.log == 0:
                    logger.log(number)
                results = {}
                evaluating = last or number % every.evaluate == 0
                if evaluating:
                    with logger.pause():
                        results = evaluate(state)
                    if results:
                        logger.write(number, results)
                if evaluating or leave or number % every.save == 0:
                    with logger.pause():
                        # Rows not logged yet go along: a restart averages over the same steps.
                        info = {"pending": logger.fetch(), "data": batches.get_state()}
                        logger.flush()
                        checkpoints.save(number, state, {**info, "config": config}, metrics=results)
                if leave and not last:
                    checkpoints.wait()
                    raise SystemExit(0)
    except DivergenceError as error:
        raise DivergenceError(
            f"{error}. The last good checkpoint is: {_last_checkpoint(checkpoints)}. Lower the "
            "learning rate, lengthen the warm-up, or train in float32 or bfloat16. Should it "
            "diverge again at once, remove that checkpoint to go on from an earlier one."
        ) from error
    except OSError as error:
        raise RunFolderError(
            f"something could not be read or written: {error}. The last checkpoint is: "
            f"{_last_checkpoint(checkpoints)}. Start the same command again to go on from there, "
            "once there is room on the disk."
        ) from error
    checkpoints.wait()
    return state


def _last_checkpoint(checkpoints: Checkpoints) -> str:
    checkpoints.wait()
    step = checkpoints.latest_step
    return f"step {step} in {checkpoints.directory}" if step else "none was written yet"


def resume(
    template: TrainState,
    batches: Iterator[Mapping[str, np.ndarray]],
    checkpoints: Checkpoints,
) -> tuple[TrainState, list[dict[str, float]]] | None:
    """Goes back to the latest checkpoint, if there is one.

    Args:
        template: a state of the run's layout, of arrays or of `jax.ShapeDtypeStruct`.
        batches: is moved to the position of the checkpoint.
        checkpoints: of the run.

    Returns:
        The state to go on from and the rows for `MetricsLogger.restore`; None without a
        checkpoint.
    """
    if checkpoints.latest_step is None:
        return None
    state, info = checkpoints.restore(template)
    batches.set_state(info["data"])
    return state, info["pending"]
