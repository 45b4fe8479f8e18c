"""The matrices that reduce an axis, one for each separable method; float64, on the host."""

import dataclasses
import functools
import math

import numpy as np

from aa_jax.filters import (
    LowRank,
    downsampling_gaussian,
    downsampling_stride,
    factorize,
    firwin_jinc,
    firwin_sinc,
    gaussian,
)
from aa_jax.filters.resampling import centered_weights, resize_matrix, weights_matrix

PILLOW = ("bicubic", "bilinear", "lanczos")
# Our filters have so many taps per unit of the factor, and lose half the amplitude at the new
# Nyquist frequency, between three quarters of it (passed) and five quarters (stopped, -50 dB).
LOBES = 6


@dataclasses.dataclass(frozen=True)
class Design:
    """What an axis is multiplied by.

    Attributes:
      size: samples before.
      kernel: a key of the table below.
      factor: samples for each output.
      phase: "native" or "aligned".
      options: of the kernel.
    """

    size: int
    kernel: str
    factor: float
    phase: str = "native"
    options: tuple = ()

    @property
    def matrix(self) -> np.ndarray:
        """(outputs, samples), float64, read-only."""
        return _matrix(self)


def kept(size: int, factor: float) -> int:
    """How many of the places 0, factor, 2 factor... lie in an axis of that size."""
    # The small constant keeps a size / factor that is whole from being rounded up.
    return math.ceil(size / factor - 1e-9)


def cells(size: int, factor: float) -> int:
    """How many whole cells of that width an axis holds."""
    return math.floor(size / factor + 1e-9)


def windows(size: int, starts, taps, border: str) -> np.ndarray:
    """Matrix of the same taps at several places.

    Args:
      size: samples of the axis.
      starts: (outputs,), the first sample of each window; may lie outside.
      taps: (width,).
      border: "zero", "edge" or "renormalised": what lies outside is zero, the nearest sample, or
        left out, with the rest of the taps scaled to the old sum.

    Returns:
      (outputs, size), float64.
    """
    starts = np.asarray(starts, np.int64)
    places = starts[:, None] + np.arange(len(taps))
    inside = (places >= 0) & (places < size)
    weights = np.where(inside | (border == "edge"), taps, 0.0)
    if border == "renormalised":
        weights *= np.sum(taps) / weights.sum(1, keepdims=True)
    matrix = np.zeros((len(starts), size))
    rows = np.broadcast_to(np.arange(len(starts))[:, None], places.shape)
    np.add.at(matrix, (rows, np.clip(places, 0, size - 1)), weights)
    return matrix


def _gaussian(d: Design) -> np.ndarray:
    scale = 1 / d.factor
    taps, stride = downsampling_gaussian(scale), downsampling_stride(scale)
    starts = stride * np.arange(kept(d.size, stride)) - len(taps) // 2
    return windows(d.size, starts, taps, "zero")


def _gaussian_of_width(d: Design) -> np.ndarray:
    (sigma,) = d.options
    taps = gaussian(sigma)
    starts = d.factor * np.arange(kept(d.size, d.factor)) - len(taps) // 2
    return windows(d.size, starts, taps, "edge")


def _average(d: Design) -> np.ndarray:
    width, padding, border = d.options
    count = (d.size + 2 * padding - width) // d.factor + 1
    starts = d.factor * np.arange(count) - padding
    return windows(d.size, starts, np.full(width, 1 / width), border)


def _area(d: Design) -> np.ndarray:
    if d.phase == "native":
        starts = d.factor * np.arange(cells(d.size, d.factor))
        return windows(d.size, starts, np.full(d.factor, 1 / d.factor), "zero")
    # A box as wide, centred on a sample: an even one covers half of its outer two.
    half = d.factor // 2
    taps = np.full(2 * half + 1, 1 / d.factor)
    if d.factor % 2 == 0:
        taps[[0, -1]] /= 2
    starts = d.factor * np.arange(kept(d.size, d.factor)) - half
    return windows(d.size, starts, taps, "renormalised")


def _pillow(d: Design) -> np.ndarray:
    if d.phase == "native":
        return resize_matrix(d.size, cells(d.size, d.factor), d.kernel)
    count = kept(d.size, d.factor)
    places = centered_weights(d.size, count, d.kernel, first=0.0, step=float(d.factor))
    return weights_matrix(*places, d.size)


def _interpolated(d: Design) -> np.ndarray:
    """The kernel of two or four samples at the centres of the cells, not widened."""
    (a,) = d.options
    count = cells(d.size, d.factor)
    centers = (np.arange(count) + 0.5) * (d.size / count) - 0.5
    first = np.floor(centers).astype(np.int64)
    t = (centers - first)[:, None]
    if a is None:
        reach, taps = 0, np.concatenate([1 - t, t], 1)
    else:
        # Keys' cubic with a free slope `a`, by the distance to the two near samples and two far.
        near, far = np.concatenate([t, 1 - t], 1), np.concatenate([1 + t, 2 - t], 1)
        near = ((a + 2) * near - (a + 3)) * near**2 + 1
        far = ((far - 5) * far + 8) * a * far - 4 * a
        reach, taps = 1, np.stack([far[:, 0], near[:, 0], near[:, 1], far[:, 1]], 1)
    return np.concatenate(
        [windows(d.size, [f - reach], row, "edge") for f, row in zip(first, taps, strict=True)]
    )


@functools.lru_cache(maxsize=32)
def low_pass(factor: int, phase: str, form: str) -> np.ndarray | LowRank:
    """Kaiser designs: of even length for an even factor, or odd if centred on samples.

    Args:
      factor: of the reduction.
      phase: "native", centred in a cell of `factor` samples, or "aligned", on its first one.
      form: "sinc" for (taps,), "jinc" for a sum of separable filters.
    """
    parity = (factor if phase == "native" else 1) % 2
    length = LOBES * factor
    length += (length - parity) % 2
    design = {"sinc": firwin_sinc, "jinc": firwin_jinc}[form]
    taps = design(length, cutoff=0.5 / factor, width=0.5 / factor, rate=1.0)
    return taps if form == "sinc" else factorize(taps)


def jinc_rank(factor: int, phase: str) -> int:
    """How many separable filters make the radially symmetric one."""
    return len(low_pass(factor, phase, "jinc").vertical)


def _kaiser(d: Design) -> np.ndarray:
    if d.kernel == "jinc":
        term, direction = d.options
        taps = getattr(low_pass(d.factor, d.phase, "jinc"), direction)[term]
    else:
        taps = low_pass(d.factor, d.phase, "sinc")
    native = d.phase == "native"
    starts = d.factor * np.arange((cells if native else kept)(d.size, d.factor))
    return windows(d.size, starts - (len(taps) - (d.factor if native else 1)) // 2, taps, "edge")


def _ideal(d: Design) -> np.ndarray:
    """Cosines below the new Nyquist frequency, summed up at the new places."""
    if d.phase == "native":
        count = cells(d.size, d.factor)
        places = (np.arange(count) + 0.5) * (d.size / count)
    else:
        count = kept(d.size, d.factor)
        places = np.arange(count) * d.factor + 0.5
    frequencies = np.pi / d.size * np.arange(count)
    analysis = np.cos(frequencies[:, None] * (np.arange(d.size) + 0.5)) * (2 / d.size)
    analysis[0] /= 2
    return np.cos(places[:, None] * frequencies) @ analysis


_KERNELS = {
    "gaussian": _gaussian,
    "gaussian_of_width": _gaussian_of_width,
    "average": _average,
    "area": _area,
    "interpolated": _interpolated,
    "kaiser_sinc": _kaiser,
    "jinc": _kaiser,
    "ideal": _ideal,
    **dict.fromkeys(PILLOW, _pillow),
}


@functools.lru_cache(maxsize=64)
def _matrix(design: Design) -> np.ndarray:
    matrix = _KERNELS[design.kernel](design)
    matrix.setflags(write=False)
    return matrix
