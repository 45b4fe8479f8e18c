"""Motion: periodic, as strong as asked for, and invertible."""

import numpy as np
import pytest
from scipy import optimize

from aa_jax.data.trajectories import PeriodicPath, random_path, random_poses, random_sway

PHASES = np.arange(12) / 12


def poses(rng, bend=0.3):
    return random_poses(
        rng, PHASES, centre=np.array([0.2, -0.1]), matrix=np.array([[0.4, -0.2], [0.1, 0.3]]),
        travel=0.3, rotation=0.5, zoom=0.2, bend=bend,
    )  # fmt: skip


def test_a_path_is_the_sum_of_its_harmonics():
    path = PeriodicPath(np.array([[1.0, 2j], [0.5j, 0]]))
    phases = np.array([0.0, 0.1, 0.75])
    turns = 2 * np.pi * phases
    expected = [np.cos(turns) - 0.5 * np.sin(2 * turns), -2 * np.sin(turns)]
    np.testing.assert_allclose(path(phases), np.transpose(expected), atol=1e-14)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_random_path_goes_as_far_as_asked_and_comes_back(rng, dimensions):
    for _ in range(5):
        path = random_path(rng, dimensions=dimensions, amplitude=0.3)
        fine = path(np.arange(5000) / 5000)
        assert np.linalg.norm(fine, axis=1).max() == pytest.approx(0.3, rel=2e-3)
        np.testing.assert_allclose(fine.mean(0), 0, atol=1e-12)
        np.testing.assert_allclose(path([0.3]), path([1.3]), atol=1e-12)


def test_poses_place_as_their_formula_says_and_back(rng):
    moving, local = poses(rng), rng.uniform(-1, 1, (5, 2))
    places = moving.place(local)
    for time in (0, 7):
        for number, (x, y) in enumerate(local):
            bent = np.array([x + moving.bend[time] * y * y, y])
            expected = moving.centre[time] + moving.matrix[time] @ bent
            np.testing.assert_allclose(places[time, number], expected, atol=1e-14)
    np.testing.assert_allclose(moving.local(places), np.tile(local, (12, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(moving.at(7).place(local)[0], places[7], atol=1e-14)


def test_poses_keep_to_their_amplitudes(rng):
    for _ in range(5):
        moving = poses(rng)
        assert np.linalg.norm(moving.centre - [0.2, -0.1], axis=1).max() <= 0.3 + 1e-12
        turned = moving.matrix @ np.linalg.inv([[0.4, -0.2], [0.1, 0.3]])
        scale = np.sqrt(np.linalg.det(turned))
        assert np.abs(np.log(scale)).max() <= 0.2 + 1e-3
        assert np.abs(np.arctan2(turned[:, 1, 0], turned[:, 0, 0])).max() <= 0.5 + 1e-3
        assert np.abs(moving.bend).max() <= 0.3 + 1e-3


def test_largest_rate_bounds_the_slope_closely(rng):
    moving = poses(rng)
    local = rng.uniform(-1, 1, (400, 2))
    places, step = moving.place(local), 1e-6
    slopes = [(moving.local(places + e) - moving.local(places)) / step for e in step * np.eye(2)]
    rates = np.linalg.svd(np.stack(slopes, -1), compute_uv=False)[..., 0]
    assert 0.8 * moving.largest_rate(1.0) < rates.max() <= moving.largest_rate(1.0) * (1 + 1e-6)


def test_sway_is_one_function_in_both_forms(rng):
    sway = random_sway(rng, PHASES, amplitude=0.04)
    x, y = np.linspace(-1, 1, 5), np.linspace(-0.9, 1.1, 4)
    points = np.stack(np.meshgrid(x, y), -1).reshape(1, -1, 2)
    read = sway.read(np.tile(points, (12, 1, 1)))
    for time in (0, 5):
        grid = np.stack(sway.grid(time, x, y), -1).reshape(-1, 2)
        np.testing.assert_allclose(read[time], grid, atol=1e-14)
        wave = np.sin(sway.wave_numbers * points[0, 7] + sway.offsets).prod(1)
        expected = points[0, 7] + sum(
            w * s for w, s in zip(wave, sway.strengths[time], strict=True)
        )
        np.testing.assert_allclose(read[time, 7], expected, atol=1e-14)


def test_sway_bounds_and_inverse(rng):
    for _ in range(10):
        sway = random_sway(rng, PHASES, amplitude=0.04)
        points = rng.uniform(-1.2, 1.2, (12, 300, 2))
        shifts = sway.read(points) - points
        assert np.abs(shifts).max() <= sway.largest_shift
        step = 1e-6
        slopes = [(sway.read(points + e) - e - points - shifts) / step for e in step * np.eye(2)]
        steepest = np.linalg.svd(np.stack(slopes, -1), compute_uv=False).max()
        assert steepest <= sway.largest_slope < 0.6
        np.testing.assert_allclose(sway.read(sway.show(points)), points, atol=1e-9)


def test_show_finds_what_a_solver_finds(rng):
    sway = random_sway(rng, PHASES[:1], amplitude=0.04)
    place = np.array([0.3, -0.8])
    solved = optimize.root(lambda z: sway.read(z[None, None])[0, 0] - place, place, tol=1e-13)
    np.testing.assert_allclose(sway.show(place[None, None])[0, 0], solved.x, atol=1e-12)
