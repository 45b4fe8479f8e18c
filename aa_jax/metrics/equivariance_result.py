"""What equivariance is measured with, random motions, and what comes out, decibels."""

import dataclasses
import math

import numpy as np

from aa_jax.metrics.decibels import pooled_decibels


def check_counts(**counts: int) -> None:
    """Raises ValueError unless every named number is a positive integer."""
    for name, value in counts.items():
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}")


@dataclasses.dataclass(frozen=True)
class EquivarianceDraws:
    """The motions of a measurement, one for each batch.

    Attributes:
        whole: float32 (draws, 2), translations (right, down) in units of the picture's shorter
            side, whole pixels.
        fractional: the same, any amount.
        angles: float32 (draws,), radians, counter-clockwise as seen on a screen.
        resolution: pixels per unit.
        seed: they were drawn with, if they were.
    """

    whole: np.ndarray
    fractional: np.ndarray
    angles: np.ndarray
    resolution: int
    seed: int | None = None

    def __post_init__(self):
        count = len(np.atleast_1d(self.angles))
        for name, shape in (
            ("whole", (count, 2)),
            ("fractional", (count, 2)),
            ("angles", (count,)),
        ):
            value = np.asarray(getattr(self, name), np.float32)
            if value.shape != shape or not count or not np.isfinite(value).all():
                raise ValueError(
                    f"{name} must be finite and of shape {shape}, one row per draw, got shape "
                    f"{value.shape}"
                )
            object.__setattr__(self, name, value)
        check_counts(resolution=self.resolution)

    def __len__(self) -> int:
        return len(self.angles)


@dataclasses.dataclass(frozen=True)
class Equivariance:
    """One metric, measured.

    Attributes:
        metric: "eqt_int", "eqt_frac" or "eqr".
        squared_errors: float64 (draws, batch), sums over the valid pixels and channels of a
            picture.
        counts: (draws,), number of those pixels times channels.
        seed: of latents and motions, None for given ones.
    """

    metric: str
    squared_errors: np.ndarray
    counts: np.ndarray
    seed: int | None

    @property
    def draws(self) -> int:
        """Number of motions, and of batches."""
        return len(self.counts)

    @property
    def samples(self) -> int:
        """Number of pictures."""
        return self.squared_errors.size

    @property
    def mse(self) -> float:
        """Mean squared error over all pictures together: pooled before any logarithm."""
        return float(self.squared_errors.sum() / (self.counts.sum() * self._batch))

    @property
    def decibels(self) -> float:
        """10 log10(2**2 / mse): 2 is the range of pictures in [-1, 1]. Infinite without error."""
        return self._decibels[0]

    @property
    def standard_error(self) -> float:
        """Of `decibels`, by the delta method over draws, which are independent (`pooled_decibels`).

        Pictures of one batch share their motion and are not. NaN from a single draw.
        """
        return self._decibels[1]

    @property
    def _batch(self) -> int:
        return self.squared_errors.shape[1]

    @property
    def _decibels(self) -> tuple[float, float]:
        return pooled_decibels(4.0 * self.counts * self._batch, self.squared_errors.sum(1))

    def __str__(self) -> str:
        return (
            f"{self.metric}: {self.decibels:.2f} ± {self.standard_error:.2f} dB ({self.samples} "
            f"pictures, {self.draws} motions, seed {self.seed})"
        )


def random_draws(
    count: int,
    *,
    resolution: int,
    seed: int = 0,
    max_translation: float = 0.125,
    max_angle: float = math.pi,
) -> EquivarianceDraws:
    """Draws motions: uniform translations along each axis, uniform angles.

    A longer list begins with the shorter one of the same seed.

    Args:
        count: how many.
        resolution: pixels along the picture's shorter side.
        seed: of NumPy's default generator.
        max_translation: bound of either component, in units of the shorter side.
        max_angle: bound of the angle in radians.

    Returns:
        The motions; whole translations are rounded to pixels.

    Raises:
        ValueError: a count or bound is not positive.
    """
    check_counts(count=count, resolution=resolution)
    for name, bound in (("max_translation", max_translation), ("max_angle", max_angle)):
        if not 0 < bound < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {bound!r}")
    numbers = np.random.default_rng(seed).uniform(-1, 1, (count, 5))
    whole = np.round(numbers[:, :2] * max_translation * resolution) / resolution
    return EquivarianceDraws(
        whole, numbers[:, 2:4] * max_translation, numbers[:, 4] * max_angle, resolution, seed
    )
