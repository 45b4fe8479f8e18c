"""What can be wrong with the arguments, said before anything is computed."""

import math
import numbers

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.ops.splat.implementations import IMPLEMENTATIONS
from aa_jax.ops.splat.window import Window

_WINDOWS = ("ellipse", "smooth", "square")


def is_number(value) -> bool:
    """Whether it is a real number, not a string or an array."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def arrays(points, values) -> tuple[jax.Array, jax.Array]:
    """Returns values and points as floating arrays that fit each other."""
    points, values = _floating("points", points), _floating("values", values)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points must have shape (N, 2), x and y, got {points.shape}.")
    if not len(points):
        raise ValueError("points must hold at least one point, got none.")
    if values.ndim != 2 or len(values) != len(points) or not values.shape[1]:
        raise ValueError(
            f"values must have shape ({len(points)}, channels), one row per point, got "
            f"{values.shape}."
        )
    _finite("points", points)
    _finite("values", values)
    dtype = jnp.result_type(points, values, jnp.float32)  # 16 bits can't hold coordinates
    return values.astype(dtype), points.astype(dtype)


def width(value, points: int):
    """Returns the width as a floating array or a number."""
    value = _floating("width", value)
    shapes = [(), (points,), (points, 2), (1, 2), (points, 2, 2), (1, 2, 2)]
    if value.shape not in shapes:
        raise ValueError(
            f"width must be a number or have shape ({points},), ({points}, 2), ({points}, 2, 2), "
            f"or 1 instead of {points}, got {value.shape}."
        )
    if isinstance(value, jax.core.Tracer):
        return value
    known = np.asarray(value, np.float64)
    if known.ndim < 3:
        bad = ~((known > 0) & np.isfinite(known))
        what = "positive and finite"
    else:
        determinant = known[..., 0, 0] * known[..., 1, 1] - known[..., 0, 1] * known[..., 1, 0]
        uneven = ~np.isclose(known[..., 0, 1], known[..., 1, 0])
        bad = uneven | ~((determinant > 0) & (known[..., 0, 0] > 0) & np.isfinite(determinant))
        what = "symmetric and positive definite"
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"width must be {what}; {int(bad.sum())} of {bad.size} are not, the first at index "
            f"{first}: {known[first].tolist()}."
        )
    return value


def place(size, queries) -> None:
    """Checks that one of both says where values are wanted."""
    if (size is None) == (queries is None):
        raise ValueError(
            "size or queries must say where values are wanted, one of them, got "
            f"{'neither' if size is None else 'both'}."
        )
    if size is not None and not (
        len(size) == 2 and all(isinstance(n, (int, np.integer)) and n > 0 for n in size)
    ):
        raise ValueError(f"size must be (height, width), positive integers, got {size!r}.")


def queries(value, dtype) -> jax.Array:
    """Returns the queries as a floating array."""
    value = _floating("queries", value)
    if value.ndim != 2 or value.shape[1] != 2 or not len(value):
        raise ValueError(f"queries must have shape (Q, 2), x and y, Q > 0, got {value.shape}.")
    _finite("queries", value)
    return value.astype(dtype)


def window(support, kind: str) -> Window:
    """The window of two arguments."""
    if kind not in _WINDOWS:
        raise ValueError(f"window must be one of {_WINDOWS}, got {kind!r}.")
    if support is None:
        if kind != "ellipse":
            raise ValueError(f"support must be a number for window={kind!r}, got None.")
        return Window()
    if not (is_number(support) and support > 0 and math.isfinite(support)):
        raise ValueError(f"support must be a positive number or None, got {support!r}.")
    return Window(float(support), kind)


def options(scale, footprint, capacity, points: int, implementation) -> None:
    """Checks the plain options."""
    if not (is_number(scale) and scale > 0 and math.isfinite(scale)):
        raise ValueError(f"scale must be a positive number, got {scale!r}.")
    if not (is_number(footprint) and footprint >= 0 and math.isfinite(footprint)):
        raise ValueError(f"footprint must be a number of at least 0, got {footprint!r}.")
    whole = capacity is None or (isinstance(capacity, (int, np.integer)) and capacity >= points)
    if not whole:
        raise ValueError(
            f"capacity must be None or an integer of at least the {points} points, got "
            f"{capacity!r}."
        )
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(
            f"implementation must be one of {IMPLEMENTATIONS}, got {implementation!r}."
        )


def _floating(name: str, value):
    value = value if isinstance(value, jax.Array) else np.asarray(value)
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiu":
            raise ValueError(f"{name} must be an array of numbers, got dtype {value.dtype}.")
        # It stays NumPy's: a JAX array made under `jit` would no longer be known.
        value = value if value.dtype.kind == "f" else value.astype(np.float64)
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise ValueError(f"{name} must be a floating-point array, got {value.dtype}; cast it.")
    return value


def _finite(name: str, value) -> None:
    if isinstance(value, jax.core.Tracer):
        return
    bad = ~np.isfinite(np.asarray(value, np.float64)).all(1)
    if bad.any():
        raise ValueError(
            f"{name} must be finite; {int(bad.sum())} of {len(bad)} rows are not, the first is row "
            f"{int(np.argmax(bad))}: {np.asarray(value)[int(np.argmax(bad))].tolist()}."
        )
