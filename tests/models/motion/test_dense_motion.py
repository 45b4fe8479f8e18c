"""Motions near keypoints, against their definition."""

import numpy as np
import pytest

from aa_jax.models.motion import Keypoints, gaussian_heatmaps, sparse_motions
from aa_jax.models.motion.keypoints import inverse_2x2, product_2x2, soft_argmax


@pytest.fixture
def pair(rng):
    """Keypoints of a source and a driving frame, Jacobians near the identity."""

    def draw():
        jacobian = np.eye(2) + 0.2 * rng.standard_normal((2, 3, 2, 2))
        return Keypoints(
            rng.uniform(-0.8, 0.8, (2, 3, 2)).astype(np.float32), jacobian.astype(np.float32)
        )

    return draw(), draw()


def test_motions_are_affine_around_the_keypoints(pair):
    source, driving = pair
    flows = np.asarray(sparse_motions(source, driving, (5, 7)))
    x, y = np.meshgrid(np.linspace(-1, 1, 7), np.linspace(-1, 1, 5))
    grid = np.stack([x, y], -1)
    np.testing.assert_allclose(flows[:, 0], np.broadcast_to(grid, (2, 5, 7, 2)), atol=1e-6)
    for n in range(2):
        for k in range(3):
            matrix = source.jacobian[n, k] @ np.linalg.inv(driving.jacobian[n, k])
            expected = (grid - driving.value[n, k]) @ matrix.T + source.value[n, k]
            np.testing.assert_allclose(flows[n, k + 1], expected, atol=2e-5)


def test_without_jacobians_motions_are_shifts(pair):
    source, driving = (Keypoints(points.value) for points in pair)
    flows = np.asarray(sparse_motions(source, driving, (4, 4)))
    shifts = flows[:, 1:] - flows[:, :1]
    expected = (source.value - driving.value)[:, :, None, None]
    np.testing.assert_allclose(shifts, np.broadcast_to(expected, shifts.shape), atol=1e-6)


def test_small_matrices(rng):
    first, second = rng.standard_normal((2, 4, 2, 2)) + 2 * np.eye(2)
    np.testing.assert_allclose(product_2x2(first, second), first @ second, rtol=1e-5)
    np.testing.assert_allclose(inverse_2x2(first), np.linalg.inv(first), rtol=1e-4)


@pytest.mark.parametrize("size, variance", [(64, 0.01), (64, 0.05)])
def test_heatmaps_are_those_of_the_reference(golden, size, variance):
    archive = golden("motion_splat_face/fomm_misc.npz")
    points = archive["kp_value"].astype(np.float32)
    maps = gaussian_heatmaps(points, (size, size), variance=variance)
    expected = archive[f"kp2gaussian_{size}_var{variance}"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(maps, expected, atol=1e-5)


def test_soft_argmax_is_a_mean_position():
    heatmap = np.zeros((1, 3, 5, 1), np.float32)
    heatmap[0, 2, 4] = heatmap[0, 2, 2] = 0.5
    np.testing.assert_allclose(soft_argmax(heatmap)[0, 0], [0.5, 1], atol=1e-6)
