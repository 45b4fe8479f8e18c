"""The low-pass filter of a rotation: what a turned sampling grid can still hold."""

import functools
import math

import numpy as np

LOBES = 3  # of the Lanczos window, in samples from its centre
REACH = 6  # of the filter, in samples: it covers the window and the turned window
_EXTENT = 64  # samples to either side on which the ideal filter is computed


@functools.lru_cache(maxsize=64)
def rotation_filter(angle: float, *, up: int = 1) -> np.ndarray:
    """Designs the band limit that an image has before and after it is rotated.

    A sampled image holds the frequencies of a square, a rotated one those of a rotated square. The
    ideal filter passes what lies in both: the convolution of two sincs, one of which is turned. It
    is cut off by the convolution of two Lanczos windows, one of which is turned (Karras et al.,
    NeurIPS 2021, appendix E.3).

    Designed at `up=1`, as EQ-R does it, the turned kernel is sampled too coarsely to keep its own
    frequencies apart: near 45 degrees the response is off by 5 % at 0.2 cycles per sample.
    `rotation_filter(angle, up=4)[3::4, 3::4] * 16` is the filter on the same grid without that.

    Args:
      angle: of the rotation, in radians, counter-clockwise as seen on a screen.
      up: filter taps per sample: an image upsampled by `up` is filtered on the finer grid.

    Returns:
      Taps of shape (12 * up - 1, 12 * up - 1), read-only float64, the same after half a turn. They
      sum to 1 and so do, times `up**2`, those that meet one phase of the finer grid.

    Raises:
      ValueError: if `angle` is not finite or `up` not positive.

    Example:
      >>> bool(abs(rotation_filter(0.0)[5, 5] - 1) < 1e-12)  # nothing to remove: the identity
      True
    """
    if not math.isfinite(angle):
        raise ValueError(f"angle must be a finite number of radians, got {angle!r}.")
    if up < 1:
        raise ValueError(f"up must be at least 1, got {up!r}.")
    # The windows vanish beyond a few samples: a shorter period already keeps their ends apart.
    window = _crossed(_lanczos, angle, up, 2 * REACH * up)
    taps = _crossed(np.sinc, angle, up, _EXTENT * up) * window
    # Each phase of the finer grid passes constants unchanged, or flat areas would show the grid.
    phases = np.pad(taps, (0, 1)).reshape(2 * REACH, up, 2 * REACH, up)
    phases = phases / (phases.sum((0, 2), keepdims=True) * up**2)
    taps = phases.reshape(2 * REACH * up, -1)[:-1, :-1]
    taps.setflags(write=False)
    return taps


def _crossed(kernel, angle: float, up: int, extent: int) -> np.ndarray:
    """Central taps of the convolution of kernel(x) kernel(y) with the same, turned by `angle`.

    The convolution is circular in 2 * extent - 1 samples. A product with the straight kernel's
    matrix on either side computes only the taps that are used.
    """
    sample = np.arange(1 - extent, extent)
    out = np.arange(1 - REACH * up, REACH * up)
    period = len(sample)
    distance = (out[:, None] - sample + extent - 1) % period + 1 - extent
    straight = kernel(distance / up)
    # Half a turn changes nothing: the lower half of the turned kernel is the upper, reversed.
    x, y = sample / up, sample[extent - 1 :, None] / up
    cos, sin = math.cos(angle), math.sin(angle)
    lower = kernel(cos * x + sin * y) * kernel(cos * y - sin * x)
    turned = np.concatenate([lower[:0:-1, ::-1], lower])
    return straight @ turned @ straight.T


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < LOBES, np.sinc(x / LOBES), 0.0)
