"""Keypoint distances against numbers worked out by hand."""

import math

import numpy as np
import pytest

from aa_jax.metrics.keypoints import (
    FORMS,
    average_keypoint_distance,
    keypoint_error,
    keypoint_errors,
    mean_euclidean_distance,
    missing_rate,
)

ORIGIN = np.zeros((2, 2, 2))
# Distances 5 and 0 in the first sample, 13 and 10 in the second.
MOVED = np.array([[[3, -4], [0, 0]], [[5, 12], [-6, 8]]], float)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("sum_of_distances", [5, 23]),
        ("mean_distance", [2.5, 11.5]),
        ("sum_of_absolutes", [7, 31]),
        ("sum_of_squares", [25, 269]),
        ("root_sum_of_squares", [5, math.sqrt(269)]),
    ],
)
def test_forms_of_the_keypoint_error(form, expected):
    np.testing.assert_allclose(keypoint_errors(ORIGIN, MOVED, form=form), expected, rtol=1e-15)
    assert keypoint_error(MOVED, ORIGIN, form=form) == pytest.approx(sum(expected) / 2, rel=1e-15)


def test_a_shift_of_one_and_a_half_source_pixels():
    """The numbers from which the facts (1.4) infer the study's formula."""
    keypoints = np.random.default_rng(0).uniform(-1, 1, (3, 10, 2)).astype(np.float32)
    shifted = keypoints.astype(np.float64) + 1.5 / 4 * 2 / 57
    got = {form: keypoint_error(keypoints, shifted, form=form) for form in FORMS}
    expected = {
        "sum_of_distances": (0.186, 5e-4),
        "mean_distance": (0.0186, 5e-5),
        "sum_of_absolutes": (0.263, 5e-4),
        "sum_of_squares": (0.0035, 5e-5),
        "root_sum_of_squares": (0.059, 5e-4),
    }
    assert set(got) == set(expected)
    for form, (value, tolerance) in expected.items():
        assert got[form] == pytest.approx(value, abs=tolerance), form
    assert keypoint_error(keypoints, shifted) == got["sum_of_distances"]


def test_average_keypoint_distance_is_of_coordinates():
    assert average_keypoint_distance(ORIGIN, MOVED) == (3 + 4 + 5 + 12 + 6 + 8) / 8
    assert mean_euclidean_distance(ORIGIN, MOVED) == (5 + 0 + 13 + 10) / 4


def test_only_landmarks_found_in_both_count():
    real = np.array([[True, False], [True, True]])
    generated = np.array([[True, True], [False, True]])
    lost = np.where(generated[..., None], MOVED, np.nan)
    found = dict(target_found=real, predicted_found=generated)
    assert average_keypoint_distance(ORIGIN, lost, **found) == (3 + 4 + 6 + 8) / 4
    assert mean_euclidean_distance(ORIGIN, lost, **found) == (5 + 10) / 2
    assert average_keypoint_distance(ORIGIN, MOVED, target_found=real) == (3 + 4 + 5 + 12 + 14) / 6
    assert missing_rate(real, generated) == pytest.approx(1 / 3)
    assert missing_rate(generated, real) == pytest.approx(1 / 3)
    assert missing_rate(real, real) == 0


def test_nothing_found_is_nan():
    nothing = np.zeros((2, 2), bool)
    assert math.isnan(average_keypoint_distance(ORIGIN, MOVED, target_found=nothing))
    assert math.isnan(mean_euclidean_distance(ORIGIN, MOVED, predicted_found=nothing))
    assert math.isnan(missing_rate(nothing, ~nothing))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="form must be one of sum_of_distances, .* got 'l2'"):
        keypoint_error(ORIGIN, MOVED, form="l2")
    with pytest.raises(ValueError, match=r"baseline must be \(N, keypoints, 2\), got .*\(2, 2\)"):
        keypoint_error(ORIGIN[0], MOVED[0])
    with pytest.raises(ValueError, match=r"other must have the shape \(2, 2, 2\) of baseline"):
        keypoint_error(ORIGIN, MOVED[:1])
    with pytest.raises(ValueError, match=r"predicted must have the shape \(2, 2, 2\) of target"):
        average_keypoint_distance(ORIGIN, MOVED[:, :1])
    with pytest.raises(ValueError, match=r"target_found must be bool \(2, 2\), got float64"):
        average_keypoint_distance(ORIGIN, MOVED, target_found=np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"predicted_found must be bool \(2, 2\), got bool \(2,\)"):
        missing_rate(np.ones((2, 2), bool), np.ones(2, bool))
