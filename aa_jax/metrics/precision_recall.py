"""Precision and recall of generated features: are they real-looking, are all kinds there?

Kynkäänniemi et al., "Improved precision and recall metric for assessing generative models" (NeurIPS
2019). A set of features stands for its manifold by balls around each: of radius to its third
nearest neighbour.
"""

import dataclasses
import functools

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.metrics.equivariance_result import check_counts

# Squared distances are differences of float32 sums over the dimensions. What is smaller than this
# times the squared norms may be rounding, an eighth of which was seen in 2048 to 8192 dimensions.
_ROUNDING = 2.0**-18


@dataclasses.dataclass(frozen=True)
class PrecisionRecall:
    """Shares of features inside of the other set's manifold.

    Attributes:
        precision: of generated features that lie among the real ones.
        recall: of real features that lie among the generated ones.
        counts: number of real and of generated features.
        neighbors: the neighbour that sets the radius.
    """

    precision: float
    recall: float
    counts: tuple[int, int]
    neighbors: int

    def __str__(self) -> str:
        return (
            f"precision {self.precision:.4f}, recall {self.recall:.4f} ({self.counts[0]} real and "
            f"{self.counts[1]} generated, {self.neighbors} neighbours)"
        )


def precision_recall(
    real: np.ndarray,
    fake: np.ndarray,
    *,
    neighbors: int = 3,
    block: int = 10_000,
    row_block: int = 1_000,
) -> PrecisionRecall:
    """Compares two sets of features by their k-nearest-neighbour manifolds.

    The radius of a sample is its distance to the (k + 1)-th nearest of its own set, counting
    itself, so that duplicates have radius zero from k + 1 copies on. A feature is inside where its
    distance is at most the radius. Features are rounded to float16, as published. Samples whose
    distance is below 0.3 % of their norms count as equal: float32 cannot tell.

    Distances are computed on the device, `row_block` times `block` at a time; the sets
    themselves are kept there in float16.

    Args:
        real: features (N, dim).
        fake: generated features (M, dim).
        neighbors: k; published: 3.
        block: features of the set that is searched, at a time; published: 10 000.
        row_block: features that search, at a time. Neither changes the result.

    Returns:
        The shares.

    Raises:
        ValueError: shapes that disagree, features that are not finite in float16, sets of no more
            than k, or counts out of range.
    """
    check_counts(neighbors=neighbors, block=block, row_block=row_block)
    real = _check_features("real", real, neighbors)
    fake = _check_features("fake", fake, neighbors)
    if real.shape[1] != fake.shape[1]:
        raise ValueError(
            f"real and fake must have one dimension, got {real.shape[1]} and {fake.shape[1]}"
        )
    sets = [_Blocks(features, block, row_block) for features in (real, fake)]
    radii = [_squared_radii(features, neighbors) for features in sets]
    return PrecisionRecall(
        precision=_share_inside(sets[1], sets[0], radii[0]),
        recall=_share_inside(sets[0], sets[1], radii[1]),
        counts=(len(real), len(fake)),
        neighbors=neighbors,
    )


class _Blocks:
    """A set of features on the device, in blocks to be searched and in rows that search."""

    def __init__(self, features: np.ndarray, block: int, row_block: int):
        self.count = len(features)
        block = min(block, self.count)
        padding = -self.count % block
        padded = np.pad(features, ((0, padding), (0, 0)))
        self.columns = jnp.asarray(padded.reshape(-1, block, features.shape[1]))
        self.valid = self.as_columns(np.ones(self.count, bool), padding=False)
        row_block = min(row_block, self.count)
        # The last rows overlap those before: one shape compiles once.
        starts = range(0, self.count, row_block)
        self.starts = [min(start, self.count - row_block) for start in starts]
        self.row_block = row_block

    def as_columns(self, values: np.ndarray, *, padding) -> jax.Array:
        """One value per feature (count,) in the layout of `columns`, (blocks, block)."""
        blocks, block, _ = self.columns.shape
        missing = blocks * block - self.count
        filled = np.pad(values, (0, missing), constant_values=padding)
        return jnp.asarray(filled.reshape(blocks, block))

    def over_rows(self, function) -> np.ndarray:
        """What `function(columns, start, row_block=)` gives for each feature, (count,)."""
        results = np.empty(self.count, np.float32)
        waiting = None  # the next rows are on their way before the last result is fetched
        for start in [*self.starts, None]:
            if waiting is not None:
                results[waiting[0] : waiting[0] + self.row_block] = np.asarray(waiting[1])
            if start is not None:
                waiting = start, function(self.columns, start, row_block=self.row_block)
        return results


def _squared_radii(features: _Blocks, neighbors: int) -> np.ndarray:
    """Squared distance of each feature to its (k + 1)-th nearest, itself included: (count,)."""
    search = functools.partial(
        _nearest, columns=features.columns, valid=features.valid, count=neighbors + 1
    )
    return features.over_rows(search)


def _share_inside(points: _Blocks, manifold: _Blocks, squared_radii: np.ndarray) -> float:
    """Share of `points` in any ball of the manifold."""
    radii = manifold.as_columns(squared_radii, padding=-1.0)  # nothing lies inside of the padding
    inside = points.over_rows(functools.partial(_inside, columns=manifold.columns, radii=radii))
    return float(np.mean(inside, dtype=np.float64))


@functools.partial(jax.jit, static_argnames=("row_block", "count"))
def _nearest(points, start, *, row_block: int, columns, valid, count: int) -> jax.Array:
    """The `count`-th smallest squared distance of rows of `points` to all valid columns."""
    rows = _take_rows(points, start, row_block)

    def search(smallest, block):
        block, valid = block
        distances = jnp.where(valid, _squared_distances(rows, block), jnp.inf)
        both = jnp.concatenate([smallest, distances], 1)
        return -jax.lax.top_k(-both, count)[0], None

    smallest = jnp.full((row_block, count), jnp.inf, jnp.float32)
    return jax.lax.scan(search, smallest, (columns, valid))[0][:, -1]


@functools.partial(jax.jit, static_argnames="row_block")
def _inside(points, start, *, row_block: int, columns, radii) -> jax.Array:
    """Whether rows of `points` are within the radius of any column."""
    rows = _take_rows(points, start, row_block)

    def search(inside, block):
        block, radii = block
        return inside | (_squared_distances(rows, block) <= radii).any(1), None

    return jax.lax.scan(search, jnp.zeros(row_block, bool), (columns, radii))[0]


def _take_rows(blocks: jax.Array, start: jax.Array, row_block: int) -> jax.Array:
    """Rows (row_block, dim) of the set, from `start` on."""
    flat = blocks.reshape(-1, blocks.shape[2])
    return jax.lax.dynamic_slice_in_dim(flat, start, row_block)


def _squared_distances(a: jax.Array, b: jax.Array) -> jax.Array:
    """(rows, columns) from features in float16, computed in float32; equal ones have exactly 0."""
    a, b = a.astype(jnp.float32), b.astype(jnp.float32)
    norms = jnp.sum(a * a, 1)[:, None] + jnp.sum(b * b, 1)
    products = jnp.einsum("rd,cd->rc", a, b, precision="highest")
    distances = norms - 2 * products
    return jnp.where(distances <= _ROUNDING * norms, 0, distances)


def _check_features(name: str, features, neighbors: int) -> np.ndarray:
    features = np.asarray(features)
    if features.ndim != 2 or len(features) <= neighbors or not features.shape[1]:
        raise ValueError(
            f"{name} must be features (N, dim) of more than {neighbors} samples, so that each has "
            f"that many neighbours, got shape {features.shape}"
        )
    with np.errstate(over="ignore"):
        features = features.astype(np.float16)
    if not np.isfinite(features).all():
        raise ValueError(f"{name} must be finite and below 65504 (float16), but is not everywhere")
    return features
