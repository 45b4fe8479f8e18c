"""Agreement of recorded logits against the reference arrays."""

import numpy as np
import pytest

from aa_jax.metrics.agreement import Consistency, agreement, correct_agreement

FILE = "anti_aliased/consistency_classification.npz"


def _recorded(data, views):
    predicted = data[f"r{views}_logits"].argmax(-1)
    batches = data[f"r{views}_batch_sizes"]
    shifts = np.zeros((len(predicted), len(batches), views, 2), np.int64)
    return Consistency(predicted, shifts, batches)


@pytest.mark.parametrize("views", [2, 3])
def test_reproduces_the_reference(golden, views):
    data = golden(FILE)
    result = _recorded(data, views)
    np.testing.assert_allclose(result.batch_percent, data[f"r{views}_batch_agree_pct"], rtol=1e-14)
    np.testing.assert_allclose(result.percent, data[f"r{views}_consistency_pct"], rtol=1e-13)


def test_correct_only_reproduces_the_reference(golden):
    data = golden(FILE)
    result = _recorded(data, 2)
    np.testing.assert_allclose(
        result.correct_percent(data["r2_target"]), data["r2_consistency_correct_pct"], rtol=1e-13
    )


def test_all_views_must_equal_the_first():
    predicted = np.array([[1, 1, 1, 1], [1, 2, 1, 1], [1, 1, 1, 0]])
    np.testing.assert_array_equal(agreement(predicted), [True, False, True, False])


def test_weighted_by_batch_size():
    # Two batches of 4 and 1: 4 of 4 and 0 of 1 agree; an unweighted mean would give 50.
    predicted = np.array([[[0, 0, 0, 0, 0], [0, 0, 0, 0, 1]]])
    result = Consistency(predicted, np.zeros((1, 2, 2, 2)), np.array([4, 1]))
    assert result.percent == pytest.approx(80)
    np.testing.assert_array_equal(result.per_image, [100, 100, 100, 100, 0])


def test_correct_only_counts_a_batch_nobody_gets_right_as_zero():
    predicted = np.array([[[0, 0, 2, 2], [0, 1, 2, 2]]])
    labels = np.array([0, 0, 1, 1])
    # First batch: both samples have a right view, one agrees; second batch: none is ever right.
    assert correct_agreement(predicted, labels, np.array([2, 2])) == pytest.approx(25)


def test_one_view_is_an_error():
    with pytest.raises(ValueError, match="at least two views"):
        agreement(np.zeros((1, 5), int))


def test_labels_must_match():
    with pytest.raises(ValueError, match="labels must be 4 integers"):
        correct_agreement(np.zeros((1, 2, 4), int), np.zeros(3, int), np.array([4]))
