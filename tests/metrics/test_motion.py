"""Motions: matrices against the generator's own, comparisons on waves, sums against NumPy."""

import numpy as np
import pytest

from aa_jax.metrics.motion import (
    Rotation,
    Translation,
    rotation_transform,
    sums_of_squares,
    translation_transform,
)
from aa_jax.models.alias_free.sampling import picture_transform


def test_matrices_are_what_generators_take():
    np.testing.assert_allclose(
        translation_transform(0.25, -0.5), picture_transform(translate=(0.25, -0.5)), atol=1e-12
    )
    np.testing.assert_allclose(
        rotation_transform(np.radians(40)), picture_transform(rotate=40), atol=1e-12
    )
    moved = Translation(down=3, right=-1).transform(64)
    np.testing.assert_allclose(moved, picture_transform(translate=(-1 / 64, 3 / 64)), atol=1e-12)
    turned = Rotation(40).transform(64)
    np.testing.assert_allclose(turned, picture_transform(rotate=40), atol=1e-12)


def test_names_say_what_happens():
    assert str(Translation(1, 0.5)) == "shift (1, 0.5) px"
    assert str(Rotation(-30.0)) == "rotation -30°"


@pytest.mark.parametrize("motion", [Translation(2, -1), Translation(1.4, 0.3), Rotation(20)])
def test_the_margin_is_what_a_view_needs(motion):
    """Ones in a frame of that margin: no zero from outside reaches the view."""
    view = 24
    rows, columns = (int(np.ceil(m)) for m in motion.margin(view, view))
    frame = np.ones((1, view + 2 * rows, view + 2 * columns, 1), np.float32)
    moved = np.asarray(motion.move(frame))[0, rows : rows + view, columns : columns + view]
    np.testing.assert_allclose(moved, 1, atol=1e-4)


def test_sums_agree_with_numpy(rng):
    reference, moved = rng.standard_normal((2, 3, 8, 9, 2)).astype(np.float32) + 5
    mask = rng.uniform(size=(8, 9)) < 0.6
    sums = sums_of_squares(reference, moved, mask, deviations=True)
    difference, values = (reference - moved)[:, mask], reference[:, mask]
    np.testing.assert_allclose(sums["error"].sum(1), (difference**2).sum((1, 2)), rtol=1e-5)
    power = values.var(1).sum(1) * mask.sum()
    np.testing.assert_allclose(sums["power"].sum(1), power, rtol=1e-4)
    assert sums["count"] == mask.sum() * 2
