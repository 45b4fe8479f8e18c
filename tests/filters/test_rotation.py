"""The band limit of a rotation: reference arrays, its pass band, its symmetries."""

import math

import numpy as np
import pytest

from aa_jax.filters.rotation import rotation_filter


def test_agrees_with_reference(golden):
    arrays = golden("alias_free/eq_operators.npz")
    for i, angle in enumerate(arrays["angles"].astype(np.float32).tolist()):
        for name, taps in (
            ("rot", rotation_filter(angle, up=4)),
            ("pseudo", rotation_filter(-angle)),
        ):
            expected = arrays[f"filter_{name}{i}"]
            assert np.abs(taps - expected).max() <= 3e-7 * np.abs(expected).max(), (name, i)


@pytest.mark.parametrize("degrees", [20, 45, 130])
def test_passes_what_both_grids_hold(degrees):
    angle = math.radians(degrees)
    directions = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    fx, fy = 0.3 * np.cos(directions), 0.3 * np.sin(directions)
    fine = rotation_filter(angle, up=4)
    np.testing.assert_allclose(_response(fine, fx / 4, fy / 4), 1, atol=0.01)
    np.testing.assert_allclose(_response(fine[3::4, 3::4] * 16, fx, fy), 1, atol=0.01)
    # The direct design on the coarse grid has its pass band too, but not as flat.
    np.testing.assert_allclose(_response(rotation_filter(angle), fx / 3, fy / 3), 1, atol=0.003)


def test_stops_what_the_turned_grid_lacks():
    corner = np.array([0.48])
    fine = rotation_filter(math.pi / 4, up=4)
    assert abs(_response(fine, corner / 4, corner / 4)[0]) < 0.03
    assert abs(_response(rotation_filter(math.pi / 4), corner, corner)[0]) < 0.03


def _response(taps, fx, fy):
    """Direct sum over taps; they are centred, so the response is real."""
    offsets = np.arange(len(taps)) - len(taps) // 2
    phase = fx[:, None, None] * offsets + fy[:, None, None] * offsets[:, None]
    return (taps * np.cos(2 * np.pi * phase)).sum((1, 2))


def test_symmetries():
    taps = rotation_filter(0.7, up=4)
    np.testing.assert_allclose(taps, taps[::-1, ::-1], atol=1e-15)
    np.testing.assert_allclose(rotation_filter(0.7), rotation_filter(0.7 - np.pi / 2), atol=1e-12)
    np.testing.assert_allclose(rotation_filter(0.7), rotation_filter(-0.7)[:, ::-1], atol=1e-12)
    with pytest.raises(ValueError, match="read-only"):
        taps[0, 0] = 1


def test_constants_pass_every_phase():
    taps = np.pad(rotation_filter(1.1, up=4), (0, 1))
    for row in range(4):
        for column in range(4):
            assert taps[row::4, column::4].sum() == pytest.approx(1 / 16, abs=1e-12)


def test_no_rotation_changes_nothing():
    identity = np.zeros((11, 11))
    identity[5, 5] = 1
    np.testing.assert_allclose(rotation_filter(0.0), identity, atol=1e-12)


def test_bad_arguments():
    with pytest.raises(ValueError, match="angle must be a finite"):
        rotation_filter(math.nan)
    with pytest.raises(ValueError, match="up must be at least 1"):
        rotation_filter(0.1, up=0)
