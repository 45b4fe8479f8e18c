"""Data parallelism over every device of every process: one mesh, and where arrays lie on it.

Parameters are replicated, or divided over the devices too, which then fetch from each other what
they need when they need it (Zhao et al., "PyTorch FSDP", VLDB 2023, does the same).

Under `jax.jit` with these shardings a step is the step on the *global* batch: batch-norm
statistics, losses and gradients do not depend on how many devices share the work.
"""

import atexit
import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

DATA_AXIS = "data"


class LostProcessError(ValueError):
    """Something that all processes of a run compute together failed."""


@contextlib.contextmanager
def joined(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    heartbeat_timeout: int = 100,
) -> Iterator[None]:
    """Makes this process one of a multi-host run; enter before any other use of jax.

    None of the first three is needed under SLURM, Open MPI, Kubernetes or on Cloud TPU, where jax
    finds the others by itself.

    An error inside ends the process without the leave-taking of jax, which waits for the others,
    while they wait for this one.

    Args:
        coordinator: "host:port" of process 0, any free port there.
        num_processes: how many there are.
        process_id: which of them this is, from 0.
        heartbeat_timeout: seconds of silence after which a process counts as dead; jax then ends
            all others.

    Raises:
        LostProcessError: for the error of jax that says so.
    """
    jax.distributed.initialize(
        coordinator, num_processes, process_id, heartbeat_timeout_seconds=heartbeat_timeout
    )
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        atexit.register(_leave)  # the last to register is the first to be called
        if not isinstance(error, jax.errors.JaxRuntimeError) or "RESOURCE_EXHAUSTED" in str(error):
            raise
        raise LostProcessError(
            f"process {jax.process_index()} of {jax.process_count()}: a computation of all "
            "processes failed, most likely because another one has ended: its output says why. "
            "Start all of them again, and they go on from the last checkpoint. "
            f"({str(error).splitlines()[0]})"
        ) from error


def _leave() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def data_mesh(devices: list[jax.Device] | None = None) -> Mesh:
    """A one-axis mesh `("data",)` over the given devices, by default all of them."""
    devices = jax.devices() if devices is None else devices
    # Auto: the compiler propagates shardings. (jax's own default has become Explicit.)
    return jax.make_mesh((len(devices),), (DATA_AXIS,), (AxisType.Auto,), devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding that puts a whole copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The sharding that divides the leading axis over the devices."""
    return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def replicated_shardings(tree: Any, mesh: Mesh) -> Any:
    """For every array of a tree the sharding that puts a whole copy on each device."""
    return jax.tree.map(lambda leaf: replicated(mesh), tree)


def divided_shardings(tree: Any, mesh: Mesh, *, least_size: int = 2**14) -> Any:
    """For every array of a tree the sharding that divides it over the devices.

    It is divided along its longest axis of those that the devices share evenly; small arrays and
    those without such an axis are replicated.

    Args:
        tree: of arrays or shapes.
        mesh: of `data_mesh`.
        least_size: elements from which on an array is worth dividing.
    """

    def sharding(leaf):
        axes = [axis for axis, size in enumerate(leaf.shape) if size % mesh.size == 0]
        if leaf.size < least_size or not axes:
            return replicated(mesh)
        divided = max(axes, key=lambda axis: leaf.shape[axis])
        return NamedSharding(mesh, PartitionSpec(*[None] * divided, DATA_AXIS))

    return jax.tree.map(sharding, tree)


def place(tree: Any, shardings: Any) -> Any:
    """Puts arrays, which all processes hold alike, where their shardings say."""

    def put(leaf, sharding):
        if sharding.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = put(jax.random.key_data(leaf), sharding)
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        # device_put refuses arrays of this process's devices for those of others.
        return jax.make_array_from_callback(leaf.shape, sharding, np.asarray(leaf).__getitem__)

    return jax.tree.map(put, tree, shardings)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts a copy of every array of a tree on each device of the mesh."""
    return place(tree, replicated_shardings(tree, mesh))


def local_batch_size(global_batch_size: int, mesh: Mesh) -> int:
    """How many examples of a global batch this process has to load.

    Raises:
        ValueError: the devices cannot share the batch evenly.
    """
    if global_batch_size < 1 or global_batch_size % mesh.size:
        raise ValueError(
            f"batch_size must be a positive multiple of the number of devices ({mesh.size}) so "
            f"that they share it evenly, got {global_batch_size}; the nearest that fits is "
            f"{max(1, round(global_batch_size / mesh.size)) * mesh.size}"
        )
    local = sum(device.process_index == jax.process_index() for device in mesh.devices.flat)
    return global_batch_size // mesh.size * local


def shard_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Turns this process's share of a batch into global arrays divided over the devices.

    Args:
        batch: host arrays of shape (local batch, ...).
        mesh: the mesh of `data_mesh`.

    Returns:
        The same entries as arrays of shape (global batch, ...), without waiting for the copy.
    """
    sharding = batch_sharding(mesh)
    return {
        name: jax.make_array_from_process_local_data(sharding, np.asarray(value))
        for name, value in batch.items()
    }


def shard_whole_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Divides a batch that every process holds whole over the devices.

    Args:
        batch: host arrays of shape (global batch, ...), the same in all processes.
        mesh: the mesh of `data_mesh`.
    """
    sharding = batch_sharding(mesh)
    return {
        name: jax.make_array_from_callback(value.shape, sharding, value.__getitem__)
        for name, value in batch.items()
    }


def fetch(tree: Any, mesh: Mesh) -> Any:
    """Whole host arrays in every process, wherever the parts lie; all processes must take part."""
    whole = jax.jit(lambda tree: tree, out_shardings=replicated(mesh))(tree)
    return jax.tree.map(np.asarray, whole)


def is_main_process() -> bool:
    """Whether this process is the one that prints and writes metrics."""
    return jax.process_index() == 0


def process() -> dict[str, int]:
    """`process_index` and `process_count`, as data loaders take them."""
    return {"process_index": jax.process_index(), "process_count": jax.process_count()}
