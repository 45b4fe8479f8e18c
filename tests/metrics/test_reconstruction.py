"""Reconstruction errors against numbers worked out by hand."""

import numpy as np
import pytest

from aa_jax.metrics.reconstruction import (
    average_euclidean_distance,
    mean_feature_distance,
    reconstruction_l1,
)


def film(*levels):
    """One frame per level, each flat."""
    return np.ones((len(levels), 2, 3, 3)) * np.reshape(levels, (-1, 1, 1, 1))


def test_every_frame_counts_the_same():
    target = [film(0.0, 0.5), film(1.0)]
    predicted = [film(0.25, 0.5), film(0.5)]
    assert reconstruction_l1(target, predicted) == (0.25 + 0 + 0.5) / 3
    assert reconstruction_l1(iter(target), (f for f in predicted)) == 0.25


def test_errors_do_not_cancel_and_bytes_are_scaled():
    signs = film(0.5) + 0.1 * np.resize([1, -1], (1, 2, 3, 3))
    assert reconstruction_l1([film(0.5)], [signs]) == pytest.approx(0.1)
    bright, dark = np.full((1, 2, 2, 3), 250, np.uint8), np.full((1, 2, 2, 3), 5, np.uint8)
    assert reconstruction_l1([dark], [bright]) == pytest.approx(245 / 255, rel=1e-6)
    mixed = reconstruction_l1([dark], [np.full((1, 2, 2, 3), 0.5, np.float32)])
    assert mixed == pytest.approx(0.5 - 5 / 255, rel=1e-6)


def test_feature_distances():
    target = np.array([[0.0, 0, 0], [1, 1, 1]])
    predicted = np.array([[1.0, 2, 2], [1, 1, 0]])
    assert average_euclidean_distance(target, predicted) == (9 + 1) / 2
    assert mean_feature_distance(target, predicted) == (3 + 1) / 2


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="got only 1 of predicted"):
        reconstruction_l1([film(0.0), film(0.0)], [film(0.0)])
    with pytest.raises(ValueError, match="got only 0 of target"):
        reconstruction_l1([], [film(0.0)])
    with pytest.raises(ValueError, match="at least one film"):
        reconstruction_l1([], [])
    with pytest.raises(ValueError, match=r"predicted\[1\] must have the shape"):
        reconstruction_l1([film(0.0), film(0.0)], [film(0.0), film(0.0, 0.0)])
    with pytest.raises(ValueError, match=r"target\[0\] must be \(T, H, W, C\)"):
        reconstruction_l1(film(0.0), film(0.0))
    with pytest.raises(ValueError, match="floats in .* or uint8, got int64"):
        reconstruction_l1([film(0.0).astype(int)], [film(0.0)])
    with pytest.raises(ValueError, match="target must be features"):
        average_euclidean_distance(np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError, match=r"predicted must have the shape \(2, 3\)"):
        mean_feature_distance(np.zeros((2, 3)), np.zeros((2, 4)))
