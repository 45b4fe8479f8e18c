"""Streamed moments against float64 NumPy, integers, and one device against eight."""

import fractions

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from aa_jax.metrics import moments as module
from aa_jax.metrics.moments import finish, merge, update, zero_moments

STEP = jax.jit(update)


def inception_like(count: int, dim: int, seed: int = 0) -> np.ndarray:
    """Correlated, not negative, many zeros; columns and rows of very different size."""
    random = np.random.default_rng(seed)
    mixed = random.standard_normal((count, dim)) @ random.standard_normal((dim, dim)) / dim**0.5
    squared = np.maximum(mixed + random.standard_normal(dim) / 2, 0) ** 2
    sizes = np.exp(3 * random.standard_normal(dim)) * random.uniform(0, 2, (count, 1))
    return (squared * sizes).astype(np.float32)


def stream(features: np.ndarray, batch: int, place=jnp.asarray):
    """Moments of batches of one size; the last one is padded with NaN of weight zero."""
    moments = zero_moments(features.shape[1])
    for start in range(0, len(features), batch):
        rows = features[start : start + batch]
        missing = batch - len(rows)
        padded = np.pad(rows, ((0, missing), (0, 0)), constant_values=np.nan)
        weight = np.pad(np.ones(len(rows), np.float32), (0, missing))
        moments = STEP(moments, place(padded), place(weight))
    return moments


def errors(actual, features: np.ndarray) -> tuple[float, float]:
    """Largest error of the mean, and of the covariance in units of both deviations."""
    x = features.astype(np.float64)
    mean, covariance = x.mean(0), np.cov(x.T, bias=True)
    deviation = np.sqrt(np.diag(covariance))
    assert deviation.min() > 0 and actual.count == len(features)
    of_covariance = np.abs(actual.covariance - covariance) / np.outer(deviation, deviation)
    return (np.abs(actual.mean - mean) / deviation).max(), of_covariance.max()


@pytest.mark.parametrize(("count", "batch"), [(3000, 64), (1000, 100), (700, 7)])
def test_as_accurate_as_float64(count, batch):
    features = inception_like(count, 24)
    statistics = finish(stream(features, batch))
    assert statistics.mean.dtype == statistics.covariance.dtype == np.float64
    assert max(errors(statistics, features)) < 1e-12
    # The same sums in float32 are nowhere near.
    raw = features.T @ features / np.float32(count) - np.outer(features.mean(0), features.mean(0))
    assert errors(statistics._replace(covariance=raw), features)[1] > 1e-8


def test_as_many_features_as_inception_has():
    features = inception_like(256, 2048, seed=1)
    features = features[:, features.std(0) > 0]
    assert features.shape[1] > 1900
    assert max(errors(finish(stream(features, 128)), features)) < 1e-12


def test_whole_numbers_are_exact():
    """Numbers of 18 bits fit into two slices, and the sums into two floats."""
    random = np.random.default_rng(2)
    numbers = random.integers(-(2**17), 2**17, (500, 9))
    numbers[:, 3] //= 1000
    numbers[:, 4] = 0
    moments = stream(numbers.astype(np.float32), 50)
    high_and_low = [np.asarray(value, np.float64) for value in moments[1:]]
    np.testing.assert_array_equal(high_and_low[0] + high_and_low[1], numbers.sum(0))
    np.testing.assert_array_equal(high_and_low[2] + high_and_low[3], numbers.T @ numbers)


def test_two_sum_survives_the_compiler():
    random = np.random.default_rng(3)
    a, b = random.standard_normal((2, 3000)) * 2.0 ** random.integers(-30, 30, (2, 3000))
    a, b = a.astype(np.float32), b.astype(np.float32)
    total, lost = map(np.asarray, jax.jit(module._two_sum)(a, b))
    np.testing.assert_array_equal(total, a + b)
    for values in zip(a, b, total, lost, strict=True):
        first, second, high, low = (fractions.Fraction(float(value)) for value in values)
        assert high + low == first + second
    assert np.count_nonzero(lost) > 1000


def test_eight_devices_add_up_to_one():
    assert jax.device_count() == 8
    mesh = jax.make_mesh((8,), ("data",), (jax.sharding.AxisType.Auto,))
    features = inception_like(900, 16, seed=4)
    divided = stream(
        features, 128, lambda x: jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    )
    assert len(divided.product_high.sharding.device_set) == 8
    assert divided.product_high.sharding.is_fully_replicated
    one, eight = finish(stream(features, 128)), finish(divided)
    assert eight.count == one.count == 900
    np.testing.assert_allclose(eight.mean, one.mean, rtol=1e-13)
    scale = np.sqrt(np.diag(one.covariance))
    difference = np.abs(eight.covariance - one.covariance) / np.outer(scale, scale)
    assert difference.max() < 1e-13
    assert max(errors(eight, features)) < 1e-12


def test_merged_parts_are_the_whole():
    features = inception_like(640, 16, seed=5)
    merged = finish(jax.jit(merge)(stream(features[:200], 128), stream(features[200:], 128)))
    assert max(errors(merged, features)) < 1e-12
    with pytest.raises(ValueError, match="one dimension to be merged, got 2 and 3"):
        merge(zero_moments(2), zero_moments(3))


def test_narrow_floats_are_taken_as_they_are():
    features = inception_like(64, 16).astype(jnp.bfloat16)
    assert max(errors(finish(update(zero_moments(16), features)), features)) < 1e-12


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2.0**51])
def test_features_out_of_range_are_refused(bad):
    features = inception_like(10, 16)
    features[4, 2] = bad
    with pytest.raises(ValueError, match="finite and at most"):
        finish(stream(features, 16))


def test_bad_arguments():
    moments = zero_moments(3)
    with pytest.raises(ValueError, match="dim must be a positive integer"):
        zero_moments(0)
    with pytest.raises(ValueError, match=r"\(batch, 3\) like the moments, got shape \(4, 2\)"):
        update(moments, np.zeros((4, 2), np.float32))
    with pytest.raises(ValueError, match="narrower float, got float64"):
        update(moments, np.zeros((4, 3)))
    with pytest.raises(ValueError, match="narrower float, got int32"):
        update(moments, np.zeros((4, 3), np.int32))
    with pytest.raises(ValueError, match=r"one number per row, \(4,\), got shape \(3,\)"):
        update(moments, np.zeros((4, 3), np.float32), np.ones(3))
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        finish(STEP(moments, np.zeros((1, 3), np.float32)))
