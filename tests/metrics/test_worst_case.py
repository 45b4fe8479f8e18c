"""Grids of shifts and the diagonal: known answers, and worst never beats mean."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aa_jax.metrics.shift import shift_grid
from aa_jax.metrics.worst_case import WorstCase, diagonal_profile, worst_case_consistency
from tests.metrics.classifiers import checkerboards, constant, reads_one_pixel, reads_the_mean


@hypothesis.given(
    st.integers(2, 6), st.integers(1, 12), st.integers(1, 4), st.integers(0, 2**32 - 1)
)
def test_worst_is_at_most_the_mean(shifts, images, classes, seed):
    random = np.random.default_rng(seed)
    result = WorstCase(
        random.integers(0, classes, (shifts, images)),
        random.integers(0, classes, images),
        np.zeros((shifts, 2)),
    )
    assert result.percent <= result.mean_percent + 1e-9
    assert result.correct_percent <= result.mean_correct_percent + 1e-9
    assert result.correct_percent <= result.percent


def test_one_pixel_reader_on_checkerboards():
    labels = np.array([0, 1, 0])
    images = checkerboards(3, 12)
    options = {"crop_size": 8, "batch_size": 2}
    grid = worst_case_consistency(reads_one_pixel, images, labels, shifts=shift_grid(2), **options)
    assert (grid.percent, grid.correct_percent, grid.mean_correct_percent) == (0, 0, 50)
    assert grid.mean_percent == pytest.approx(100 / 3)  # of (0,1), (1,0), (1,1) one agrees
    even = worst_case_consistency(
        reads_one_pixel, images, labels, shifts=shift_grid(2, step=2), **options
    )
    np.testing.assert_array_equal(even.correct, [True, False, True])
    assert even.percent == 100


def test_circular_movement_and_fractions(rng):
    images = (rng.random((5, 6, 6, 1)) > 0.5).astype(np.float32)
    labels = np.ones(5, int)
    result = worst_case_consistency(
        reads_the_mean, images, labels, shifts=shift_grid(6), movement="circular", batch_size=2
    )
    assert result.percent == 100
    # A smooth image's corner value decides: it crosses one half between the pixels only.
    wave = 0.5 - 0.1 * np.cos(np.pi * (np.arange(8) + 0.5) / 4 + np.pi / 4)
    image = np.tile(wave[None, :, None, None], (1, 1, 8, 1))
    corner = [0.5 - 0.1 * np.cos(np.pi * (x + 0.5) / 4 + np.pi / 4) > 0.5 for x in (0, 0.75, 1.5)]
    rows = worst_case_consistency(
        reads_one_pixel,
        np.concatenate([image, image[:, ::-1]], 1),
        np.zeros(1, int),
        shifts=[[0, 0], [0.75, 0], [1.5, 0]],
        crop_size=8,
    )
    np.testing.assert_array_equal(rows.predicted[:, 0], corner)


def test_diagonal_profile_of_a_known_pixel():
    ramp = np.zeros((2, 10, 10, 1), np.float32)
    ramp[:, np.arange(10), np.arange(10), 0] = np.linspace(0, 1, 10)
    profile = diagonal_profile(
        reads_one_pixel, ramp, np.array([1, 0]), crop_size=4, steps=6, batch_size=1
    )
    score = np.linspace(0, 1, 10)[:6] - 0.5
    rising = 100 / (1 + np.exp(-2 * score))
    np.testing.assert_allclose(profile.right[:, 0], rising, rtol=1e-6)
    np.testing.assert_allclose(profile.right[:, 1], 100 - rising, rtol=1e-6)
    np.testing.assert_allclose(profile.best_wrong, 100 - profile.right, rtol=1e-6)
    np.testing.assert_array_equal(profile.correct[:, 0], score > 0)
    np.testing.assert_array_equal(profile.offsets, np.arange(6))


def test_profile_with_three_classes_takes_the_best_of_the_others():
    profile = diagonal_profile(
        constant, np.zeros((1, 5, 5, 1)), np.array([0]), crop_size=4, steps=2
    )
    weights = np.exp([0.0, 1.0, 0.5])
    np.testing.assert_allclose(profile.best_wrong, 100 * weights[1] / weights.sum())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shifts": [[0, 0]]}, "at least two"),
        ({"shifts": shift_grid(2)}, "crop_size must be given"),
        ({"shifts": shift_grid(2), "movement": "roll"}, "movement"),
        ({"shifts": shift_grid(5), "crop_size": 6}, "does not lie inside"),
        ({"shifts": [[0.5, 0], [0, 0]], "movement": "circular"}, "whole pixels"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        worst_case_consistency(constant, np.zeros((2, 8, 8, 1)), np.zeros(2, int), **options)


def test_labels_of_other_classes():
    with pytest.raises(ValueError, match="labels"):
        diagonal_profile(constant, np.zeros((1, 8, 8, 1)), np.array([3]), crop_size=4, steps=2)
    with pytest.raises(ValueError, match="labels must be 2 integers"):
        worst_case_consistency(
            constant, np.zeros((2, 8, 8, 1)), np.zeros(2), shifts=shift_grid(2), crop_size=4
        )
