"""Intervals against normal theory, and their coverage on a known distribution."""

import numpy as np
import pytest

from aa_jax.metrics.bootstrap import bootstrap_difference, bootstrap_interval


def test_width_is_the_normal_approximation_of_the_mean(rng):
    values = rng.normal(3, 2, 400)
    interval = bootstrap_interval(values, resamples=8000)
    half = 1.959964 * values.std() / np.sqrt(400)
    assert interval.estimate == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.06 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.06 * half)


def test_coverage_on_coin_flips(rng):
    """Of intervals at 90 %, about 90 % hold the true 80 % (300 sets of 200 flips)."""
    covered = 0
    for trial in range(300):
        flips = 100.0 * (rng.random(200) < 0.8)
        interval = bootstrap_interval(flips, confidence=0.9, resamples=300, seed=trial)
        covered += interval.low <= 80 <= interval.high
    # Four standard deviations of a binomial count with p = 0.9.
    assert abs(covered - 270) <= 4 * np.sqrt(300 * 0.9 * 0.1)


def test_runs_widen_the_interval_by_their_spread(rng):
    images = rng.normal(0, 1, 300)
    runs = np.array([-3.0, -1, 0, 1, 3])[:, None] + images
    interval = bootstrap_interval(runs, resamples=8000)
    # Crossed resampling: variance between runs (population, over S) plus that of the images.
    deviation = np.sqrt(np.var([-3, -1, 0, 1, 3]) / 5 + images.var() / 300)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * deviation, rel=0.08)


def test_identical_runs_are_one_run(rng):
    values = rng.random(50)
    alone = bootstrap_interval(values, seed=3, resamples=6000)
    thrice = bootstrap_interval(np.tile(values, (3, 1)), seed=3, resamples=6000)
    assert thrice.low == pytest.approx(alone.low, abs=0.01)
    assert thrice.high == pytest.approx(alone.high, abs=0.01)


def test_difference_cancels_what_images_have_in_common(rng):
    difficulty = rng.normal(0, 10, 200)
    baseline, better = difficulty, difficulty + 1 + rng.normal(0, 0.1, 200)
    paired = bootstrap_difference(better, baseline)
    assert paired.above_zero
    assert paired.estimate == pytest.approx(1, abs=0.05)
    assert paired.high - paired.low < 0.1
    alone = bootstrap_interval(better)
    assert alone.low < baseline.mean()  # separate intervals could not have told


def test_difference_draws_runs_of_the_two_separately():
    runs = np.array([[0.0], [1.0]]) * np.ones((2, 10))
    interval = bootstrap_difference(runs, runs)
    # The run means of two draws each differ by up to 1 either way, with equal runs drawn jointly
    # they never would.
    assert (interval.low, interval.high) == (-1, 1)


def test_all_equal_gives_width_zero():
    interval = bootstrap_interval(np.full(20, 100.0))
    assert interval.low == pytest.approx(100) and interval.high == pytest.approx(100)


def test_seeded(rng):
    values = rng.random(30)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


def test_large_sets_are_drawn_in_pieces(rng):
    values = rng.random(100_000)
    interval = bootstrap_interval(values, resamples=100)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.35)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_interval([]), "per-image values"),
        (lambda: bootstrap_interval([1.0, np.nan]), "finite"),
        (lambda: bootstrap_interval(np.zeros((2, 2, 2))), "runs, N"),
        (lambda: bootstrap_interval([1.0], confidence=95), "confidence"),
        (lambda: bootstrap_interval([1.0], resamples=0), "resamples"),
        (lambda: bootstrap_difference([1.0, 2.0], [1.0]), "same images"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
