"""Equivariance of keypoints under a known transformation (Siarohin et al., NeurIPS 2019, 3.4)."""

from jax import Array, numpy as jnp

from aa_jax.models.motion.keypoints import Keypoints, inverse_2x2, product_2x2
from aa_jax.ops.thin_plate import Transform


def equivariance_losses(
    driving: Keypoints, transformed: Keypoints, transform: Transform
) -> tuple[Array, Array | None]:
    """How far keypoints are from moving with the frame.

    The transformed frame shows at z what the driving frame has at T(z). So a keypoint p there
    should be at T(p) here, and the Jacobians should differ by T's own.

    Args:
      driving: keypoints of frames.
      transformed: keypoints of the same frames read through `transform`.
      transform: one transformation per frame.

    Returns:
      Mean absolute difference of positions, and of the Jacobians' quotient from the identity
      (None without Jacobians); the published loss weighs both with 10.
    """
    value = jnp.mean(jnp.abs(driving.value - transform.points(transformed.value)))
    if driving.jacobian is None:
        return value, None
    moved = product_2x2(transform.jacobian(transformed.value), transformed.jacobian)
    quotient = product_2x2(inverse_2x2(driving.jacobian), moved)
    identity = jnp.eye(2, dtype=quotient.dtype)
    return value, jnp.mean(jnp.abs(identity - quotient))
