"""Checkpoints: all that a run needs to go on, written so that no crash can lose the last one.

A checkpoint holds the train state (parameters, optimiser, statistics, moving average, key, step)
and an information record: the config, the position in the data, metrics not yet logged, and the
layout of the state. It is written beside the earlier ones under a temporary name and renamed when
complete; only then is an older one removed. The last two and the best one are kept.
"""

import dataclasses
import errno
import logging
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax import numpy as jnp
from orbax.checkpoint import checkpoint_managers

from aa_jax.training import distributed
from aa_jax.training.state import TrainState

_TEMPORARY = "*.orbax-checkpoint-tmp*"
_TRASH = "removed"
_policy = checkpoint_managers.preservation_policy


class CheckpointError(ValueError):
    """A checkpoint could not be written or read, or is not one of this model."""


class Checkpoints:
    """The checkpoints of one run.

    Args:
        directory: where they are; made if missing.
        best_metric: name of the metric, among those given to `save`, whose highest value marks
            the checkpoint to keep besides the last two; with a minus sign in front, whose lowest
            value does. None keeps the last two only.
        read_only: never write, delete or clean up: for evaluating a run that is still training.

    Use it as a context manager, or call `close`: saving happens in the background.
    """

    def __init__(
        self, directory: str | pathlib.Path, *, best_metric: str | None = None, read_only=False
    ):
        self.directory = pathlib.Path(directory).absolute()
        if read_only and not self.directory.is_dir():
            raise CheckpointError(f"there is no checkpoint directory at {self.directory}")
        self._read_only = read_only
        self._best_metric = best_metric
        self._clean_up()
        _quieten_orbax()
        policies = [_policy.LatestN(2)]
        if best_metric:
            rank = dict(get_metric_fn=self._score, keep_checkpoints_without_metrics=False)
            policies.append(_policy.BestN(n=1, **rank))
        options = ocp.CheckpointManagerOptions(
            preservation_policy=_policy.AnyPreservationPolicy(policies),
            best_fn=self._score if best_metric else None,
            # Renamed before it is deleted: a crash half-way leaves no broken checkpoint.
            todelete_subdir=None if read_only else _TRASH,
            read_only=read_only,
        )
        self._manager = ocp.CheckpointManager(self.directory, options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, error_type, error, traceback) -> None:
        if error is None:
            self.close()
        else:
            self._close_quietly()

    @property
    def latest_step(self) -> int | None:
        """The step of the last complete checkpoint, or None."""
        return self._manager.latest_step()

    @property
    def best_step(self) -> int | None:
        """The step of the best checkpoint; None where no metric was ever given."""
        return self._manager.best_step() if self._best_metric else None

    def save(
        self,
        step: int,
        state: TrainState,
        info: Mapping[str, Any],
        *,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Starts writing a checkpoint; returns when the state may be changed or donated.

        Args:
            step: its number; one that exists already is left alone.
            state: the train state.
            info: whatever JSON can hold (config, data position, ...).
            metrics: evaluation results at this step, if there are any.

        Raises:
            CheckpointError: this or the previous checkpoint could not be written.
        """
        if step == self.latest_step:
            return
        self.wait()
        tree = _as_tree(state)
        record = {**info, "layout": _layout(tree)}
        if jax.default_backend() == "cpu":
            # On the CPU a "host copy" shares the device's memory, which the next step reuses
            # while the background thread is still writing it.
            tree = jax.tree.map(jnp.copy, tree)
        items = ocp.args.Composite(state=ocp.args.PyTreeSave(tree), info=ocp.args.JsonSave(record))
        try:
            self._manager.save(step, args=items, metrics=dict(metrics) if metrics else None)
        except Exception as error:  # orbax passes on whatever the storage layer raised
            raise self._save_error(error) from error

    def wait(self) -> None:
        """Waits until the checkpoint being written is complete.

        Raises:
            CheckpointError: it could not be written.
        """
        try:
            self._manager.wait_until_finished()
        except Exception as error:  # as in save
            raise self._save_error(error) from error
        self._empty_trash()

    def close(self) -> None:
        """Waits, then releases the background thread."""
        self.wait()
        self._manager.close()

    def info(self, step: int | None = None) -> dict[str, Any]:
        """The information record of a checkpoint, by default the latest."""
        args = ocp.args.Composite(info=ocp.args.JsonRestore())
        return self._restore(self._existing(step), args)["info"]

    def metrics(self, step: int | None = None) -> dict[str, float]:
        """The evaluation results saved with a checkpoint, by default the latest; may be empty."""
        return dict(self._manager.metrics(self._existing(step)) or {})

    def restore(self, template: TrainState, step: int | None = None) -> tuple[TrainState, dict]:
        """Reads a state back.

        Args:
            template: a state of the same layout, of arrays or of `jax.ShapeDtypeStruct`; the
                result has its shardings, so that a run may go on on other devices.
            step: by default the latest.

        Returns:
            The state and the information record.

        Raises:
            CheckpointError: there is none, it cannot be read, or it is of another model.
        """
        step = self._existing(step)
        tree = _as_tree(template)
        info = self.info(step)
        self._check_layout(step, info["layout"], _layout(tree))
        return template.replace(**self._restore_arrays(step, tree)), info

    def restore_weights(
        self, template: Mapping[str, dict], step: int | None = None
    ) -> dict[str, dict]:
        """Reads only some parts of a state, for evaluation.

        Args:
            template: trees of arrays (or shapes) by part, of `params`, `stats` and `ema`.
            step: by default the latest.

        Returns:
            The same trees with the values of the checkpoint.
        """
        step = self._existing(step)
        stored = self.info(step)["layout"]
        parts = {path: entry for path, entry in stored.items() if path.split("/")[0] in template}
        self._check_layout(step, parts, _layout(dict(template)))
        return self._restore_arrays(step, dict(template))

    def _restore_arrays(self, step: int, tree: dict) -> dict:
        target = jax.tree.map(_abstract, tree)
        args = ocp.args.PyTreeRestore(
            target,
            restore_args=ocp.checkpoint_utils.construct_restore_args(target),
            partial_restore=True,
        )
        return self._restore(step, ocp.args.Composite(state=args))["state"]

    def _restore(self, step: int, args: ocp.args.Composite) -> Any:
        try:
            return self._manager.restore(step, args=args)
        except Exception as error:  # as in save
            # The storage layer goes on with pages of settings.
            reason = (str(error).splitlines() or [repr(error)])[0][:200]
            raise CheckpointError(
                f"the checkpoint of step {step} in {self.directory} cannot be read ({reason}); "
                f"remove {self.directory / str(step)} to go on from an earlier one"
            ) from error

    def _existing(self, step: int | None) -> int:
        steps = sorted(self._manager.all_steps())
        if not steps or (step is not None and step not in steps):
            wanted = "a checkpoint" if step is None else f"a checkpoint of step {step}"
            raise CheckpointError(
                f"expected {wanted} in {self.directory}, found steps {steps or 'none'}"
            )
        return steps[-1] if step is None else step

    def _check_layout(self, step: int, stored: Mapping, wanted: Mapping) -> None:
        def show(entry):
            return "absent" if entry is None else f"{entry[1]}{tuple(entry[0])}"

        # The parameters first: their names are what people know the model by.
        paths = sorted(
            stored.keys() | wanted.keys(), key=lambda path: (not path.startswith("params/"), path)
        )
        lines = [
            f"  {path}: checkpoint {show(stored.get(path))}, model {show(wanted.get(path))}"
            for path in paths
            if stored.get(path) != wanted.get(path)
        ]
        if lines:
            more = [f"  ... and {len(lines) - 40} more"] if len(lines) > 40 else []
            raise CheckpointError(
                f"the checkpoint of step {step} in {self.directory} is of another model or "
                f"optimiser: {len(lines)} of {len(paths)} arrays differ. Use the config it was "
                "trained with, or another workdir.\n" + "\n".join(lines[:40] + more)
            )

    def _save_error(self, error: Exception) -> CheckpointError:
        self._close_quietly()
        self._clean_up()
        intact = ocp.utils.checkpoint_steps(self.directory)
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        free = shutil.disk_usage(self.directory).free / 2**20
        reason = f"the disk is full ({free:.1f} MiB free)" if full else f"{error}"
        kept = f"the checkpoint of step {max(intact)} is intact" if intact else "there is no other"
        return CheckpointError(
            f"a checkpoint could not be saved in {self.directory}: {reason}; {kept}. "
            "Make room and start the same command again to go on from there."
        )

    def _score(self, metrics: Mapping[str, float]) -> float:
        name = self._best_metric.removeprefix("-")
        value = metrics.get(name, float("nan"))
        value = -value if name != self._best_metric else value
        return value if value == value else float("-inf")

    def _close_quietly(self) -> None:
        """Closes while another error is on its way out, which must not be hidden."""
        try:
            self._manager.close()
        except Exception as error:  # as in save
            logging.getLogger(__name__).warning("while closing checkpoints: %s", error)

    def _clean_up(self) -> None:
        """Removes what a killed or failed save left behind."""
        if self._read_only or not distributed.is_main_process():
            return
        for leftover in self.directory.glob(_TEMPORARY):
            shutil.rmtree(leftover, ignore_errors=True)
        self._empty_trash()

    def _empty_trash(self) -> None:
        if distributed.is_main_process():
            shutil.rmtree(self.directory / _TRASH, ignore_errors=True)


def _as_tree(state: TrainState) -> dict[str, Any]:
    """The fields of a state that are in use, by name."""
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return {name: value for name, value in fields.items() if value is not None}


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None))


def _layout(tree: Any) -> dict[str, list]:
    """{"params/conv1/kernel": [[3, 3, 3, 64], "float32"], ...}"""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): [list(x.shape), str(x.dtype)]
        for path, x in leaves
    }


def _is_not_from_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in record.pathname


def _quieten_orbax() -> None:
    """Drops orbax's log records: the errors among them it also raises, to us."""
    logger = logging.getLogger("absl")
    if _is_not_from_orbax not in logger.filters:
        logger.addFilter(_is_not_from_orbax)
