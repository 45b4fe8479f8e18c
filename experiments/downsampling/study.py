"""Measures every reduction on every image: keypoints, aliasing, what can be restored."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.metrics.keypoints import keypoint_errors
from aa_jax.ops.image_quality import peak_signal_to_noise
from experiments.downsampling import measures
from experiments.downsampling.detector import Detector
from experiments.downsampling.reductions import FACTOR, Reduction

# A keypoint that moves by more small pixels than these was found at another place of the image.
JUMP = 4.0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one reduction does, over all images. Keypoints are compared with the baseline's.

    Attributes:
      method, phase, offset: see `Reduction`.
      error: mean over images of E, `metrics.keypoints.keypoint_errors`.
      error_standard_error: of that mean.
      error_median: median over images of E.
      distance: mean over images and keypoints of the distance, in small pixels.
      jumps: share of keypoints that moved by more than `JUMP` small pixels.
      residual: mean over images of E after the image's common shift, the median of its keypoints',
        is taken away; `residual_standard_error`, `residual_median` likewise. (The median, since
        one keypoint that jumps would spread over all in a mean.)
      shift: (x, y), median over images of the common shift, in pixels of the large image.
      aliased: mean share of the energy that comes from beyond Nyquist, `measures.aliased_share`.
      psnr: mean over images, in dB, of what Lanczos restores, without a border.
    """

    method: str
    phase: str
    offset: float
    error: float
    error_standard_error: float
    error_median: float
    distance: float
    jumps: float
    residual: float
    residual_standard_error: float
    residual_median: float
    shift: tuple[float, float]
    aliased: float
    psnr: float

    @property
    def key(self) -> str:
        return f"{self.method}/{self.phase}"


@dataclasses.dataclass(frozen=True)
class Measured:
    """Of one reduction, an entry for every image: keypoints (N, K, 2), the others (N,)."""

    keypoints: np.ndarray
    aliased: np.ndarray
    psnr: np.ndarray


def measure(
    images: np.ndarray,
    reductions: Sequence[Reduction],
    detect: Callable[[jax.Array], jax.Array],
    *,
    batch_size: int = 10,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Measured]:
    """Reduces every image in every way, and measures what comes out.

    Args:
      images: float32 (N, size, size, 3) in [0, 1].
      reductions: ways, with different keys.
      detect: small images (n, ...) -> keypoints (n, K, 2).
      batch_size: images at once.
      progress: gets a line after every batch.

    Returns:
      What was measured, by `Reduction.key`.

    Raises:
      ValueError: the detector's keypoints have another shape, or aren't finite.
    """
    parts: dict[str, list] = {reduction.key: [] for reduction in reductions}
    for done, batch in _batches(images, batch_size):
        # The last batch is filled up, so that nothing compiles twice.
        padded = jnp.asarray(batch[np.arange(batch_size) % len(batch)])
        low = measures.low_passed(padded, FACTOR)
        for reduction in reductions:
            measured = _measure_batch(padded, low, reduction, detect)
            parts[reduction.key].append([np.asarray(m)[: len(batch)] for m in measured])
        progress(f"{done} of {len(images)} images")
    return {
        key: Measured(*(np.concatenate(column) for column in zip(*rows, strict=True)))
        for key, rows in parts.items()
    }


def _measure_batch(images, low, reduction: Reduction, detect):
    small = reduction.apply(images)
    keypoints = np.asarray(detect(small))
    if keypoints.ndim != 3 or keypoints.shape[::2] != (len(images), 2):
        raise ValueError(
            f"detect must return keypoints ({len(images)}, K, 2), got shape {keypoints.shape}."
        )
    if not np.isfinite(keypoints).all():
        raise ValueError(f"detect must return finite keypoints, got others after {reduction.key}.")
    aliased = measures.aliased_share(small, reduction.apply(low), FACTOR)
    made = measures.restored(small, FACTOR, reduction.offset)
    psnr = peak_signal_to_noise(*map(measures.without_border, (made, images)))
    return keypoints, aliased, psnr


def _batches(images: np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(images), size):
        part = images[start : start + size]
        yield start + len(part), part


def outcome(
    reduction: Reduction, measured: Measured, baseline: np.ndarray, detector: Detector
) -> Outcome:
    """Sums up one reduction.

    Args:
      reduction: which.
      measured: of it.
      baseline: (N, K, 2), keypoints of the baseline on the same images.
      detector: gives the units.
    """
    moved = np.asarray(measured.keypoints, np.float64) - baseline
    common = np.median(moved, axis=1)
    errors = keypoint_errors(baseline, measured.keypoints)
    residuals = keypoint_errors(baseline + common[:, None], measured.keypoints)
    distances = np.linalg.norm(moved, axis=-1) / detector.pixel
    shift = np.median(common, axis=0) / detector.pixel * FACTOR
    return Outcome(
        reduction.method,
        reduction.phase,
        reduction.offset,
        float(errors.mean()),
        _standard_error(errors),
        float(np.median(errors)),
        float(distances.mean()),
        float(np.mean(distances > JUMP)),
        float(residuals.mean()),
        _standard_error(residuals),
        float(np.median(residuals)),
        (float(shift[0]), float(shift[1])),
        float(measured.aliased.mean()),
        float(measured.psnr.mean()),
    )


def shift_error(detector: Detector, keypoints: int, shift: float) -> float:
    """E if every keypoint moves with its image by `shift` pixels along both axes."""
    return keypoints * np.hypot(shift, shift) / FACTOR * detector.pixel


def _standard_error(values: np.ndarray) -> float:
    if len(values) < 2:
        return float("nan")
    return float(values.std(ddof=1) / np.sqrt(len(values)))
