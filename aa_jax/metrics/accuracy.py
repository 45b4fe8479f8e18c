"""Top-k accuracy."""

import numpy as np


def check_labels(labels: np.ndarray, count: int) -> np.ndarray:
    """Returns integer labels (count,), or raises ValueError."""
    labels = np.asarray(labels)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be {count} integers, one per image, got shape {labels.shape} and dtype "
            f"{labels.dtype}"
        )
    return labels


def in_top_k(logits: np.ndarray, labels: np.ndarray, *, k: int = 1) -> np.ndarray:
    """Whether the right class is among the k largest logits.

    Equal logits count in class order, so k = 1 is exactly "arg-max equals label".

    Args:
        logits: (N, classes).
        labels: integers (N,).
        k: between 1 and the number of classes.

    Returns:
        bool (N,).

    Raises:
        ValueError: shapes disagree, a label is no class, or k is out of range.
    """
    logits = np.asarray(logits)
    if logits.ndim != 2 or 0 in logits.shape:
        raise ValueError(f"logits must be (N, classes), got shape {logits.shape}")
    classes = logits.shape[1]
    labels = check_labels(labels, len(logits))
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"labels must lie in [0, {classes}) for logits of {classes} classes, got "
            f"{labels.min()} to {labels.max()}"
        )
    if not 1 <= k <= classes:
        raise ValueError(f"k must lie between 1 and the {classes} classes, got {k!r}")
    right = logits[np.arange(len(logits)), labels][:, None]
    earlier = np.arange(classes) < labels[:, None]
    ahead = (logits > right) | ((logits == right) & earlier)
    return ahead.sum(1) < k


def top_k_accuracy(logits: np.ndarray, labels: np.ndarray, *, k: int = 1) -> float:
    """Percentage of samples whose right class is among the k largest logits; see `in_top_k`."""
    return 100 * float(in_top_k(logits, labels, k=k).mean())
