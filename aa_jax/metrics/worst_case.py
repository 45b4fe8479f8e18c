"""Every shift of a grid, and every step along the diagonal, instead of random pairs."""

import dataclasses

import numpy as np

from aa_jax.metrics.accuracy import check_labels
from aa_jax.metrics.agreement import agreement
from aa_jax.metrics.consistency import predict_moved
from aa_jax.metrics.prediction import Predict, batch_slices, predict_each
from aa_jax.metrics.shift import check_images, circular_shift, crop

MOVEMENTS = ("crop", "circular")


@dataclasses.dataclass(frozen=True)
class WorstCase:
    """Answers under every shift of a grid.

    Attributes:
        predicted: int (shifts, N).
        labels: int (N,).
        shifts: (shifts, 2), (row, column) in pixels; the first is the reference.
    """

    predicted: np.ndarray
    labels: np.ndarray
    shifts: np.ndarray

    @property
    def consistent(self) -> np.ndarray:
        """bool (N,): the same class under every shift."""
        return agreement(self.predicted)

    @property
    def correct(self) -> np.ndarray:
        """bool (N,): the right class under every shift."""
        return (self.predicted == self.labels).all(0)

    @property
    def percent(self) -> float:
        """Worst-case consistency: images with one class under every shift."""
        return 100 * float(self.consistent.mean())

    @property
    def correct_percent(self) -> float:
        """Worst-case accuracy (AFC's adversarial accuracy): right under every shift."""
        return 100 * float(self.correct.mean())

    @property
    def mean_percent(self) -> float:
        """Mean over the other shifts of the agreement with the first; at least `percent`."""
        return 100 * float((self.predicted[1:] == self.predicted[0]).mean())

    @property
    def mean_correct_percent(self) -> float:
        """Accuracy averaged over all shifts; at least `correct_percent`."""
        return 100 * float((self.predicted == self.labels).mean())


def worst_case_consistency(
    predict: Predict,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    shifts: np.ndarray,
    crop_size: int | None = None,
    movement: str = "crop",
    batch_size: int = 64,
) -> WorstCase:
    """Tries every shift of a grid on every image.

    The adversarial protocol of AFC (Michaeli et al., CVPR 2023): an image counts only if the
    answer is right (or, for consistency, the same) under all shifts.

    Args:
        predict: images (batch_size, h, w, C) -> logits.
        images: (N, H, W, C).
        labels: integers (N,).
        shifts: (shifts, 2): crop positions, fractions allowed (see `aa_jax.metrics.shift.crop`),
            or whole circular shifts; at least two. `aa_jax.metrics.shift.shift_grid` makes
            grids.
        crop_size: side of the crops; needed for movement "crop", unused for "circular".
        movement: "crop" or "circular".
        batch_size: rows per call.

    Returns:
        The answers.

    Raises:
        ValueError: unknown movement, a missing crop size, shifts that do not fit, labels that do
            not match.
    """
    images = check_images(images)
    labels = check_labels(labels, len(images))
    shifts = np.asarray(shifts)
    if shifts.ndim != 2 or shifts.shape[1] != 2 or len(shifts) < 2:
        raise ValueError(
            f"shifts must be at least two (row, column) pairs (K, 2), got shape {shifts.shape}"
        )
    if movement not in MOVEMENTS:
        raise ValueError(f"movement must be one of {', '.join(MOVEMENTS)}, got {movement!r}")
    if movement == "crop" and crop_size is None:
        raise ValueError("crop_size must be given with movement='crop', got None")
    move = circular_shift if movement == "circular" else lambda x, at: crop(x, at, crop_size)
    repeated = np.broadcast_to(shifts, (len(batch_slices(len(images), batch_size)), *shifts.shape))
    predicted = predict_moved(predict, images, repeated, move, batch_size=batch_size)
    return WorstCase(predicted, labels, shifts)


@dataclasses.dataclass(frozen=True)
class DiagonalProfile:
    """How one class's probability moves while the crop walks along the diagonal.

    Attributes:
        offsets: (steps,) position of the crop, both row and column, in pixels.
        right: (steps, N) probability of the right class, in percent.
        best_wrong: (steps, N) largest probability of another class, in percent.
        predicted: int (steps, N).
        correct: bool (steps, N).
    """

    offsets: np.ndarray
    right: np.ndarray
    best_wrong: np.ndarray
    predicted: np.ndarray
    correct: np.ndarray


def diagonal_profile(
    predict: Predict,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    crop_size: int,
    steps: int = 33,
    batch_size: int = 64,
) -> DiagonalProfile:
    """Classifies the crops at (0, 0), (1, 1), ... of every image (Zhang, ICML 2019).

    Args:
        predict: images (batch_size, crop_size, crop_size, C) -> logits of at least two classes.
        images: (N, H, W, C), H and W at least crop_size + steps - 1.
        labels: integers (N,), classes of `predict`.
        crop_size: side of the crops in pixels.
        steps: how many crops, one pixel apart.
        batch_size: rows per call.

    Returns:
        Probabilities (softmax of the logits, in float64) and answers per step.

    Raises:
        ValueError: crops that do not fit, labels that do not match.
    """
    images = check_images(images)
    labels = check_labels(labels, len(images))
    crops = (
        crop(images[rows], (step, step), crop_size)
        for step in range(steps)
        for rows in batch_slices(len(images), batch_size)
    )
    logits = np.concatenate(list(predict_each(predict, crops, batch_size=batch_size)))
    logits = logits.reshape(steps, len(images), -1).astype(np.float64)
    if logits.shape[-1] < 2 or labels.min() < 0 or labels.max() >= logits.shape[-1]:
        raise ValueError(
            f"labels must be among at least two classes, got {labels.min()} to {labels.max()} "
            f"for logits of {logits.shape[-1]} classes"
        )
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    percent = 100 * exponentials / exponentials.sum(-1, keepdims=True)
    is_right = np.arange(logits.shape[-1]) == labels[:, None]
    predicted = logits.argmax(-1)
    return DiagonalProfile(
        offsets=np.arange(steps),
        right=percent[:, is_right],
        best_wrong=np.where(is_right, -np.inf, percent).max(-1),
        predicted=predicted,
        correct=predicted == labels,
    )
