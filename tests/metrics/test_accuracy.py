"""Top-k against a full stable sort."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aa_jax.metrics.accuracy import in_top_k, top_k_accuracy


@hypothesis.given(st.integers(1, 8), st.integers(1, 7), st.integers(0, 2**32 - 1), st.data())
def test_agrees_with_a_stable_sort_even_with_ties(count, classes, seed, data):
    random = np.random.default_rng(seed)
    logits = random.integers(-2, 3, (count, classes)).astype(np.float32)
    labels = random.integers(0, classes, count)
    k = data.draw(st.integers(1, classes))
    best = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    expected = [label in row for label, row in zip(labels, best, strict=True)]
    np.testing.assert_array_equal(in_top_k(logits, labels, k=k), expected)


def test_known_values():
    logits = np.array([[3.0, 2, 1], [1, 2, 3], [2, 3, 1]])
    labels = np.array([0, 0, 0])
    assert top_k_accuracy(logits, labels) == pytest.approx(100 / 3)
    assert top_k_accuracy(logits, labels, k=2) == pytest.approx(200 / 3)
    assert top_k_accuracy(logits, labels, k=3) == 100


@pytest.mark.parametrize(
    ("logits", "labels", "k", "message"),
    [
        (np.zeros((2, 3)), np.array([0, 3]), 1, "labels must lie in"),
        (np.zeros((2, 3)), np.array([0, 1]), 4, "k must lie between"),
        (np.zeros((2, 3)), np.array([0.0, 1.0]), 1, "integers"),
        (np.zeros((2, 3)), np.array([0, 1, 2]), 1, "2 integers"),
        (np.zeros(3), np.array([0]), 1, "logits must be"),
    ],
)
def test_bad_input(logits, labels, k, message):
    with pytest.raises(ValueError, match=message):
        in_top_k(logits, labels, k=k)
