"""A filter in any form that users give it, as the separable terms that a plan holds."""

import functools

import jax
import numpy as np

from aa_jax.filters import LowRank
from aa_jax.ops.resample.geometry import factor_tolerance, separable_terms

Taps = np.ndarray | LowRank | tuple | None


def filter_shape(taps: Taps) -> tuple[int, int]:
    """Returns (filter_height, filter_width) of any form of filter that `upfirdn2d` takes."""
    if taps is None:
        return 1, 1
    if isinstance(taps, LowRank):
        return taps.shape
    if isinstance(taps, tuple):
        return np.size(taps[0]), np.size(taps[1])
    shape = np.shape(taps)
    return shape if len(shape) == 2 else shape * 2


def separated(taps: Taps, spatial: int, *, gain: float, dtype, flip: bool, name: str = "taps"):
    """Returns the filter as hashable separable terms in correlation order.

    Args:
      taps: see `upfirdn2d`.
      spatial: number of axes, 1 or 2.
      gain: factor on the whole filter.
      dtype: of the signal; full filters are factorised to its rounding.
      flip: reverse the taps.
      name: what errors call it.

    Raises:
      ValueError: if `taps` is malformed or traced.
    """
    if taps is None:
        taps = np.ones(1)
    if isinstance(taps, LowRank):
        key = taps
    elif isinstance(taps, tuple):
        if len(taps) != 2 or spatial != 2:
            raise ValueError(
                f"{name} as a tuple must be (vertical taps, horizontal taps), got {len(taps)} "
                "items."
            )
        key = LowRank(_row(f"{name}[0]", taps[0])[None], _row(f"{name}[1]", taps[1])[None])
    else:
        array = _host(name, taps)
        if array.ndim == 2:
            return _full_terms(array.tobytes(), array.shape, gain, factor_tolerance(dtype), flip)
        row = _row(name, array)
        if spatial == 1:
            return ((_frozen(row * gain, flip),),)
        key = LowRank(row[None], row[None])
    pairs = zip(key.vertical * gain, key.horizontal, strict=True)
    return tuple((_frozen(v, flip), _frozen(h, flip)) for v, h in pairs)


@functools.lru_cache(maxsize=256)
def _full_terms(content: bytes, shape, gain: float, tolerance: float, flip: bool):
    pairs = separable_terms(np.frombuffer(content).reshape(shape), tolerance)
    return tuple((_frozen(v * gain, flip), _frozen(h, flip)) for v, h in pairs)


def _frozen(taps: np.ndarray, flip: bool) -> tuple[float, ...]:
    return tuple(float(tap) for tap in (taps[::-1] if flip else taps))


def _row(name: str, taps) -> np.ndarray:
    array = _host(name, taps)
    if array.ndim != 1:
        raise ValueError(f"{name} must have one axis, got shape {array.shape}.")
    return array


def _host(name: str, taps) -> np.ndarray:
    if isinstance(taps, jax.core.Tracer):
        raise ValueError(
            f"{name} must be a host array: the filter is static. Design it with NumPy outside of "
            "the traced function, as aa_jax.filters does."
        )
    array = np.asarray(taps, np.float64)
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"{name} must be a non-empty 1-D or 2-D array, got shape {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must hold finite numbers, got NaN or infinity.")
    return array
