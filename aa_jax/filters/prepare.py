"""Turning user-given taps into the form that resampling takes."""

import numpy as np

# Shorter filters are applied as full 2-D ones, as in the StyleGAN family of networks.
SEPARABLE_FROM = 8


def setup_filter(
    taps,
    *,
    normalize: bool = True,
    flip_filter: bool = False,
    gain: float = 1.0,
    separable: bool | None = None,
) -> np.ndarray:
    """Normalises, flips and scales a low-pass filter given by hand.

    Args:
      taps: None for no filter, a number, (taps,) or (filter_height, filter_width).
      normalize: divide by the sum, so that constants pass unchanged.
      flip_filter: reverse the taps along every axis.
      gain: factor on the signal that the filter is to have in all; a separable filter, used
        once along each axis, carries its square root.
      separable: keep a 1-D filter 1-D. None: from 8 taps on. Shorter ones become 2-D.

    Returns:
      Taps of shape (taps,), separable, or (filter_height, filter_width), float64.

    Raises:
      ValueError: if `taps` has more than two axes, is empty, not finite, or sums to zero although
        it is to be normalised; or if `separable` is asked for a 2-D filter.
    """
    array = np.asarray(1.0 if taps is None else taps, dtype=np.float64)
    if array.ndim > 2 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(
            "taps must be None, a number, or a non-empty finite array with one or two axes, got "
            f"shape {array.shape}."
        )
    array = np.atleast_1d(array)
    if separable is None:
        separable = array.ndim == 1 and array.size >= SEPARABLE_FROM
    if separable and array.ndim == 2:
        raise ValueError(f"separable=True needs taps of one axis, got shape {array.shape}.")
    if array.ndim == 1 and not separable:
        array = np.outer(array, array)
    if normalize:
        total = array.sum()
        if total == 0.0:
            raise ValueError("taps must not sum to zero when normalize=True.")
        array = array / total
    if flip_filter:
        array = np.flip(array)
    return array * gain ** (array.ndim / 2)
