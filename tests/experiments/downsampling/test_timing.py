"""Times of a process of its own."""

import pytest

from experiments.downsampling import timing


@pytest.mark.slow
def test_one_thread_in_a_process_of_its_own():
    keys = ["subsample/native", "median/native"]
    times = timing.cpu_milliseconds(keys, rounds=3, size=64)
    assert list(times) == keys
    assert 0 < times["subsample/native"] < times["median/native"] < 1000
    with pytest.raises(RuntimeError, match="telepathy"):
        timing.cpu_milliseconds(["telepathy/native"], rounds=1, size=64)


def test_a_cpu_is_no_other_device():
    assert timing.device_milliseconds(["subsample/native"], rounds=1, size=64) is None
