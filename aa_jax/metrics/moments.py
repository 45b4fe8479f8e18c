"""Mean and covariance of features, streamed on the device, as accurate as float64 on the host.

Accelerators and JAX without x64 have float32 only, in which a covariance of 50 000 samples keeps
five or six digits, and the square root of a small eigenvalue half as many. Two error-free
transformations keep thirteen:

* A feature is the sum of three slices of few bits and a small rest. Products of slices are
  multiples of a grid that fit into float32 also when summed over `_ROWS` rows, so a float32 matrix
  product of slices is exact, in any order (Ozaki et al., "Error-free transformations of matrix
  multiplication by using fast routines of matrix multiplication and its applications", Numerical
  Algorithms 2012). Products of the smallest parts are rounded to float32, which is 2**-51 of the
  largest product.
* Sums over batches are unevaluated pairs of float32, added by Knuth's two-sum, whose rounding error
  is known exactly and kept (Dekker, "A floating-point technique for extending the available
  precision", Numerische Mathematik 1971).
"""

from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp

# In units of its grid the first slice is at most 2**9 and each other at most 2**8. Products summed
# over 64 rows stay within 2**24, float32's last exact integer, also twice those of first and other.
_ROWS = 64
_BITS = 9
# Squares of larger features, and slices of smaller scales, leave float32's range.
_LARGEST, _SMALLEST_SCALE = 2.0**50, 2.0**-40


class Moments(NamedTuple):
    """Sums so far: a pytree for `jax.jit`, donation and checkpoints. The value is high + low.

    Attributes:
        count: int32 (), rows.
        sum_high: float32 (dim,), sum of the features.
        sum_low: float32 (dim,), what `sum_high` has lost to rounding.
        product_high: float32 (dim, dim), sum of the outer products.
        product_low: float32 (dim, dim), what `product_high` has lost.
    """

    count: jax.Array
    sum_high: jax.Array
    sum_low: jax.Array
    product_high: jax.Array
    product_low: jax.Array


class FeatureStatistics(NamedTuple):
    """Mean and covariance of a set of features, on the host.

    Attributes:
        count: number of samples.
        mean: float64 (dim,).
        covariance: float64 (dim, dim), biased: divided by `count`.
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray


def zero_moments(dim: int) -> Moments:
    """The moments of no features of `dim` numbers each: 8 dim**2 bytes, 32 MiB for 2048."""
    if not isinstance(dim, int | np.integer) or dim < 1:
        raise ValueError(f"dim must be a positive integer, got {dim!r}")
    vector, matrix = np.zeros(dim, np.float32), np.zeros((dim, dim), np.float32)
    return Moments(*map(jnp.array, (np.int32(0), vector, vector, matrix, matrix)))


def update(moments: Moments, features: jax.Array, weight: jax.Array | None = None) -> Moments:
    """Adds a batch of features. Compile it with `jax.jit`, and donate `moments`.

    The batch may be divided over devices along its rows, with `moments` on each: the sums are
    those of one device, whatever the order in which devices add.

    Args:
        moments: sums so far.
        features: (batch, dim) of float32 or a narrower float, finite and at most 2**50 in size
            (`finish` refuses others).
        weight: (batch,), 0 leaves a row out, such as the padding of a last batch (it may hold
            anything, even NaN); another value counts it once. None counts all rows.

    Returns:
        The new sums.

    Raises:
        ValueError: shapes that disagree, or float64 features, which would be rounded.

    Example:
        >>> step = jax.jit(update, donate_argnums=0)
        >>> moments = step(zero_moments(2), np.array([[1.0, 2.0], [3.0, 6.0]], np.float32))
        >>> finish(moments).covariance
        array([[1., 2.],
               [2., 4.]])
    """
    features, present = _check(moments, features, weight)
    batch, dim = features.shape
    features = jnp.where(present[:, None], features.astype(jnp.float32), 0)
    features = jnp.where(jnp.abs(features) > _LARGEST, jnp.nan, features)
    chunks = -(-batch // _ROWS)
    rows = -(-batch // chunks)
    padded = jnp.pad(features, ((0, rows * chunks - batch), (0, 0)))
    # Every chunk takes rows of every device, so that dividing a batch divides each chunk.
    padded = padded.reshape(rows, chunks, dim)

    def add_chunk(index, sums):
        chunk = jax.lax.dynamic_index_in_dim(padded, index, axis=1, keepdims=False)
        return _add_chunk(sums, chunk)

    sums = jax.lax.fori_loop(0, chunks, add_chunk, tuple(moments[1:]))
    return Moments(moments.count + present.sum(dtype=jnp.int32), *sums)


def merge(a: Moments, b: Moments) -> Moments:
    """The moments of both sets of features together, such as those of two processes."""
    if a.sum_high.shape != b.sum_high.shape:
        raise ValueError(
            "moments must be of features of one dimension to be merged, got "
            f"{a.sum_high.shape[0]} and {b.sum_high.shape[0]}"
        )
    sums = _add(*a[1:3], b.sum_high, b.sum_low)
    products = _add(*a[3:], b.product_high, b.product_low)
    return Moments(a.count + b.count, *sums, *products)


def finish(moments: Moments) -> FeatureStatistics:
    """Count, mean and biased covariance, E[x x^T] - E[x] E[x]^T, in float64 on the host.

    Raises:
        ValueError: fewer than 2 samples, or features that were not finite or above 2**50.
    """
    count = int(moments.count)
    if count < 2:
        raise ValueError(f"a covariance needs at least 2 samples, got {count}")
    high_and_low = (np.asarray(value, np.float64) for value in moments[1:])
    sum_high, sum_low, product_high, product_low = high_and_low
    mean = (sum_high + sum_low) / count
    covariance = (product_high + product_low) / count - np.outer(mean, mean)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError("features must be finite and at most 2**50 in size, but some were not")
    return FeatureStatistics(count, mean, covariance)


def _check(moments: Moments, features, weight) -> tuple[jax.Array, jax.Array]:
    """The features as an array, and which rows count."""
    shape, dtype = features.shape, features.dtype
    dim = moments.sum_high.shape[0]
    if len(shape) != 2 or shape[1] != dim or not shape[0]:
        raise ValueError(f"features must be (batch, {dim}) like the moments, got shape {shape}")
    if not jnp.issubdtype(dtype, jnp.floating) or jnp.finfo(dtype).bits > 32:
        raise ValueError(f"features must be float32 or a narrower float, got {dtype}")
    if weight is None:
        return jnp.asarray(features), jnp.ones(shape[0], bool)
    if np.shape(weight) != shape[:1]:
        raise ValueError(
            f"weight must be one number per row, ({shape[0]},), got shape {np.shape(weight)}"
        )
    return jnp.asarray(features), jnp.asarray(weight) != 0


def _add_chunk(sums: tuple[jax.Array, ...], features: jax.Array) -> tuple[jax.Array, ...]:
    """Adds sum and product of at most `_ROWS` rows (rows, dim) to four accumulators."""
    scale, inverse = _scales(jnp.abs(features).max(0))
    slices, rest = [], features * inverse  # within [-1, 1]
    for index in (1, 2, 3):
        grid = 2.0 ** (index * _BITS)
        slices.append(jnp.round(rest * grid) / grid)
        rest = rest - slices[-1]
    first, second, third = slices
    # With f, s, t the slices and r the rest, f f^T + (f s^T + s f^T) + s s^T + (f t^T + t f^T) are
    # exact. What is missing of x x^T is h + h^T, h = (s + t / 2) t^T + (f + s + t + r / 2) r^T.
    second_products = _product(first, second)
    third_products = _product(first, third)
    left = jnp.concatenate([second + third / 2, (first + (second + third)) + rest / 2])
    half = _product(left, jnp.concatenate([third, rest]))
    product_terms = (
        _product(first, first),
        second_products + second_products.T,
        _product(second, second),
        third_products + third_products.T,
        half + half.T,
    )
    sum_terms = (values.sum(0) for values in (*slices, rest))
    # Scales are powers of two and change no digit. One after the other: their product may be tiny.
    return (
        *_add(*sums[:2], *(term * scale for term in sum_terms)),
        *_add(*sums[2:], *(term * scale[:, None] * scale for term in product_terms)),
    )


def _scales(largest: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The power of two above each number, and its inverse, from the exponent's bits.

    Exponentials and logarithms of some platforms are not exact at whole numbers.
    """
    clipped = jnp.clip(largest, _SMALLEST_SCALE, _LARGEST)
    exponent = jax.lax.bitcast_convert_type(clipped, jnp.int32) & 0x7F800000
    bits = exponent + 0x00800000
    floats = (jax.lax.bitcast_convert_type(x, jnp.float32) for x in (bits, 0x7F000000 - bits))
    return tuple(floats)


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    """a^T b (dim, dim) in full float32: accelerators otherwise round the factors."""
    return jax.lax.dot_general(a, b, (((0,), (0,)), ((), ())), precision="highest")


def _add(high: jax.Array, low: jax.Array, *terms: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Adds float32 terms to the pair (high, low)."""
    for term in terms:
        high, lost = _two_sum(high, term)
        low = low + lost
    return _two_sum(high, low)


def _two_sum(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The rounded sum, and its rounding error, exactly (Knuth; any order of magnitudes).

    Fused multiply-adds do no harm: whatever is multiplied before is exact.
    """
    total = a + b
    from_b = total - a
    return total, (a - (total - from_b)) + (b - from_b)
