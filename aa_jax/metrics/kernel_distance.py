"""Kernel distance between sets of features: KID, with Inception features.

Bińkowski et al., "Demystifying MMD GANs" (ICLR 2018): the squared maximum mean discrepancy under a
cubic kernel, estimated without bias, so that unlike a Fréchet distance it does not depend on the
number of samples in the mean. It can be slightly negative.
"""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from aa_jax.metrics.equivariance_result import check_counts


@dataclasses.dataclass(frozen=True)
class KernelDistance:
    """Estimates over random subsets.

    Attributes:
        estimates: float64 (subsets,).
        subset_size: samples of either set in a subset.
        counts: number of real and of generated features the subsets were drawn from.
        seed: of the subsets.
    """

    estimates: np.ndarray
    subset_size: int
    counts: tuple[int, int]
    seed: int

    @property
    def value(self) -> float:
        """The mean over subsets. Often printed times 1000."""
        return float(self.estimates.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean, over subsets; NaN for a single one.

        Subsets share samples, so that this is the error of having drawn subsets, and only for sets
        much larger than all subsets together that of having drawn the samples.
        """
        subsets = len(self.estimates)
        return float(self.estimates.std(ddof=1) / math.sqrt(subsets)) if subsets > 1 else math.nan

    def __str__(self) -> str:
        return (
            f"kernel distance {1000 * self.value:.4f} ± {1000 * self.standard_error:.4f} (× 10⁻³; "
            f"{len(self.estimates)} subsets of {self.subset_size}, {self.counts[0]} real and "
            f"{self.counts[1]} generated, seed {self.seed})"
        )


def draw_subsets(
    counts: tuple[int, int], *, subsets: int, subset_size: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields indices (subset_size,) into the real and into the generated features.

    Within a subset none is drawn twice. A longer list begins with the shorter one of the same seed.
    """
    random = np.random.default_rng(seed)
    for _ in range(subsets):
        yield tuple(random.choice(count, subset_size, replace=False) for count in counts)


def kernel_distance(
    real: np.ndarray,
    fake: np.ndarray,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> KernelDistance:
    """Unbiased squared MMD under the kernel (x . y / dim + 1)^3, averaged over random subsets.

    In float64 on the host: the result is a small difference of averages that are large.

    Args:
        real: features (N, dim).
        fake: generated features (M, dim).
        subsets: how many; published: 100.
        subset_size: samples of either set in a subset; lowered to N or M where it is larger;
            published: 1000.
        seed: of the subsets.

    Returns:
        The distance.

    Raises:
        ValueError: shapes that disagree, features that are not finite, a set of fewer than 2, or
            counts out of range.
    """
    check_counts(subsets=subsets, subset_size=subset_size)
    real, fake = _check_features("real", real), _check_features("fake", fake)
    if real.shape[1] != fake.shape[1]:
        raise ValueError(
            f"real and fake must have one dimension, got {real.shape[1]} and {fake.shape[1]}"
        )
    counts = len(real), len(fake)
    size = min(*counts, subset_size)
    if size < 2:
        raise ValueError(f"subset_size must be at least 2 for an unbiased estimate, got {size}")
    drawn = draw_subsets(counts, subsets=subsets, subset_size=size, seed=seed)
    estimates = [
        _squared_discrepancy(real[rows].astype(np.float64), fake[columns].astype(np.float64))
        for rows, columns in drawn
    ]
    return KernelDistance(np.array(estimates), size, counts, seed)


def _check_features(name: str, features) -> np.ndarray:
    features = np.asarray(features)
    if features.ndim != 2 or len(features) < 2 or not features.shape[1]:
        raise ValueError(
            f"{name} must be features (N, dim) of at least 2 samples, got shape {features.shape}"
        )
    # One number decides: a sum is finite only if every term is. Row by row, it cannot overflow.
    if not np.isfinite(features.mean(1, dtype=np.float64)).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity in it")
    return features


def _squared_discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    """(mean of k(x, x') over pairs) + (mean of k(y, y')) - 2 (mean of k(x, y)), for equal sizes."""
    size, dim = x.shape

    def kernel(a, b):
        base = a @ b.T / dim + 1
        return base * base * base  # NumPy's power is ten times slower

    def pairs(a):  # a sample is no pair with itself
        values = kernel(a, a)
        return (values.sum() - np.trace(values)) / (size * (size - 1))

    return float(pairs(x) + pairs(y) - 2 * kernel(x, y).mean())
