"""Walks are closed, smooth and pass their keyframes; sweeps move the picture where they say."""

import numpy as np
import pytest
from scipy.interpolate import make_interp_spline

from experiments.generate.films import sweep_transforms, walk_latents


def moved(transform, point):
    """Where the movement behind a transform takes a point: transforms are inverses."""
    return (np.linalg.inv(transform) @ (*point, 1))[:2]


@pytest.mark.parametrize("count", [2, 3, 4, 9])
def test_a_walk_passes_its_keyframes_and_closes(count, rng):
    keyframes = rng.normal(size=(count, 2, 3)).astype(np.float32)
    path = walk_latents(keyframes)
    np.testing.assert_array_equal(path(np.arange(count)), keyframes)
    times = rng.uniform(0, count, 20)
    around = path(times + count)
    assert around.dtype == np.float32 and around.shape == (20, 2, 3)
    np.testing.assert_allclose(around, path(times), atol=1e-5)


def test_a_walk_is_smooth_where_it_closes(rng):
    """A cubic spline's second derivative is continuous, so third differences vanish as h^3."""
    keyframes = rng.normal(size=(5, 4))
    path = walk_latents(keyframes)
    step = 1e-3
    around = path(np.arange(-10, 10) * step)
    within = path(1.5 + np.arange(-10, 10) * step)
    for order in (1, 2):
        bound = 10 * np.abs(np.diff(within, order, axis=0)).max() + 10 * step**order
        assert np.abs(np.diff(around, order, axis=0)).max() <= bound
    assert np.abs(np.diff(around, 3, axis=0)).max() <= 200 * step**3


def test_a_walk_is_the_limit_of_the_published_interpolation(rng):
    """Keyframes laid end to end many times, interpolated by a spline that isn't periodic."""
    keyframes = rng.normal(size=(6, 3))
    copies = 7
    published = make_interp_spline(np.arange(6 * copies), np.tile(keyframes, (copies, 1)), k=3)
    times = np.linspace(0, 6, 101)
    np.testing.assert_allclose(walk_latents(keyframes)(times), published(times + 18), atol=1e-8)


def test_a_walk_around_a_circle_is_round():
    angles = 2 * np.pi * np.arange(16) / 16
    path = walk_latents(np.stack([np.cos(angles), np.sin(angles)], 1))
    np.testing.assert_allclose(np.hypot(*path(np.linspace(0, 16, 200)).T), 1, atol=1e-3)


def test_a_walk_needs_two_keyframes():
    with pytest.raises(ValueError, match="keyframes must be at least two, got 1"):
        walk_latents(np.zeros((1, 3)))


def test_a_translation_swings_there_and_back():
    transforms = sweep_transforms(8, translate=(0.5, -0.25))
    np.testing.assert_array_equal(transforms[0], np.eye(3))
    np.testing.assert_allclose(moved(transforms[4], (0.1, 0.2)), (0.6, -0.05), atol=1e-12)
    np.testing.assert_allclose(transforms[1:], transforms[:0:-1], atol=1e-12)
    ways = [moved(transform, (0, 0))[0] for transform in transforms[:5]]
    assert np.all(np.diff(ways) > 0)


def test_whole_turns_go_round_at_constant_speed():
    transforms = sweep_transforms(4, rotate=360)
    # Counter-clockwise on the screen, where y points down: right goes up, up goes left.
    places = [moved(transform, (1, 0)) for transform in transforms]
    np.testing.assert_allclose(places, [(1, 0), (0, -1), (-1, 0), (0, 1)], atol=1e-12)


def test_parts_of_a_turn_swing():
    transforms = sweep_transforms(4, rotate=90)
    places = [moved(transform, (1, 0)) for transform in transforms]
    half = np.sqrt(0.5)
    np.testing.assert_allclose(places, [(1, 0), (half, -half), (0, -1), (half, -half)], atol=1e-12)


def test_a_strip_goes_one_way_in_equal_steps():
    transforms = sweep_transforms(5, translate=(0.4, 0), rotate=180, there_and_back=False)
    np.testing.assert_array_equal(transforms[0], np.eye(3))
    origins = [moved(transform, (0, 0))[0] for transform in transforms]
    np.testing.assert_allclose(origins, [0, 0.1, 0.2, 0.3, 0.4], atol=1e-12)
    np.testing.assert_allclose(moved(transforms[4], (1, 0)), (-0.6, 0), atol=1e-12)


def test_sweeps_that_are_none():
    with pytest.raises(ValueError, match="frames must be at least 1, got 0"):
        sweep_transforms(0, rotate=90)
    with pytest.raises(ValueError, match="frames must be at least 2, got 1"):
        sweep_transforms(1, rotate=90, there_and_back=False)
    for rotate in (np.nan, np.inf):
        with pytest.raises(ValueError, match="rotate must be finite"):
            sweep_transforms(4, rotate=rotate)
    with pytest.raises(ValueError, match="translate must be finite"):
        sweep_transforms(4, translate=(np.inf, 0))
