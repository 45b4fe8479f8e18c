"""Splitting a 2-D filter into a short sum of separable ones."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class LowRank:
    """A 2-D filter as a sum of `rank` outer products.

    Hashable and compared by content, so that it can be a static argument of a compiled function.
    The arrays are float64 copies and read-only.

    Attributes:
      vertical: taps along columns, shape (rank, filter_height).
      horizontal: taps along rows, shape (rank, filter_width).
      error: largest deviation from the filter it stands for, relative to that filter's peak.
    """

    vertical: np.ndarray
    horizontal: np.ndarray
    error: float = 0.0

    def __post_init__(self):
        for name in ("vertical", "horizontal"):
            # Adding zero turns -0.0 into 0.0: equal contents then have equal bytes.
            taps = np.array(getattr(self, name), dtype=np.float64, order="C") + 0.0
            if taps.ndim != 2 or 0 in taps.shape:
                raise ValueError(
                    f"{name} must have shape (rank, taps) with both at least 1, got {taps.shape}."
                )
            if not np.isfinite(taps).all():
                raise ValueError(f"{name} must hold finite numbers, got NaN or infinity.")
            taps.setflags(write=False)
            object.__setattr__(self, name, taps)
        if len(self.vertical) != len(self.horizontal):
            raise ValueError(
                "vertical and horizontal must have the same rank (first axis), got "
                f"{len(self.vertical)} and {len(self.horizontal)}."
            )
        object.__setattr__(self, "error", float(self.error))

    def _content(self) -> tuple:
        return (
            self.vertical.shape,
            self.horizontal.shape,
            self.vertical.tobytes(),
            self.horizontal.tobytes(),
            self.error,
        )

    def __eq__(self, other) -> bool:
        if not isinstance(other, LowRank):
            return NotImplemented
        return self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    @property
    def rank(self) -> int:
        """Number of separable terms."""
        return len(self.vertical)

    @property
    def shape(self) -> tuple[int, int]:
        """(filter_height, filter_width) of the dense filter."""
        return self.vertical.shape[1], self.horizontal.shape[1]

    def dense(self) -> np.ndarray:
        """Returns the filter written out, shape (filter_height, filter_width)."""
        return self.vertical.T @ self.horizontal


def factorize(
    filter_2d: np.ndarray, *, tolerance: float = 1e-6, max_rank: int | None = None
) -> LowRank:
    """Finds the shortest sum of separable filters that is close to a 2-D filter.

    The singular value decomposition, cut at the first rank whose largest deviation from
    `filter_2d`, relative to its peak, is within `tolerance`. At any rank it is the best sum in
    the least-squares sense. A separable filter has rank 1; the 12-tap jinc filters of the
    alias-free generator need 2 to 4, against the 12 rows of the full filter.

    Args:
      filter_2d: taps, shape (filter_height, filter_width).
      tolerance: admissible error, relative to the filter's peak magnitude.
      max_rank: upper limit of the rank. It wins over `tolerance`; look at `.error` then.

    Returns:
      The factors and the error they reach.

    Raises:
      ValueError: if `filter_2d` is not a finite 2-D array, `tolerance` is negative or `max_rank`
        is below 1.
    """
    filter_2d = np.asarray(filter_2d, dtype=np.float64)
    if filter_2d.ndim != 2 or 0 in filter_2d.shape:
        raise ValueError(
            "filter_2d must be a non-empty array of shape (filter_height, filter_width), got "
            f"shape {filter_2d.shape}."
        )
    if not np.isfinite(filter_2d).all():
        raise ValueError("filter_2d must hold finite numbers, got NaN or infinity.")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must not be negative, got {tolerance!r}.")
    if max_rank is not None and max_rank < 1:
        raise ValueError(f"max_rank must be at least 1 or None, got {max_rank!r}.")
    left, values, right = np.linalg.svd(filter_2d, full_matrices=False)
    peak = np.max(np.abs(filter_2d)) or 1.0
    limit = min(len(values), max_rank or len(values))
    for rank in range(1, limit + 1):
        # The singular value is shared evenly, so that neither factor needs a wide range.
        root = np.sqrt(values[:rank])
        vertical, horizontal = (left[:, :rank] * root).T, right[:rank] * root[:, None]
        error = np.max(np.abs(vertical.T @ horizontal - filter_2d)) / peak
        if error <= tolerance:
            break
    # A singular pair's common sign is arbitrary; fix it so that equal filters compare equal.
    sign = np.where(vertical.sum(axis=1) < 0, -1.0, 1.0)[:, None]
    return LowRank(vertical * sign, horizontal * sign, error)
