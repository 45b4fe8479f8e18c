"""Inception score: are pictures each of a clear class, and classes many?

Salimans et al., "Improved techniques for training GANs" (NeurIPS 2016).
"""

import dataclasses

import numpy as np
import scipy.special

from aa_jax.metrics.equivariance_result import check_counts


@dataclasses.dataclass(frozen=True)
class InceptionScore:
    """Scores of equal parts of the samples.

    Attributes:
        scores: float64 (splits,), each between 1 and the number of classes.
        count: number of samples.
    """

    scores: np.ndarray
    count: int

    @property
    def value(self) -> float:
        """The mean over splits."""
        return float(self.scores.mean())

    @property
    def std(self) -> float:
        """The (biased) standard deviation over splits, published beside the mean."""
        return float(self.scores.std())

    def __str__(self) -> str:
        return (
            f"Inception score {self.value:.4f} ± {self.std:.4f} ({self.count} samples in "
            f"{len(self.scores)} splits)"
        )


def inception_score(
    values: np.ndarray, *, kind: str = "probabilities", splits: int = 10
) -> InceptionScore:
    """exp(mean KL divergence of p(class | picture) from p(class)), per split.

    Published scores leave the bias of the network's last layer out: `values` must come so. Splits
    are consecutive samples, so these must be in random order. In float64 on the host.

    Args:
        values: (N, classes).
        kind: "probabilities", or "logits", which a softmax makes into them.
        splits: number of parts, each of which is scored against its own p(class); published: 10.

    Returns:
        The scores.

    Raises:
        ValueError: a wrong shape, an unknown kind, fewer samples than splits, or rows that are no
            probabilities.
    """
    check_counts(splits=splits)
    values = np.asarray(values).astype(np.float64)
    if values.ndim != 2 or not values.shape[1] or len(values) < splits:
        raise ValueError(
            f"values must be (N, classes) of at least {splits} samples, one per split, got shape "
            f"{values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError("values must be finite, got NaN or infinity in them")
    if kind == "logits":
        values = scipy.special.softmax(values, axis=1)
    elif kind != "probabilities":
        raise ValueError(f"kind must be 'probabilities' or 'logits', got {kind!r}")
    sums = values.sum(1)
    if values.min() < 0 or np.abs(sums - 1).max() > 1e-3:
        raise ValueError(
            "values must be probabilities, not negative and of sum 1 in each row, got a smallest "
            f"of {values.min():.3g} and sums from {sums.min():.4g} to {sums.max():.4g}; pass "
            "kind='logits' for logits"
        )
    edges = np.arange(splits + 1) * len(values) // splits
    parts = (values[start:stop] for start, stop in zip(edges, edges[1:], strict=False))
    return InceptionScore(np.array([_score(part) for part in parts]), len(values))


def _score(probabilities: np.ndarray) -> float:
    """exp of the mean over samples of sum p log(p / q), q the mean of p; 0 log 0 is 0."""
    divergence = scipy.special.rel_entr(probabilities, probabilities.mean(0)).sum(1)
    return float(np.exp(divergence.mean()))
