"""Kaiser-windowed low-pass filters: separable sinc and radially symmetric jinc.

The designs are those of the alias-free generator (Karras et al., "Alias-Free Generative
Adversarial Networks", NeurIPS 2021, appendix C), which are also SciPy's: `firwin_sinc` equals
`scipy.signal.firwin(numtaps, cutoff, width=width, fs=rate)`.

Frequencies are cycles per unit length and `rate` is the number of samples per unit length; only
their ratios matter, so any consistent unit serves.
"""

import math

import numpy as np
from scipy import special


def _check_design(numtaps: int, cutoff: float, width: float, rate: float) -> None:
    if not isinstance(numtaps, (int, np.integer)) or numtaps < 1:
        raise ValueError(f"numtaps must be a positive integer, got {numtaps!r}.")
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"rate must be a positive, finite sampling rate, got {rate!r}.")
    if not 0 < cutoff <= rate / 2:
        raise ValueError(
            f"cutoff must lie in (0, rate/2] = (0, {rate / 2:g}], got {cutoff!r}; "
            "it is given in the same unit as rate, not as a fraction of the Nyquist frequency."
        )
    if not (math.isfinite(width) and width > 0):
        raise ValueError(
            f"width must be a positive, finite transition width (both flanks together), "
            f"got {width!r}."
        )


def kaiser_attenuation(numtaps: int, width: float, rate: float) -> float:
    """Returns the stop-band attenuation a Kaiser design of this length reaches.

    Kaiser's formula `A = 2.285 (numtaps - 1) π Δ + 7.95`, with Δ the transition width relative
    to the Nyquist frequency.

    Args:
      numtaps: filter length in samples.
      width: full transition width, from the end of the pass band to the start of the stop band.
      rate: sampling rate, in the same unit as `width`.

    Returns:
      Attenuation in dB (a positive number).

    Raises:
      ValueError: if `numtaps` is not a positive integer, or `width` or `rate` is not positive.
    """
    _check_design(numtaps, rate / 2, width, rate)
    return 2.285 * (numtaps - 1) * math.pi * (width / (rate / 2)) + 7.95


def kaiser_beta(attenuation: float) -> float:
    """Returns the Kaiser window's shape parameter for a stop-band attenuation in dB.

    Kaiser's piecewise fit: zero (a rectangular window) up to 21 dB, linear above 50 dB.

    Args:
      attenuation: wanted attenuation in dB, e.g. from `kaiser_attenuation`.

    Raises:
      ValueError: if `attenuation` is not finite.
    """
    if not math.isfinite(attenuation):
        raise ValueError(f"attenuation must be a finite number of dB, got {attenuation!r}.")
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0


def _offsets(numtaps: int) -> np.ndarray:
    return np.arange(numtaps, dtype=np.float64) - (numtaps - 1) / 2


def _window(numtaps: int, width: float, rate: float) -> np.ndarray:
    return np.kaiser(numtaps, kaiser_beta(kaiser_attenuation(numtaps, width, rate)))


def firwin_sinc(numtaps: int, cutoff: float, width: float, rate: float) -> np.ndarray:
    """Designs a separable low-pass filter: a sinc under a Kaiser window.

    Used along rows and along columns it passes the square |f_x|, |f_y| < cutoff. Odd and even
    lengths both serve; an even length delays by a half sample.

    Args:
      numtaps: filter length in samples; 1 gives the identity `[1.]`.
      cutoff: frequency of half amplitude (-6 dB), at most `rate / 2`.
      width: full transition width around the cutoff.
      rate: sampling rate of the signal the filter runs on, in the unit of `cutoff`.

    Returns:
      Taps of shape (numtaps,), float64, summing to 1.

    Raises:
      ValueError: if an argument is out of its range.

    Example:
      >>> firwin_sinc(3, cutoff=0.25, width=0.5, rate=1.0).round(3)
      array([0.263, 0.474, 0.263])
    """
    _check_design(numtaps, cutoff, width, rate)
    taps = np.sinc(2 * cutoff / rate * _offsets(numtaps)) * _window(numtaps, width, rate)
    return taps / taps.sum()


def firwin_jinc(numtaps: int, cutoff: float, width: float, rate: float) -> np.ndarray:
    """Designs a radially symmetric low-pass filter: a jinc under a square Kaiser window.

    The ideal disc filter `J1(2π cutoff r) / (π r)` times the outer product of two Kaiser
    windows. It passes the disc hypot(f_x, f_y) < cutoff, so rotations commute with it up to the
    window. At the centre of an odd length the expression is 0/0; its limit, `cutoff`, is used.

    Args:
      numtaps: side of the filter in samples; 1 gives the identity `[[1.]]`.
      cutoff: radius of the pass band, at most `rate / 2`.
      width: full transition width around the cutoff.
      rate: sampling rate of the signal the filter runs on, in the unit of `cutoff`.

    Returns:
      Taps of shape (numtaps, numtaps), float64, summing to 1. `factorize` splits them into
      three or four separable pairs, which run several times faster.

    Raises:
      ValueError: if an argument is out of its range.
    """
    _check_design(numtaps, cutoff, width, rate)
    offsets = _offsets(numtaps) / rate
    radius = np.hypot(offsets[:, None], offsets[None, :])
    # J1(2πcr)/(πr) -> c as r -> 0, since J1(z) = z/2 + O(z³) and so J1(2πcr) = πcr + O(r³).
    safe = np.where(radius == 0, 1.0, radius)
    jinc = np.where(radius == 0, cutoff, special.j1(2 * np.pi * cutoff * safe) / (np.pi * safe))
    window = _window(numtaps, width, rate)
    taps = jinc * np.outer(window, window)
    return taps / taps.sum()
