"""Fréchet distance between Gaussians fitted to features: FID, with Inception features.

Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium"
(NeurIPS 2017); Dowson and Landau, "The Fréchet distance between multivariate normal distributions"
(Journal of Multivariate Analysis 1982).
"""

import dataclasses

import numpy as np
import scipy.linalg


@dataclasses.dataclass(frozen=True)
class FrechetDistance:
    """A Fréchet distance (squared, as FID is) and its two parts.

    Attributes:
        mean_term: squared distance of the means.
        covariance_term: tr(C1 + C2 - 2 (C1 C2)^(1/2)), not below 0.
        counts: samples behind the first and the second Gaussian, None where not given. With few
            samples the distance is too large, by about a multiple of 1 / count: compare at equal
            counts only.
    """

    mean_term: float
    covariance_term: float
    counts: tuple[int, int] | None = None

    @property
    def value(self) -> float:
        """The distance: the sum of both parts."""
        return self.mean_term + self.covariance_term

    def __str__(self) -> str:
        samples = f", {self.counts[0]} and {self.counts[1]} samples" if self.counts else ""
        return (
            f"Fréchet distance {self.value:.4f} (means {self.mean_term:.4f}, covariances "
            f"{self.covariance_term:.4f}{samples})"
        )


def frechet_distance(
    mean1: np.ndarray,
    cov1: np.ndarray,
    mean2: np.ndarray,
    cov2: np.ndarray,
    *,
    counts: tuple[int, int] | None = None,
) -> FrechetDistance:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), in float64.

    The trace of the root is the sum of the singular values of C1^(1/2) C2^(1/2), taken without ever
    forming a product of covariances, whose root would turn rounding of 1e-16 into 1e-8.
    Directions whose variance cannot be told from zero (below dim * 2.2e-16 of the largest: those
    that fewer samples than dimensions leave empty) count as empty.

    Args:
        mean1: (dim,).
        cov1: (dim, dim), symmetric.
        mean2: (dim,).
        cov2: (dim, dim).
        counts: samples behind each Gaussian, to be checked and printed.

    Returns:
        The distance.

    Raises:
        ValueError: shapes that disagree, entries that are not finite, a matrix that is no
            covariance, or fewer than 2 samples.

    Example:
        >>> a, b = np.diag([1.0, 4.0]), np.diag([9.0, 4.0])
        >>> round(frechet_distance([0.0, 0.0], a, [3.0, 0.0], b).value, 9)
        13.0
    """
    mean1, cov1 = _check_gaussian("1", mean1, cov1)
    mean2, cov2 = _check_gaussian("2", mean2, cov2)
    if len(mean1) != len(mean2):
        raise ValueError(
            f"both Gaussians must have one dimension, got {len(mean1)} and {len(mean2)}"
        )
    if counts is not None:
        counts = tuple(int(count) for count in counts)
        if len(counts) != 2 or min(counts) < 2:
            raise ValueError(f"counts must be two numbers of at least 2 samples, got {counts}")
    root1, root2 = _root("cov1", cov1), _root("cov2", cov2)
    overlap = scipy.linalg.svdvals(root1.T @ root2).sum() if root1.size and root2.size else 0.0
    covariance_term = np.trace(cov1) + np.trace(cov2) - 2 * overlap
    return FrechetDistance(
        mean_term=float(np.sum((mean1 - mean2) ** 2)),
        covariance_term=max(float(covariance_term), 0.0),  # below only by rounding
        counts=counts,
    )


def _check_gaussian(which: str, mean, covariance) -> tuple[np.ndarray, np.ndarray]:
    mean, covariance = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
    if mean.ndim != 1 or not mean.size or covariance.shape != 2 * mean.shape:
        raise ValueError(
            f"mean{which} must be (dim,) and cov{which} (dim, dim), got shapes {mean.shape} and "
            f"{covariance.shape}"
        )
    for name, value in (("mean", mean), ("cov", covariance)):
        if not np.isfinite(value).all():
            raise ValueError(f"{name}{which} must be finite, got NaN or infinity in it")
    if np.abs(covariance - covariance.T).max() > 1e-5 * np.abs(covariance).max():
        raise ValueError(f"cov{which} must be symmetric, but is not")
    return mean, covariance


def _root(name: str, covariance: np.ndarray) -> np.ndarray:
    """R (dim, rank) with R R^T = covariance, up to a rotation the square root."""
    variances, directions = np.linalg.eigh((covariance + covariance.T) / 2)
    largest = np.abs(variances).max()
    # float32 statistics are negative by 1e-7 of the largest; beyond that it is no covariance.
    if variances[0] < -1e-5 * largest:
        raise ValueError(
            f"{name} must be a covariance, but has the variance {variances[0]:.3g} in one "
            f"direction and {largest:.3g} in another"
        )
    kept = variances > len(variances) * np.finfo(np.float64).eps * largest
    return directions[:, kept] * np.sqrt(variances[kept])
