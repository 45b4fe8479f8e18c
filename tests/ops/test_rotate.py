"""Rotations: reference arrays, analytic pictures turned by arithmetic, quarter turns, masks."""

import jax
import numpy as np
import pytest

from aa_jax.filters.rotation import rotation_filter
from aa_jax.ops.rotate import pseudo_rotate, rotate
from tests.tolerances import relative_error

turn = jax.jit(lambda x, angle, taps, center: rotate(x, angle, taps=taps, center=center))
pseudo = jax.jit(lambda x, angle, taps: pseudo_rotate(x, angle, taps=taps))


def turned(x, angle, center=(0.0, 0.0)):
    return turn(x, angle, rotation_filter(angle, up=4), np.asarray(center, np.float32))


def waves(height, width, angle=0.0, center=(0.0, 0.0)):
    """Four smooth waves on a picture that is turned counter-clockwise about `center`."""
    y, x = (
        np.arange(size) - (size - 1) / 2 - middle
        for size, middle in zip((height, width), center, strict=True)
    )
    x, y = np.meshgrid(x, y)
    # Where content came from: on a screen y points down, so this turns the picture to the left.
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = cos * x - sin * y + center[1], sin * x + cos * y + center[0]
    frequencies = np.array([[0.07, 0.11], [-0.16, 0.05], [0.15, 0.1], [0.02, -0.17]])
    phase = frequencies[:, 0] * x[..., None] + frequencies[:, 1] * y[..., None]
    return np.sin(2 * np.pi * phase + np.arange(4)).astype(np.float32)


def test_agree_with_reference(golden):
    arrays = golden("alias_free/eq_operators.npz")
    x = np.moveaxis(arrays["x"], 1, -1)
    for i, angle in enumerate(arrays["angles"].astype(np.float32).tolist()):
        for name, (result, mask) in (
            (f"rot{i}", turned(x, angle)),
            (f"pseudo{i}", pseudo(x, angle, rotation_filter(-angle))),
        ):
            assert relative_error(result, np.moveaxis(arrays[name], 1, -1)) <= 1e-5, name
            np.testing.assert_array_equal(mask, arrays[f"{name}_mask"] == 1)


@pytest.mark.parametrize("angle", [0.35, -2.0])
def test_waves_turn(angle):
    result, mask = turned(waves(48, 48), angle)
    error = np.asarray(result) - waves(48, 48, angle)
    assert mask.sum() > 900
    # Linear interpolation between the samples of the fine grid is what limits it.
    assert np.sqrt(np.mean(error[np.asarray(mask)] ** 2)) < 0.01


def test_turns_about_a_given_point():
    center = (3.25, -2.5)
    result, mask = turned(waves(48, 48), 0.35, center)
    error = (np.asarray(result) - waves(48, 48, 0.35, center))[np.asarray(mask)]
    assert np.sqrt(np.mean(error**2)) < 0.01


def test_pictures_need_not_be_square():
    result, mask = rotate(waves(40, 56), 0.5)
    error = (np.asarray(result) - waves(40, 56, 0.5))[np.asarray(mask)]
    assert mask.shape == (40, 56) and np.sqrt(np.mean(error**2)) < 0.01


def test_quarter_turns_only_move_samples(rng):
    x = rng.standard_normal((48, 48, 4)).astype(np.float32)
    result, mask = turned(x, np.pi / 2)
    mask = np.asarray(mask)
    # The ideal filter is computed on a finite extent: some permille off.
    np.testing.assert_allclose(np.asarray(result)[mask], np.rot90(x)[mask], atol=0.03)
    # The published mask is one step of the fine grid short on two sides.
    inside = np.zeros((48, 48), bool)
    inside[6:-6, 6:-6] = True
    assert not (mask & ~inside).any() and mask.sum() >= 35 * 35


def test_a_turned_picture_agrees_with_the_reference_of_the_metric():
    """The pair that EQ-R compares for a perfect generator, with both designs of the filter."""
    angle = 0.7
    reference, outer = turned(waves(48, 48), angle)
    fine = rotation_filter(-angle, up=4)[3::4, 3::4] * 16
    for taps, bound in ((rotation_filter(-angle), 0.03), (fine, 0.01)):
        drawn, inner = pseudo(waves(48, 48, angle), angle, taps)
        error = (np.asarray(reference) - np.asarray(drawn))[np.asarray(outer & inner)]
        assert np.sqrt(np.mean(error**2)) < bound


def test_filters_are_designed_where_they_are_not_given(rng):
    x = rng.standard_normal((48, 48, 4)).astype(np.float32)
    # Across an edge of a bilinear cell rounding may go either way, but the value hardly moves.
    np.testing.assert_allclose(rotate(x, 0.3)[0], turned(x, 0.3)[0], atol=1e-4)
    filtered = pseudo(x, 0.3, rotation_filter(-0.3))[0]
    np.testing.assert_allclose(pseudo_rotate(x, 0.3)[0], filtered, atol=1e-5)


def test_bad_arguments():
    x = np.ones((16, 16, 1), np.float32)
    with pytest.raises(ValueError, match="taps must be given where angle is traced"):
        jax.eval_shape(lambda angle: rotate(x, angle), 0.5)
    with pytest.raises(ValueError, match=r"taps must have shape \(47, 47\)"):
        rotate(x, 0.5, taps=rotation_filter(0.5))
    with pytest.raises(ValueError, match=r"taps must have shape \(11, 11\)"):
        pseudo_rotate(x, 0.5, taps=rotation_filter(0.5, up=4))
    with pytest.raises(ValueError, match="x must be a floating array"):
        rotate(x.astype(np.int32), 0.5)
    with pytest.raises(ValueError, match="x must be a floating array"):
        pseudo_rotate(x[0], 0.5)
