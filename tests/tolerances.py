"""One table of tolerances, relative to the largest magnitude of the reference."""

import numpy as np

# What an op may differ from its float64 reference by, per signal dtype.
OP = {"float64": 1e-12, "float32": 1e-5, "float16": 5e-3, "bfloat16": 4e-2}

# Reference arrays are stored rounded: float32 where their README says so.
STORED = {"float64": 1e-12, "float32": 2e-7}

# Whole networks.
NETWORK = {"float64": 1e-6, "float32": 2e-4}


def relative_error(actual, expected) -> float:
    """max|actual - expected| / max|expected|, in float64."""
    actual = np.asarray(actual, np.float64)
    expected = np.asarray(expected, np.float64)
    if actual.shape != expected.shape:
        raise AssertionError(f"shapes differ: {actual.shape} against {expected.shape}")
    scale = np.max(np.abs(expected), initial=0.0) or 1.0
    return float(np.max(np.abs(actual - expected), initial=0.0) / scale)
