"""Inception scores of distributions whose score is known."""

import numpy as np
import pytest

from aa_jax.metrics.inception_score import inception_score


def test_one_clear_class_each_gives_the_number_of_classes():
    clear = np.tile(np.eye(7), (20, 1))
    result = inception_score(clear, splits=10)
    assert result.value == pytest.approx(7) and result.std == pytest.approx(0, abs=1e-12)
    assert inception_score(np.full((20, 5), 0.2)).value == pytest.approx(1)
    assert inception_score(np.tile([1.0, 0.0], (10, 1))).value == 1


def test_binary_answers_have_a_closed_form():
    """Half the samples at (p, 1 - p), half the other way round: log 2 minus the entropy of p."""
    p = 0.9
    values = np.tile([[p, 1 - p], [1 - p, p]], (10, 1))
    entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
    assert inception_score(values, splits=2).value == pytest.approx(2 * np.exp(-entropy))


def test_equals_a_loop_over_uneven_splits(rng):
    logits = 3 * rng.standard_normal((23, 6)).astype(np.float32)
    result = inception_score(logits, kind="logits", splits=4)
    expected = []
    for start, stop in ((0, 5), (5, 11), (11, 17), (17, 23)):
        p = np.exp(logits[start:stop].astype(np.float64))
        p /= p.sum(1, keepdims=True)
        marginal = sum(p) / len(p)
        divergences = [sum(a * np.log(a / b) for a, b in zip(row, marginal)) for row in p]  # noqa: B905
        expected.append(np.exp(np.mean(divergences)))
    np.testing.assert_allclose(result.scores, expected, rtol=1e-12)
    assert result.value == pytest.approx(np.mean(expected))
    assert result.std == pytest.approx(np.sqrt(np.mean((expected - np.mean(expected)) ** 2)))


def test_large_logits_do_not_overflow():
    logits = 5000.0 * np.tile(np.eye(4), (5, 1))
    assert inception_score(logits, kind="logits", splits=5).value == pytest.approx(4)


def test_prints():
    text = "Inception score 1.0000 ± 0.0000 (20 samples in 10 splits)"
    assert str(inception_score(np.full((20, 2), 0.5))) == text


def test_bad_arguments():
    good = np.full((20, 4), 0.25)
    with pytest.raises(ValueError, match=r"at least 10 samples.* got shape \(9, 4\)"):
        inception_score(good[:9])
    with pytest.raises(ValueError, match="kind must be 'probabilities' or 'logits', got 'p'"):
        inception_score(good, kind="p")
    with pytest.raises(ValueError, match="pass kind='logits' for logits"):
        inception_score(good * 2)
    with pytest.raises(ValueError, match="finite"):
        inception_score(good * np.nan)
    with pytest.raises(ValueError, match="splits must be a positive integer"):
        inception_score(good, splits=0)
