"""Taps that the GPU's tensor cores multiply by: rounded to 16 bits, yet without leaking.

Rounding a filter's taps adds a small filter of its own, whose response is flat: it leaks into the
stop band. How much depends on how the taps lie between the numbers that 16 bits hold, so each axis
is multiplied by the factor under 1 at which they lie best, which a product with the results undoes.
That is worth 15 to 20 dB: the published filters then leak less than -71 dB in bfloat16 and -89 dB
in float16. The factors also keep sums within the range of the signal, which float16 needs.
"""

import dataclasses
import functools

import numpy as np
from jax import numpy as jnp

from aa_jax.ops.filtered_activation.stage import Stage
from aa_jax.ops.resample.geometry import Axis, Resample

# Of factors tried, and of frequencies at which the error of the rounded taps is taken.
_FACTORS = np.exp2(np.linspace(0, 1, 1025))
_FREQUENCIES = 257


@dataclasses.dataclass(frozen=True)
class RoundedStage:
    """A stage whose taps 16 bits hold exactly.

    Attributes:
      stage: with those taps, and gain 1; its slopes and codes are those of the original.
      factor: by which its results have to be multiplied.
    """

    stage: Stage
    factor: float


@functools.lru_cache(maxsize=256)
def rounded(stage: Stage, dtype: str) -> RoundedStage:
    """Rounds the taps of `stage` to `dtype`, "bfloat16" or "float16"."""
    up, up_factor = _rounded(stage.up, dtype)
    down, down_factor = _rounded(stage.down, dtype)
    activation = stage.activation
    inner = up_factor / activation.gain
    clamp = None if activation.clamp is None else activation.clamp * inner
    activation = dataclasses.replace(activation, gain=1.0, clamp=clamp)
    return RoundedStage(Stage(up, down, activation), 1 / (inner * down_factor))


def _rounded(plan: Resample, dtype: str) -> tuple[Resample, float]:
    """The operator with rounded taps, and how many times too large it is."""
    (vertical, horizontal), *others = plan.terms
    by = [_best(*pair, dtype) for pair in zip(plan.axes, (vertical, horizontal), strict=True)]
    factor = by[0] * by[1]
    terms = [(_times(vertical, by[0], dtype), _times(horizontal, by[1], dtype))]
    for vertical, horizontal in others:
        # Terms are added, so this one's two factors must have the product of the first's.
        along = _best_pair(vertical, horizontal, factor, by[0], dtype)
        terms.append((_times(vertical, along, dtype), _times(horizontal, factor / along, dtype)))
    return Resample(plan.axes, tuple(terms)), factor


def _best(axis: Axis, taps, dtype: str) -> float:
    """The factor at which rounding adds least; no sum of one phase's taps becomes larger than 1."""
    total = np.abs(taps).sum()
    largest = axis.up / total if total else 1.0
    factors = largest / _FACTORS
    return float(factors[np.argmin(_error(taps, factors, dtype))])


def _best_pair(vertical, horizontal, product: float, middle: float, dtype: str) -> float:
    """The factor of the vertical taps, if both factors have the given product."""
    factors = middle * np.concatenate([_FACTORS, 1 / _FACTORS])
    errors = np.maximum(
        _error(vertical, factors, dtype) * np.abs(horizontal).sum(),
        _error(horizontal, product / factors, dtype) * np.abs(vertical).sum(),
    )
    return float(factors[np.argmin(errors)])


def _error(taps, factors: np.ndarray, dtype: str) -> np.ndarray:
    """Largest response, over all frequencies, of what rounding adds, for each factor."""
    taps = np.asarray(taps, np.float64)[:, None]
    added = np.stack([_round(taps[:, 0] * by, dtype) / by for by in factors], 1) - taps
    waves = np.exp(-1j * np.outer(np.linspace(0, np.pi, _FREQUENCIES), np.arange(len(taps))))
    return np.abs(waves @ added).max(0)


def _times(taps, by: float, dtype: str) -> tuple[float, ...]:
    return tuple(float(tap) for tap in _round(np.asarray(taps, np.float64) * by, dtype))


def _round(values: np.ndarray, dtype: str) -> np.ndarray:
    return values.astype(np.float32).astype(jnp.dtype(dtype)).astype(np.float64)
