"""Relative motion against reference arrays, and the choice of a driving frame."""

import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.models.motion import Keypoints, best_frame, hull_scale, relative_motion
from tests.models.motion.loading import precision

LEAVES = ("value", "jacobian")


@pytest.mark.parametrize("jacobians", ["relative", "absolute"])
@pytest.mark.parametrize("adapt", [0, 1])
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_golden(golden, adapt, jacobians, dtype, tolerance):
    archive = golden("motion_splat_face/fomm_misc.npz")
    with precision(dtype):
        source, driving, initial = (
            Keypoints(*(jnp.asarray(archive[f"anim_{which}_{leaf}"], dtype) for leaf in LEAVES))
            for which in ("src", "drv", "init")
        )
        scale = hull_scale(source, initial) if adapt else 1.0
        moved = relative_motion(source, driving, initial, scale=scale, jacobians=jacobians)
        prefix = f"anim_rel_adapt{adapt}_reljac{int(jacobians == 'relative')}_"
        np.testing.assert_allclose(moved.value, archive[prefix + "value"], atol=tolerance)
        np.testing.assert_allclose(moved.jacobian, archive[prefix + "jacobian"], atol=tolerance)


def test_without_jacobians_positions_move_all_the_same(rng):
    source, driving, initial = (
        Keypoints(rng.normal(size=(1, 3, 2)), rng.normal(size=(1, 3, 2, 2))) for _ in range(3)
    )
    moved = relative_motion(*(Keypoints(k.value) for k in (source, driving, initial)))
    assert moved.jacobian is None
    np.testing.assert_array_equal(moved.value, relative_motion(source, driving, initial).value)


def test_best_frame_ignores_place_and_size(rng):
    shape, others = rng.normal(size=(68, 2)), rng.normal(size=(5, 68, 2))
    driving = np.concatenate([others[:3], [3.5 * shape + [10, -4]], others[3:]])
    assert best_frame(shape, driving) == 3


@pytest.mark.parametrize(
    "source, driving, message",
    [
        (np.zeros((4, 2)), np.zeros((3, 5, 2)), "shapes"),
        (np.zeros((4, 2)), np.zeros((0, 4, 2)), "at least one frame"),
        (np.zeros((4, 2)), np.zeros((3, 4, 2)), "no hull"),
        (np.full((4, 2), np.nan), np.zeros((3, 4, 2)), "no hull"),
    ],
)
def test_unusable_landmarks_are_refused(source, driving, message):
    with pytest.raises(ValueError, match=message):
        best_frame(source, driving)
