"""Equivariance losses against reference arrays."""

import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.models.motion import Keypoints, equivariance_losses
from aa_jax.ops.grid_sample import identity_grid
from aa_jax.ops.thin_plate import Transform
from tests.models.motion.loading import precision

LEAVES = ("value", "jacobian")


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-4), (np.float64, 1e-6)])
def test_golden(golden, dtype, tolerance):
    archive = golden("motion_splat_face/fomm_misc.npz")
    with precision(dtype):
        driving, transformed = (
            Keypoints(*(jnp.asarray(archive[f"eq_{which}_{leaf}"], dtype) for leaf in LEAVES))
            for which in "dt"
        )
        theta = jnp.asarray(archive["tps_theta"], dtype)
        params = jnp.asarray(archive["tps_control_params"], dtype).reshape(len(theta), -1)
        control_points = identity_grid(5, 5, dtype=dtype).reshape(-1, 2)
        value, jacobian = equivariance_losses(
            driving, transformed, Transform(theta, control_points, params)
        )
    np.testing.assert_allclose(value, archive["eq_value_loss_unweighted"], rtol=tolerance)
    np.testing.assert_allclose(jacobian, archive["eq_jacobian_loss_unweighted"], rtol=tolerance)
