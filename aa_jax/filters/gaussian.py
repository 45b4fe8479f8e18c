"""Gaussian filters in the two conventions in use, and the rule that picks one for a scale.

`gaussian` takes a standard deviation. `half_value_gaussian` takes the distance at which the tap
has fallen to one half, `2^-(t/width)²`, as the alias-free generator's discriminator blur does;
it is the same curve with `sigma = width / sqrt(2 ln 2)`, but papers call both numbers "sigma".
"""

import math

import numpy as np


def _check_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive, finite number of samples, got {value!r}.")


def _check_radius(radius: int) -> int:
    if not isinstance(radius, (int, np.integer)) or radius < 0:
        raise ValueError(f"radius must be a non-negative integer or None, got {radius!r}.")
    return int(radius)


def gaussian(sigma: float, *, radius: int | None = None) -> np.ndarray:
    """Samples `exp(-t² / (2 sigma²))` at whole samples, normalised to sum 1.

    Args:
      sigma: standard deviation in samples.
      radius: taps on either side of the centre. Default `round(4 sigma)`, the rule of
        `downsampling_gaussian` (halves go to the even neighbour, as Python rounds).

    Returns:
      Taps of shape (2 * radius + 1,), float64.

    Raises:
      ValueError: if `sigma` is not positive or `radius` not a non-negative integer.
    """
    _check_positive("sigma", sigma)
    radius = round(4 * sigma) if radius is None else _check_radius(radius)
    offsets = np.arange(-radius, radius + 1, dtype=np.float64)
    taps = np.exp(-(offsets**2) / (2 * sigma**2))
    return taps / taps.sum()


def half_value_gaussian(width: float, *, radius: int | None = None) -> np.ndarray:
    """Samples `2^-(t / width)²` at whole samples, normalised to sum 1.

    The blur of the images a discriminator sees early in training (Karras et al., "Alias-Free
    Generative Adversarial Networks", 2021, appendix G), where `width` is called sigma.

    Args:
      width: distance from the centre, in samples, at which a tap is half the central one.
      radius: taps on either side of the centre. Default `floor(3 width)`, so that a width below
        1/3 is the identity.

    Returns:
      Taps of shape (2 * radius + 1,), float64.

    Raises:
      ValueError: if `width` is not positive or `radius` not a non-negative integer.
    """
    _check_positive("width", width)
    radius = math.floor(3 * width) if radius is None else _check_radius(radius)
    offsets = np.arange(-radius, radius + 1, dtype=np.float64)
    taps = np.exp2(-((offsets / width) ** 2))
    return taps / taps.sum()


def _check_scale(scale: float) -> None:
    if not 0 < scale <= 1:
        raise ValueError(
            f"scale must lie in (0, 1], got {scale!r}: it is the size of the result relative to "
            "the input, e.g. 0.25 for a quarter."
        )


def downsampling_sigma(scale: float) -> float:
    """Returns the standard deviation `(1/scale - 1) / 2` that precedes a reduction by `scale`.

    The rule of Siarohin et al., "First Order Motion Model for Image Animation" (NeurIPS 2019).
    It is a moderate blur: at a quarter of the size the response at the new Nyquist frequency is
    still one half.

    Args:
      scale: size of the result relative to the input, in (0, 1].

    Raises:
      ValueError: if `scale` is outside (0, 1].
    """
    _check_scale(scale)
    return (1 / scale - 1) / 2


def downsampling_gaussian(scale: float) -> np.ndarray:
    """Designs the Gaussian to apply before keeping every `downsampling_stride(scale)`-th sample.

    Args:
      scale: size of the result relative to the input, in (0, 1]. At 1, and wherever four
        standard deviations round to nothing, the result is the identity `[1.]`.

    Returns:
      Taps of odd length `2 * round(4 sigma) + 1`, float64, summing to 1.

    Raises:
      ValueError: if `scale` is outside (0, 1].
    """
    sigma = downsampling_sigma(scale)
    return gaussian(sigma) if sigma > 0 else np.ones(1)


def downsampling_stride(scale: float) -> int:
    """Returns the whole-number stride `floor(1 / scale)` that goes with a scale.

    A scale whose inverse is not whole is reduced by less than asked (0.4 is reduced by 2, not
    2.5), as in the published model.

    Args:
      scale: size of the result relative to the input, in (0, 1].

    Raises:
      ValueError: if `scale` is outside (0, 1].
    """
    _check_scale(scale)
    # The small constant keeps 1/(1/n) from falling just below n.
    return math.floor(1 / scale + 1e-9)
