"""Orthogonal wavelet filters of the least asymmetric kind, and a bank of octave bands from them."""

import itertools
import math

import numpy as np

MAX_ORDER = 9  # from 10 on, measures of asymmetry disagree on which filter is the least so


def symlet(order: int) -> np.ndarray:
    """Returns the low-pass filter of Daubechies' least asymmetric orthogonal wavelet.

    Among the filters of 2 * order taps that are orthogonal to their own even shifts and have
    `order` zeros at Nyquist, the one whose phase is nearest to linear (Daubechies, *Ten Lectures
    on Wavelets*, 1992, section 8.1.1). Found by spectral factorisation: the squared magnitude is
    known, and from each pair of roots z, 1/z one is to be taken.

    Args:
      order: number of vanishing moments, 1 to 9; 1 is the Haar filter, 6 is "sym6".

    Returns:
      Taps of shape (2 * order,), float64, sum 1; times sqrt(2) they have unit norm. Of the two
      mirror images it is the one whose energy lies before the middle.

    Raises:
      ValueError: if `order` is not an integer from 1 to 9.

    Example:
      >>> symlet(2).round(4)
      array([ 0.3415,  0.5915,  0.1585, -0.0915])
    """
    if (
        not isinstance(order, (int, np.integer))
        or isinstance(order, bool)
        or not 1 <= order <= MAX_ORDER
    ):
        raise ValueError(f"order must be an integer from 1 to {MAX_ORDER}, got {order!r}.")
    zeros_at_nyquist = [-1.0] * order
    candidates = []
    for chosen in itertools.product(*_choices(order)):
        taps = np.poly(zeros_at_nyquist + [root for group in chosen for root in group]).real
        candidates.append(taps / taps.sum())
    taps = min(candidates, key=_bend_of_phase)
    centre = np.arange(taps.size) @ taps**2 / (taps @ taps)
    return taps if centre <= order - 0.5 else taps[::-1]


def _choices(order: int) -> list[list[tuple[complex, ...]]]:
    """For each group of roots, the ways to take half of it: inside or outside of the unit circle.

    Roots that are complex conjugates of each other must be taken together, for real taps.
    """
    # The squared magnitude is (1 - y)^order P(y) with y = sin^2(w / 2) = (2 - z - 1/z) / 4; P is
    # the polynomial of lowest degree that makes the filter orthogonal.
    coefficients = [math.comb(order - 1 + k, k) for k in range(order)]
    choices = []
    for y in np.roots(coefficients[::-1]):
        if y.imag < 0:
            continue  # its conjugate stands for both
        half = 1 - 2 * y
        inside, outside = half - np.sqrt(half * half - 1 + 0j), half + np.sqrt(half * half - 1 + 0j)
        both = [(z, np.conj(z)) if y.imag > 0 else (z,) for z in (inside, outside)]
        choices.append(both)
    return choices


def _bend_of_phase(taps: np.ndarray) -> float:
    """Squared distance of the phase from the straight line through zero that fits it best."""
    frequencies = np.linspace(0, np.pi, 512, endpoint=False)
    response = np.exp(-1j * np.outer(frequencies, np.arange(taps.size))) @ taps
    phase = np.unwrap(np.angle(response))
    slope = (phase @ frequencies) / (frequencies @ frequencies)
    return float(np.sum((phase - slope * frequencies) ** 2))


def octave_filter_bank(order: int = 2, bands: int = 4) -> np.ndarray:
    """Returns symmetric filters that split a signal into octaves, without decimation.

    The first band holds the lowest frequencies; the last, the upper half of the spectrum; each in
    between, the upper half of what the ones after it left. The bands add up to the signal. Used by
    Karras et al., "Training Generative Adversarial Networks with Limited Data" (NeurIPS 2020,
    appendix B), with order 2 and four bands, to weigh frequencies of images at random.

    Args:
      order: of the wavelet, see `symlet`.
      bands: number of filters, at least 1.

    Returns:
      Array of shape (bands, taps), float64; taps is odd, 43 for the default arguments.

    Raises:
      ValueError: if `order` or `bands` is out of range.
    """
    if not isinstance(bands, (int, np.integer)) or isinstance(bands, bool) or bands < 1:
        raise ValueError(f"bands must be a positive integer, got {bands!r}.")
    low = symlet(order)
    high = low * (-1.0) ** np.arange(low.size)
    # Forth and back: zero phase. The two add up to an impulse, which is what orthogonality says.
    low, high = np.convolve(low, low[::-1]), np.convolve(high, high[::-1])
    bank = [np.ones(1)]
    for _ in range(bands - 1):
        # What was a band of the whole spectrum becomes, stretched, a band of its lower half.
        bank = [np.convolve(_stretched(taps), low) for taps in bank]
        beside = (bank[0].size - high.size) // 2
        bank.append(np.pad(high, beside))
    return np.stack(bank)


def _stretched(taps: np.ndarray) -> np.ndarray:
    stretched = np.zeros(2 * taps.size - 1)
    stretched[::2] = taps
    return stretched
