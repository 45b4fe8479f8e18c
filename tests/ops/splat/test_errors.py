"""Wrong arguments are named, with what was expected and what came."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.ops.splat import interpolate, splat

POINTS = np.array([[1.0, 2.0], [3.0, 1.0], [0.0, 0.0]])
VALUES = np.array([[1.0], [2.0], [3.0]])
PAIR = "size or queries must say where"
BOTH = [
    ({"points": np.zeros((0, 2)), "values": np.zeros((0, 1))}, "points must hold .* got none"),
    ({"points": np.zeros(3)}, r"points must have shape \(N, 2\).* got \(3,\)"),
    ({"points": np.zeros((3, 3))}, r"points must have shape \(N, 2\).* got \(3, 3\)"),
    ({"points": POINTS * np.nan}, "points must be finite; 3 of 3 rows .* row 0: .*nan"),
    ({"points": POINTS + 1j}, "points must be an array of numbers, got dtype complex128"),
    ({"points": jnp.zeros((3, 2), int)}, "points must be a floating-point array, got int32"),
    ({"values": np.zeros(3)}, r"values must have shape \(3, channels\).* got \(3,\)"),
    ({"values": np.zeros((2, 1))}, r"values must have shape \(3, channels\).* got \(2, 1\)"),
    ({"values": np.zeros((3, 0))}, r"values must have shape \(3, channels\).* got \(3, 0\)"),
    ({"values": [[0.0], [np.inf], [0.0]]}, r"values must be finite; 1 of 3 .* row 1: \[inf\]"),
    ({"values": [["a"]] * 3}, "values must be an array of numbers, got dtype"),
    ({"width": [1.0, 2.0]}, r"width must be a number or have shape \(3,\).* got \(2,\)"),
    ({"width": np.ones((3, 3))}, r"width must be a number or have shape .* got \(3, 3\)"),
    ({"width": 0}, r"width must be positive and finite; 1 of 1 .* index \(\): 0"),
    ({"width": [1.0, -2.0, 1.0]}, r"width must be positive .* 1 of 3 .* index \(1,\): -2"),
    ({"width": np.nan}, "width must be positive and finite"),
    ({"width": [[[1.0, 2.0], [2.0, 1.0]]]}, r"symmetric and positive definite.* \[\[1.0, 2.0\]"),
    ({"width": [[[1.0, 0.5], [0.0, 1.0]]]}, "symmetric and positive definite; 1 of 1"),
    ({"width": [[[-1.0, 0.0], [0.0, -1.0]]]}, "width must be symmetric and positive definite"),
    ({"size": None}, f"{PAIR}.* got neither"),
    ({"queries": np.zeros((4, 2))}, f"{PAIR}.* got both"),
    ({"size": (3, 0)}, r"size must be \(height, width\), positive integers, got \(3, 0\)"),
    ({"size": (3.0, 4)}, r"size must be .* got \(3.0, 4\)"),
    ({"size": (3, 4, 5)}, r"size must be .* got \(3, 4, 5\)"),
    ({"size": None, "queries": np.zeros((0, 2))}, r"queries must have shape .* got \(0, 2\)"),
    ({"size": None, "queries": np.zeros((4, 3))}, r"queries must have shape .* got \(4, 3\)"),
    ({"size": None, "queries": [[0.0, np.inf]]}, "queries must be finite; 1 of 1 rows"),
    ({"support": 0}, "support must be a positive number or None, got 0"),
    ({"support": "wide"}, "support must be a positive number or None, got 'wide'"),
    ({"support": np.inf}, "support must be a positive number or None, got inf"),
    ({"support": None, "window": "smooth"}, "support must be a number for window='smooth', got"),
    ({"window": "round"}, r"window must be one of \('ellipse', .*got 'round'"),
    ({"scale": 0.0}, "scale must be a positive number, got 0.0"),
    ({"scale": "2"}, "scale must be a positive number, got '2'"),
    ({"footprint": -0.1}, "footprint must be a number of at least 0, got -0.1"),
    ({"footprint": np.nan}, "footprint must be a number of at least 0, got nan"),
    ({"capacity": 2}, "capacity must be None or an integer of at least the 3 points, got 2"),
    ({"capacity": 9.5}, "capacity must be None or an integer .* got 9.5"),
    ({"implementation": "cuda"}, r"implementation must be one of \(.*got 'cuda'"),
]
INTERPOLATE = [
    ({"regression": "cubic"}, r"regression must be one of \('constant', 'linear'\), got 'cubic'"),
    ({"fallback": "zero"}, "fallback must be 'nearest' or a finite number, got 'zero'"),
    ({"fallback": np.nan}, "fallback must be 'nearest' or a finite number, got nan"),
    ({"ridge": -1.0}, "ridge must not be negative, got -1.0"),
    ({"ridge": np.nan}, "ridge must not be negative, got nan"),
]


def call(function, changed):
    options = {"points": POINTS, "values": VALUES, "width": 1.0, "size": (3, 4), **changed}
    arrays = [options.pop(key) for key in ("points", "values", "width")]
    return function(*arrays, **options)


@pytest.mark.parametrize(
    "function, changed, message",
    [(f, *case) for case in BOTH for f in (interpolate, splat)]
    + [(interpolate, *case) for case in INTERPOLATE],
)
def test_wrong_arguments(function, changed, message):
    with pytest.raises(ValueError, match=message):
        call(function, changed)


def test_shapes_are_checked_of_traced_arrays():
    with pytest.raises(ValueError, match=r"values must have shape \(3, channels\).* got \(2, 1\)"):
        jax.jit(lambda p, v: call(splat, {"points": p, "values": v}))(POINTS, VALUES[:2])
