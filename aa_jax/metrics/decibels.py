"""Ratios of pooled sums in decibels, with a standard error."""

import math

import numpy as np


def pooled_decibels(signal: np.ndarray, error: np.ndarray) -> tuple[float, float]:
    """10 log10(sum of signal / sum of error), and its standard error over independent draws.

    Sums are pooled before the logarithm is taken, so a draw counts by its size and a bad one shows.
    The error is that of a ratio of means, by the delta method: the relative deviations of a draw's
    signal and error from their means are subtracted, and the spread of the differences over draws
    is that of the logarithm. It is a good guess from some twenty draws on; a few that are much
    worse than the others make it too small.

    Args:
        signal: (draws,) sums, not negative: power, or squared peak times the number of samples.
        error: (draws,) sums of squared errors.

    Returns:
        Decibels: infinite without error, NaN without signal. Standard error in decibels: NaN from
        a single draw or where decibels are not finite.

    Raises:
        ValueError: arrays of different shapes, not one-dimensional or empty, or negative sums.

    Example:
        >>> decibels, standard_error = pooled_decibels([100.0, 100.0], [1.0, 1.0])
        >>> round(decibels, 6), round(standard_error, 6)
        (20.0, 0.0)
    """
    signal, error = np.asarray(signal, np.float64), np.asarray(error, np.float64)
    if signal.ndim != 1 or signal.shape != error.shape or not signal.size:
        raise ValueError(
            "signal and error must be equally many sums (draws,), got shapes "
            f"{signal.shape} and {error.shape}"
        )
    if not (signal >= 0).all() or not (error >= 0).all():
        raise ValueError("signal and error must be sums of squares: not negative and not NaN")
    draws, signal_sum, error_sum = len(signal), signal.sum(), error.sum()
    if signal_sum == 0:
        return math.nan, math.nan
    if error_sum == 0:
        return math.inf, math.nan
    decibels = 10 * math.log10(signal_sum / error_sum)
    if draws == 1:
        return decibels, math.nan
    deviation = signal / signal_sum - error / error_sum
    variance = draws / (draws - 1) * np.sum(deviation**2)
    return decibels, 10 / math.log(10) * math.sqrt(variance)
