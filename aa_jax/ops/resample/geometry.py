"""What a resampling operator is, apart from how it is computed: a frozen plan with a transpose."""

import dataclasses
import math

import numpy as np
from jax import numpy as jnp

from aa_jax.filters import factorize


@dataclasses.dataclass(frozen=True)
class Axis:
    """Zero insertion, padding, correlation and decimation along one axis.

    Output `o` is the sum over `k` of `taps[k] * x[i]` where `i * up == o * down + k - offset`
    and `0 <= i < size_in`.

    Attributes:
      size_in: input samples.
      size_out: output samples.
      up: upsampling factor.
      down: downsampling factor.
      offset: zeros in front of the upsampled signal; negative crops.
      taps: number of filter taps.
    """

    size_in: int
    size_out: int
    up: int
    down: int
    offset: int
    taps: int

    @property
    def transpose(self) -> "Axis":
        """Factors exchanged, filter to be flipped."""
        return Axis(
            size_in=self.size_out,
            size_out=self.size_in,
            up=self.down,
            down=self.up,
            offset=self.taps - 1 - self.offset,
            taps=self.taps,
        )

    @property
    def phases(self) -> int:
        """Number of outputs after which the pattern of taps repeats."""
        return self.up // math.gcd(self.up, self.down)

    @property
    def stride(self) -> int:
        """Input samples that one such period advances."""
        return self.down // math.gcd(self.up, self.down)

    def taps_of_phase(self, phase: int) -> list[tuple[int, int]]:
        """Pairs (tap, input sample) that make output `phase`; period q adds q * stride."""
        start = phase * self.down - self.offset
        first = -start % self.up
        return [(k, (start + k) // self.up) for k in range(first, self.taps, self.up)]

    @property
    def periods(self) -> int:
        """Periods of `phases` outputs, the last perhaps incomplete."""
        return -(-self.size_out // self.phases)

    @property
    def reach(self) -> tuple[int, int]:
        """First input sample that any output reads, and one past the last. May lie outside."""
        return self._reach(self.size_out)

    @property
    def whole_reach(self) -> tuple[int, int]:
        """As `reach`, with the last period completed."""
        return self._reach(self.periods * self.phases)

    def _reach(self, outputs: int) -> tuple[int, int]:
        samples = []
        for phase in range(min(self.phases, outputs)):
            last = (outputs - 1 - phase) // self.phases * self.stride
            samples += [(i, i + last) for _, i in self.taps_of_phase(phase)]
        if not samples:
            return 0, 0
        return min(first for first, _ in samples), max(last for _, last in samples) + 1


@dataclasses.dataclass(frozen=True)
class Resample:
    """A resampling operator over the spatial axes of (batch, *spatial, channels).

    Attributes:
      axes: one `Axis` for each spatial axis.
      terms: the filter as a sum of separable ones: for each term, for each axis, the taps in
        correlation order.
    """

    axes: tuple[Axis, ...]
    terms: tuple[tuple[tuple[float, ...], ...], ...]

    @property
    def transpose(self) -> "Resample":
        """The operator of the gradient with respect to the signal."""
        return Resample(
            axes=tuple(axis.transpose for axis in self.axes),
            terms=tuple(tuple(taps[::-1] for taps in term) for term in self.terms),
        )

    def apply(self, x):
        """Computes the operator; see `aa_jax.ops.resample.xla`."""
        # Imported late: the implementation reads the plan, the plan only names it.
        from aa_jax.ops.resample import xla

        return xla.resample(x, self)


def factor_tolerance(dtype) -> float:
    """Error, relative to the peak, that a filter may take from being factorised.

    A few units of rounding of the signal that it filters; for 16-bit signals much less, since
    their rounding is noise, but an error of the filter is leakage at fixed frequencies.
    """
    return min(max(8 * float(jnp.finfo(dtype).eps), 2e-15), 1e-5)


def output_size(size: int, up: int, down: int, padding: tuple[int, int], taps: int) -> int:
    """Samples along one axis after zero insertion, padding, valid filtering and decimation.

    Zero or negative if the padded signal is shorter than the filter.
    """
    return (size * up + sum(padding) - taps) // down + 1


def separable_terms(filter_2d: np.ndarray, tolerance: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Writes a full filter as the cheapest sum of separable ones.

    Either its singular vectors, cut at `tolerance` relative to the peak, or its columns, each
    with a one-tap row: the direct form, cheaper when the filter is small and of full rank.

    Returns:
      Pairs of (vertical taps, horizontal taps).
    """
    height, width = filter_2d.shape
    factors = factorize(filter_2d, tolerance=tolerance)
    if factors.rank * (height + width) <= (height + 1) * width:
        return list(zip(factors.vertical, factors.horizontal, strict=True))
    return list(zip(filter_2d.T, np.eye(width), strict=True))
