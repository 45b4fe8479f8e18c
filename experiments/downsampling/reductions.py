"""The ways to reduce an image that are compared, and where each puts its samples."""

import dataclasses
import functools
from collections.abc import Callable, Iterable

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.filters import downsampling_sigma
from aa_jax.ops.downsample import METHODS, average_pool, downsample
from aa_jax.ops.resample import upfirdn2d

FACTOR = 4
# Half a small pixel less half a pixel: how far from the baseline's the centres of blocks are.
SHIFT = (FACTOR - 1) / 2
# Of the baseline's Gaussian, and how many pixels to a side it reaches.
SIGMA = downsampling_sigma(1 / FACTOR)
RADIUS = round(4 * SIGMA)


@dataclasses.dataclass(frozen=True)
class Reduction:
    """One way to reduce images by `FACTOR`.

    Attributes:
      method: its name.
      phase: "native", where the method puts its samples by itself, or "aligned", where the
        baseline has them.
      apply: images (N, size, size, C) -> (N, size / 4, size / 4, C).
      offset: small pixel i shows the place FACTOR * i + offset, in pixels of the image.
    """

    method: str
    phase: str
    apply: Callable[[jax.Array], jax.Array]
    offset: float

    @property
    def key(self) -> str:
        """One word for files: "area/native"."""
        return f"{self.method}/{self.phase}"


def reductions(methods: Iterable[str] = METHODS) -> list[Reduction]:
    """Lists every method in its native phase, and aligned where that is another.

    Args:
      methods: of `aa_jax.ops.downsample.METHODS`.
    """
    found = []
    for method in methods:
        native = Reduction(method, "native", *_located(method, "native"))
        found.append(native)
        if native.offset:
            found.append(Reduction(method, "aligned", *_located(method, "aligned")))
    return found


def _located(method: str, phase: str) -> tuple[Callable, float]:
    apply = functools.partial(downsample, factor=FACTOR, method=method, phase=phase)
    return apply, sampling_offset(apply)


def sampling_offset(apply: Callable[[jax.Array], jax.Array], size: int = 64) -> float:
    """Measures where samples are: any symmetric filter leaves a ramp as it is.

    Args:
      apply: see `Reduction`.
      size: of the ramp; its borders must not reach its middle.

    Returns:
      See `Reduction`, a multiple of half a pixel.

    Raises:
      ValueError: the samples lie elsewhere.
    """
    middle = size // FACTOR // 2
    # Zero where the sample belongs, so that the filter's gain there doesn't matter.
    ramp = (np.arange(size, dtype=np.float32) - FACTOR * middle) / size
    right, down = np.broadcast_to(ramp, (size, size)), np.broadcast_to(ramp[:, None], (size, size))
    # Both axes at once: one that is treated differently is found out.
    reduced = apply(jnp.stack([right, down, right], -1)[None])
    found = np.asarray(reduced[0, middle, middle, :2], np.float64) * size
    offset = round(2 * found.mean()) / 2
    if np.abs(found - offset).max() > 0.05:
        raise ValueError(
            "a reduction must put its samples on pixels or half way between them, on both axes "
            f"alike; got {found.round(3).tolist()} pixels to the right and down."
        )
    return offset


def shifted_baseline(shift: float = SHIFT) -> Reduction:
    """The baseline's own Gaussian, read `shift` pixels further right and down: no other change.

    Args:
      shift: in pixels, 0 to 3.
    """
    least, most = int(np.ceil(shift - RADIUS - 0.5)), int(np.floor(shift + RADIUS + 0.5))
    places = np.arange(least, most + 1)
    taps = np.exp(-((places - shift) ** 2) / (2 * SIGMA**2))
    taps /= taps.sum()

    @jax.jit
    def apply(images):
        after = most - (FACTOR - 1)
        padding = (-least, after, -least, after)
        return upfirdn2d(images, taps, down=FACTOR, padding=padding, flip_filter=True)

    return Reduction("shifted baseline", "shifted", apply, shift)


def mean_of_four() -> Reduction:
    """The mean of the first 2 x 2 pixels of every block: half a pixel beside the baseline.

    An even window cannot be centred where the baseline reads. The publication does not say which
    one its average pooling has.
    """
    apply = functools.partial(average_pool, factor=FACTOR, size=2, padding=0)
    return Reduction("mean of 2 x 2", "shifted", apply, 0.5)
