"""The Fréchet distance against closed forms, its definition, and the features themselves."""

import numpy as np
import pytest
import scipy.linalg

from aa_jax.metrics.frechet import frechet_distance
from aa_jax.metrics.moments import finish, update, zero_moments


def statistics(features):
    return features.mean(0), np.cov(features.T, bias=True)


def by_definition(mean1, cov1, mean2, cov2) -> float:
    root = np.trace(scipy.linalg.sqrtm(cov1 @ cov2)).real
    return np.sum((mean1 - mean2) ** 2) + np.trace(cov1 + cov2) - 2 * root


def from_features(x, y) -> float:
    """No covariance is formed: tr (C1 C2)^(1/2) is the nuclear norm of X Y^T / sqrt(n m)."""
    means = x.mean(0) - y.mean(0)
    x, y = ((z - z.mean(0)) / len(z) ** 0.5 for z in (x, y))
    return means @ means + np.sum(x**2) + np.sum(y**2) - 2 * np.linalg.norm(x @ y.T, "nuc")


def draw(seed, count, dim, gain=1.0):
    random = np.random.default_rng(seed)
    mix = np.random.default_rng(99).standard_normal((dim, dim)) * np.exp(-6 * np.arange(dim) / dim)
    return np.maximum(gain * random.standard_normal((count, dim)) @ mix + gain, 0)


def test_equals_the_definition():
    x, y = draw(1, 300, 48), draw(2, 250, 48, gain=1.1)
    pair = *statistics(x), *statistics(y)
    actual = frechet_distance(*pair).value
    assert actual == pytest.approx(by_definition(*pair), rel=1e-9)
    assert actual == pytest.approx(from_features(x, y), rel=1e-11)
    assert frechet_distance(*pair[2:], *pair[:2]).value == pytest.approx(actual, rel=1e-12)


@pytest.mark.parametrize(("first", "second"), [(30, 40), (30, 300), (300, 20), (2, 2)])
def test_fewer_samples_than_dimensions(first, second):
    """The root of a product turns rounding into 1e-8; here it stays rounding."""
    x, y = draw(3, first, 64), draw(4, second, 64, gain=1.1)
    exact = from_features(x, y)
    pair = *statistics(x), *statistics(y)
    assert frechet_distance(*pair).value == pytest.approx(exact, rel=1e-12)
    if first == 30:
        assert by_definition(*pair) == pytest.approx(exact, rel=1e-6)


def test_streamed_statistics_give_the_same():
    x, y = (draw(s, 100, 32, gain).astype(np.float32) for s, gain in ((5, 1.0), (6, 1.2)))
    first, second = (finish(update(zero_moments(32), features)) for features in (x, y))
    result = frechet_distance(*first[1:], *second[1:], counts=(first.count, second.count))
    exact = from_features(x.astype(np.float64), y.astype(np.float64))
    assert result.value == pytest.approx(exact, rel=1e-10)


def test_covariances_of_common_axes_have_a_closed_form(rng):
    axes = np.linalg.qr(rng.standard_normal((20, 20)))[0]
    first, second = rng.uniform(size=(2, 20)) ** 4
    first[:7] = 0
    second[5:12] = 0
    result = frechet_distance(
        np.full(20, 2.0), axes * first @ axes.T, np.full(20, 2.5), axes * second @ axes.T
    )
    assert result.mean_term == 5
    expected = np.sum((first**0.5 - second**0.5) ** 2)
    assert result.covariance_term == pytest.approx(expected, rel=1e-12)


def test_equal_and_constant_sets():
    mean, covariance = statistics(draw(7, 500, 32))
    assert frechet_distance(mean, covariance, mean, covariance).value < 1e-12 * np.trace(covariance)
    zero = np.zeros((32, 32))
    assert frechet_distance(mean, zero, mean, covariance).value == np.trace(covariance)
    assert frechet_distance(mean, zero, mean, zero).value == 0


def test_prints():
    result = frechet_distance([0.0], [[1.0]], [2.0], [[4.0]], counts=(10, 20))
    text = "Fréchet distance 5.0000 (means 4.0000, covariances 1.0000, 10 and 20 samples)"
    assert str(result) == text


def test_bad_arguments():
    mean, covariance = np.zeros(2), np.eye(2)
    good = mean, covariance, mean, covariance
    for index, bad, message in (
        (1, np.eye(3), r"mean1 must be \(dim,\) and cov1 \(dim, dim\), got shapes"),
        (2, np.zeros((1, 2)), "mean2"),
        (0, np.array([0, np.nan]), "mean1 must be finite"),
        (3, np.full((2, 2), np.inf), "cov2 must be finite"),
        (3, np.array([[1.0, 2.0], [0.0, 1.0]]), "cov2 must be symmetric"),
        (1, np.diag([1.0, -0.5]), "cov1 must be a covariance, but has the variance -0.5"),
    ):
        arguments = list(good)
        arguments[index] = bad
        with pytest.raises(ValueError, match=message):
            frechet_distance(*arguments)
    with pytest.raises(ValueError, match="one dimension, got 2 and 1"):
        frechet_distance(*good[:2], np.zeros(1), np.eye(1))
    with pytest.raises(ValueError, match=r"at least 2 samples, got \(5, 1\)"):
        frechet_distance(*good, counts=(5, 1))
