"""What a filter does to frequencies: response and stop-band leakage.

Frequencies are in cycles per unit length at `rate` samples per unit length; with the default
rate of 1 they are cycles per sample, and 0.5 is the Nyquist frequency. Phases refer to the
filter's centre, so a symmetric filter has a real response.
"""

import math

import numpy as np

from aa_jax.filters.factor import LowRank


def _check_rate(rate: float) -> None:
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"rate must be a positive, finite sampling rate, got {rate!r}.")


def _phases(frequencies: np.ndarray, numtaps: int, rate: float) -> np.ndarray:
    """exp(-2πi f t) for every frequency (leading axes) and tap (last axis)."""
    times = (np.arange(numtaps) - (numtaps - 1) / 2) / rate
    return np.exp(-2j * np.pi * np.asarray(frequencies, np.float64)[..., None] * times)


def _dense(taps: np.ndarray | LowRank) -> np.ndarray:
    """The 2-D filter; a 1-D one is used along both axes."""
    if isinstance(taps, LowRank):
        return taps.dense()
    taps = np.asarray(taps, np.float64)
    if taps.ndim == 1:
        return np.outer(taps, taps)
    if taps.ndim != 2:
        raise ValueError(f"taps must be 1-D (separable), 2-D or LowRank, got shape {taps.shape}.")
    return taps


def frequency_response(
    taps: np.ndarray, frequencies: np.ndarray, *, rate: float = 1.0
) -> np.ndarray:
    """Evaluates the response of a 1-D filter at given frequencies.

    Args:
      taps: filter, shape (numtaps,).
      frequencies: any shape; in the unit of `rate`.
      rate: sampling rate of the signal.

    Returns:
      complex128 array of the shape of `frequencies`.

    Raises:
      ValueError: if `taps` is not 1-D or `rate` not positive.

    Example:
      >>> frequency_response([0.25, 0.5, 0.25], [0.0, 0.25, 0.5]).real.round(6)
      array([1. , 0.5, 0. ])
    """
    taps = np.asarray(taps, np.float64)
    if taps.ndim != 1:
        raise ValueError(
            f"taps must be 1-D, got shape {taps.shape}; use frequency_response_2d for images."
        )
    _check_rate(rate)
    return _phases(frequencies, len(taps), rate) @ taps


def frequency_response_2d(
    taps: np.ndarray | LowRank,
    vertical: np.ndarray,
    horizontal: np.ndarray,
    *,
    rate: float = 1.0,
) -> np.ndarray:
    """Evaluates the response of an image filter on a grid of frequencies.

    Args:
      taps: filter, (numtaps,) used along both axes, (height, width), or `LowRank`.
      vertical: frequencies along columns, shape (m,).
      horizontal: frequencies along rows, shape (n,).
      rate: sampling rate of the signal on both axes.

    Returns:
      complex128 array, shape (m, n).

    Raises:
      ValueError: if `taps` has another rank, a frequency axis is not 1-D, or `rate` is not
        positive.
    """
    taps = _dense(taps)
    _check_rate(rate)
    for name, axis in (("vertical", vertical), ("horizontal", horizontal)):
        if np.ndim(axis) != 1:
            raise ValueError(f"{name} must be 1-D frequencies, got shape {np.shape(axis)}.")
    height, width = taps.shape
    return _phases(vertical, height, rate) @ taps @ _phases(horizontal, width, rate).T


def stopband_leakage(taps: np.ndarray | LowRank, stopband: float, *, rate: float = 1.0) -> float:
    """Measures the most a filter lets through beyond a frequency, in dB relative to DC.

    Args:
      taps: 1-D filter, or 2-D filter / `LowRank`. A 2-D filter is judged on all frequencies of
        at least `stopband` in any direction, out to the corners of the Nyquist square.
      stopband: first frequency that should be stopped, in [0, rate / 2]. Before decimation by
        `d`, `rate / (2 d)` is where aliasing begins.
      rate: sampling rate of the signal.

    Returns:
      20 log10(max |H(f)| / |H(0)|): 0 for no attenuation, -60 for a thousandth, -inf for none
      at all. Sampled finely enough that the maximum is off by less than 0.05 dB.

    Raises:
      ValueError: if `stopband` is outside [0, rate / 2] or the filter has no DC gain.
    """
    _check_rate(rate)
    if not 0 <= stopband <= rate / 2:
        raise ValueError(f"stopband must lie in [0, rate/2] = [0, {rate / 2:g}], got {stopband!r}.")
    one_dimensional = not isinstance(taps, LowRank) and np.ndim(taps) == 1
    taps = np.asarray(taps, np.float64) if one_dimensional else _dense(taps)
    gain = abs(taps.sum())
    if gain <= 1e-12 * np.abs(taps).sum():
        raise ValueError("taps must have a response at DC to compare with; theirs sum to zero.")
    # A response of n taps has at most n lobes; 32 samples per lobe find each peak.
    count = 32 * max(taps.shape) + 1
    if one_dimensional:
        response = frequency_response(taps, np.linspace(stopband, rate / 2, count), rate=rate)
    else:
        response = _response_outside_disc(taps, stopband, rate, count)
    peak = np.max(np.abs(response))
    # Below rounding the filter has a zero there, and the logarithm of noise means nothing.
    return 20 * math.log10(peak / gain) if peak > 1e-15 * gain else -math.inf


def _response_outside_disc(taps: np.ndarray, radius: float, rate: float, count: int) -> np.ndarray:
    """Responses at polar samples from `radius` to the Nyquist square's edge, all directions."""
    # Real taps make the response conjugate symmetric: half the directions are all of them.
    angles = np.linspace(0, np.pi, 181)
    directions = np.stack([np.sin(angles), np.cos(angles)])
    edge = rate / 2 / np.max(np.abs(directions), axis=0)
    radii = radius + np.linspace(0, 1, count)[:, None] * (edge - radius)
    vertical, horizontal = (radii * direction for direction in directions)
    rows = _phases(vertical, taps.shape[0], rate) @ taps
    return np.sum(rows * _phases(horizontal, taps.shape[1], rate), axis=-1)
