"""Pooled decibels against a jackknife and against repeated experiments."""

import math

import numpy as np
import pytest

from aa_jax.metrics.decibels import pooled_decibels


def draws(rng, count):
    """Correlated sums: some draws cover more pixels than others, and some are worse."""
    signal = rng.uniform(0.5, 1.5, count)
    return signal, signal * rng.gamma(4.0, 0.01, count)


def test_pools_before_the_logarithm():
    decibels, _ = pooled_decibels([1.0, 3.0], [0.01, 0.39])
    assert decibels == pytest.approx(10.0)


def test_standard_error_agrees_with_a_jackknife(rng):
    signal, error = draws(rng, 200)
    left_out = [
        10 * math.log10(np.delete(signal, i).sum() / np.delete(error, i).sum()) for i in range(200)
    ]
    jackknife = math.sqrt(199 / 200 * np.sum((left_out - np.mean(left_out)) ** 2))
    assert pooled_decibels(signal, error)[1] == pytest.approx(jackknife, rel=0.01)


def test_standard_error_is_the_spread_of_repeated_experiments(rng):
    results = np.array([pooled_decibels(*draws(rng, 60)) for _ in range(600)])
    assert results[:, 1].mean() == pytest.approx(results[:, 0].std(), rel=0.12)


def test_edges():
    assert pooled_decibels([1.0], [0.1]) == (pytest.approx(10.0), pytest.approx(math.nan, nan_ok=1))
    decibels, error = pooled_decibels([1.0, 1.0], [0.0, 0.0])
    assert decibels == math.inf and math.isnan(error)
    assert all(map(math.isnan, pooled_decibels([0.0], [1.0])))
    with pytest.raises(ValueError, match="equally many sums"):
        pooled_decibels([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="not negative and not NaN"):
        pooled_decibels([1.0], [math.nan])
