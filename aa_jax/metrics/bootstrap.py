"""Confidence intervals by resampling images, and training runs when there are several."""

import dataclasses

import numpy as np

# Resamples drawn at a time: bounds the memory of large test sets.
_CHUNK_ELEMENTS = 4_000_000


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate with its confidence bounds.

    Attributes:
        estimate: the statistic of the data themselves.
        low: lower bound.
        high: upper bound.
        confidence: coverage aimed at, such as 0.95.
    """

    estimate: float
    low: float
    high: float
    confidence: float

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval is positive: for differences, "beyond the interval"."""
        return self.low > 0


def _as_runs(values: np.ndarray, name: str) -> np.ndarray:
    """Checks per-image values: (N,) or (runs, N), as float64 (runs, N)."""
    values = np.asarray(values, np.float64)
    if values.ndim == 1:
        values = values[None]
    if values.ndim != 2 or 0 in values.shape or not np.isfinite(values).all():
        raise ValueError(
            f"{name} must be finite per-image values (N,) or (runs, N), got shape {values.shape}"
        )
    return values


def _check_options(confidence: float, resamples: int) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95, got {confidence!r}")
    if not isinstance(resamples, int | np.integer) or resamples < 1:
        raise ValueError(f"resamples must be a positive integer, got {resamples!r}")


def _weights(random: np.random.Generator, count: int, resamples: int) -> np.ndarray:
    """Shares of each of `count` items in `resamples` draws with replacement."""
    return random.multinomial(count, np.full(count, 1 / count), size=resamples) / count


def _resampled_means(
    groups: list[np.ndarray], resamples: int, random: np.random.Generator
) -> np.ndarray:
    """(groups, resamples): means when images are drawn jointly and runs separately."""
    images = groups[0].shape[1]
    chunk = max(1, _CHUNK_ELEMENTS // images)
    means = []
    for start in range(0, resamples, chunk):
        count = min(chunk, resamples - start)
        image_weights = _weights(random, images, count)
        means.append(
            [
                np.einsum("rs,rs->r", _weights(random, len(group), count), image_weights @ group.T)
                for group in groups
            ]
        )
    return np.concatenate(means, axis=1)


def _interval(estimate: float, samples: np.ndarray, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return Interval(float(estimate), float(low), float(high), confidence)


def bootstrap_interval(
    values: np.ndarray, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Percentile-bootstrap interval of a mean over images, and over runs if there are several.

    With one row, images are drawn with replacement. With several (the same test images measured
    on networks trained from several seeds) runs and images are both drawn with replacement, so
    the interval speaks of another training run on other images. The two are crossed, not nested:
    each resample uses one draw of images for all its runs. Few runs are drawn too alike (with S
    runs the variance between runs comes out (S - 1)/S of an unbiased estimate), so at three
    seeds report the single runs too. Values that are all equal give an interval of width zero.

    Args:
        values: per-image values (N,) or (runs, N), such as 100 * agreement averaged over passes.
        confidence: coverage aimed at.
        resamples: number of bootstrap draws.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        The mean and its interval.

    Raises:
        ValueError: values that are not finite or of another rank, options out of range.
    """
    runs = _as_runs(values, "values")
    _check_options(confidence, resamples)
    samples = _resampled_means([runs], resamples, np.random.default_rng(seed))[0]
    return _interval(runs.mean(), samples, confidence)


def bootstrap_difference(
    values: np.ndarray,
    baseline: np.ndarray,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of mean(values) - mean(baseline) on the same images.

    Images are drawn jointly: an image that is hard for both networks cancels, which makes this
    much sharper than comparing two separate intervals. Runs are drawn separately, because run
    number s of one network and of the other have nothing in common.

    Args:
        values: (N,) or (runs, N) of the network in question.
        baseline: (N,) or (runs, N) of the one it is compared with; the same N images in order.
        confidence: coverage aimed at.
        resamples: number of bootstrap draws.
        seed: of the draws.

    Returns:
        The difference and its interval.

    Raises:
        ValueError: the numbers of images differ, or see `bootstrap_interval`.
    """
    values = _as_runs(values, "values")
    baseline = _as_runs(baseline, "baseline")
    _check_options(confidence, resamples)
    if values.shape[1] != baseline.shape[1]:
        raise ValueError(
            f"values and baseline must measure the same images, got {values.shape[1]} and "
            f"{baseline.shape[1]}"
        )
    random = np.random.default_rng(seed)
    means = _resampled_means([values, baseline], resamples, random)
    return _interval(values.mean() - baseline.mean(), means[0] - means[1], confidence)
