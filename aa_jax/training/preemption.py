"""Leaving in good order when the machine is wanted back (SIGTERM)."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils


@contextlib.contextmanager
def watch() -> Iterator[Callable[[int], bool]]:
    """Notes a SIGTERM instead of dying of it.

    Yields:
        `is_wanted_back(step)`: whether to save and leave after this step. In a run of several
        processes all of them agree on the step.
    """
    received = threading.Event()
    in_main_thread = threading.current_thread() is threading.main_thread()
    if jax.process_count() > 1:
        # jax.distributed has its own handler, and lets the processes agree.
        yield multihost_utils.reached_preemption_sync_point
        return
    if not in_main_thread:  # Python delivers signals to the main thread only
        yield lambda step: False
        return
    previous = signal.signal(signal.SIGTERM, lambda number, frame: received.set())
    try:
        yield lambda step: received.is_set()
    finally:
        signal.signal(signal.SIGTERM, previous)
