"""Random numbers as a function of a counter, so that sample i is the same in any order."""

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(state: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014) on uint64 arrays."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def uniforms(stream: int, indices: np.ndarray, count: int) -> np.ndarray:
    """Uniform numbers in [0, 1) that depend on (stream, index, column) only.

    Args:
        stream: which sequence, any 64-bit integer.
        indices: non-negative integers (B,).
        count: numbers per index.

    Returns:
        float64 (B, count).
    """
    key = _mix(np.asarray([stream], np.uint64) + _GOLDEN)
    counters = np.asarray(indices).astype(np.uint64)[:, None] * np.uint64(count)
    counters = counters + np.arange(count, dtype=np.uint64)
    bits = _mix(_mix((counters + np.uint64(1)) * _GOLDEN) ^ key)
    return (bits >> np.uint64(11)) * 2.0**-53


def generator(seed: int, position: int) -> np.random.Generator:
    """A NumPy generator that depends on (seed, position) only.

    Args:
        seed: of the run, any integer.
        position: of the sample in the stream of samples, non-negative.
    """
    return np.random.Generator(np.random.Philox(key=[seed % 2**64, position]))
