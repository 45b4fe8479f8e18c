"""Random smooth deformations: an affine map plus thin-plate splines.

A keypoint detector is equivariant when it finds the same places in a picture and in its deformed
copy. The deformations of Siarohin et al., NeurIPS 2019 (First Order Motion Model), section 3.1,
with the published details: distances are sums of absolute differences, and both coordinates move
by the same amount.
"""

import dataclasses

import jax
from jax import numpy as jnp

from aa_jax.ops.grid_sample import Border, Corners, check_images, grid_sample, identity_grid
from aa_jax.ops.warp_affine import map_points

_EPSILON = 1e-6  # keeps the logarithm finite at a control point


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Transform:
    """One deformation for each image of a batch, of coordinates (x, y) in [-1, 1].

    It maps z to theta (z, 1) + sum_k p_k r_k^2 log(r_k + 1e-6) (1, 1), where r_k is the sum of the
    absolute differences of z and the control point k.

    Attributes:
      theta: (N, 2, 3), the affine part.
      control_points: (P, 2); P is 0 for an affine map.
      control_params: (N, P), the p_k.
    """

    theta: jax.Array
    control_points: jax.Array
    control_params: jax.Array

    def points(self, points: jax.Array) -> jax.Array:
        """Maps points (N, M, 2)."""
        _check_points(points, self.theta)
        _, radius = self._distances(points)
        bend = radius**2 * jnp.log(radius + _EPSILON)
        moved = jnp.sum(self.control_params[:, None] * bend, -1, keepdims=True)
        return map_points(self.theta, points) + moved

    def jacobian(self, points: jax.Array) -> jax.Array:
        """Derivatives of the map at points (N, M, 2): (N, M, 2, 2), mapped by given coordinate."""
        _check_points(points, self.theta)
        away, radius = self._distances(points)
        slope = 2 * radius * jnp.log(radius + _EPSILON) + radius**2 / (radius + _EPSILON)
        steep = self.control_params[:, None, :, None] * slope[..., None] * jnp.sign(away)
        # The same amount for both coordinates, hence the same row twice.
        return self.theta[:, None, :, :2] + jnp.sum(steep, 2)[:, :, None]

    def frames(
        self, images: jax.Array, *, corners: Corners = "aligned", border: Border = "reflect"
    ) -> jax.Array:
        """Deforms images: the result at z shows what `images` show at the place z is mapped to.

        Args:
          images: (N, H, W, C), floating.
          corners: how the places are read, see `aa_jax.ops.grid_sample`. The pixels of the result
            lie on the aligned grid in any case, as published: with "half_pixel" the identity zooms
            in by one pixel in all.
          border: what lies outside.

        Returns:
          (N, H, W, C). Differentiable to any order.
        """
        images = jnp.asarray(images)
        check_images(images)
        batch, height, width = images.shape[:3]
        if batch != len(self.theta):
            raise ValueError(f"images must be {len(self.theta)}, one a transform, got {batch}.")
        grid = identity_grid(height, width, dtype=self.theta.dtype).reshape(1, -1, 2)
        grid = self.points(jnp.broadcast_to(grid, (batch, *grid.shape[1:])))
        grid = grid.reshape(batch, height, width, 2)
        return grid_sample(images, grid, corners=corners, border=border)

    def _distances(self, points):
        """From every control point: differences (N, M, P, 2) and their sums (N, M, P)."""
        away = points[:, :, None] - self.control_points
        return away, jnp.sum(jnp.abs(away), -1)


def random_transform(
    key: jax.Array,
    batch: int,
    *,
    sigma_affine: float,
    sigma_tps: float | None = None,
    points: int = 5,
    dtype=jnp.float32,
) -> Transform:
    """Draws a deformation for each image of a batch.

    Args:
      key: of `jax.random`.
      batch: how many.
      sigma_affine: standard deviation of what is added to each of the six entries of the identity.
        Published: 0.05.
      sigma_tps: standard deviation of the splines' parameters, or None for affine maps. Published:
        0.005.
      points: control points along each axis, on the aligned grid.
      dtype: float32 or float64.

    Raises:
      ValueError: for a deviation that is negative, or numbers below 1.
    """
    for name, sigma in (("sigma_affine", sigma_affine), ("sigma_tps", sigma_tps)):
        if sigma is not None and not sigma >= 0:
            raise ValueError(f"{name} must not be negative, got {sigma}.")
    for name, number in (("batch", batch), ("points", points)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}.")
    affine_key, spline_key = jax.random.split(key)
    noise = sigma_affine * jax.random.normal(affine_key, (batch, 2, 3), dtype)
    control = identity_grid(points, points, dtype=dtype).reshape(-1, 2)
    if sigma_tps is None:
        control = control[:0]
        sigma_tps = 0.0
    params = sigma_tps * jax.random.normal(spline_key, (batch, len(control)), dtype)
    return Transform(jnp.eye(2, 3, dtype=dtype) + noise, control, params)


def _check_points(points, theta) -> None:
    if points.ndim != 3 or points.shape[-1] != 2 or len(points) != len(theta):
        raise ValueError(
            f"points must have shape (N, M, 2) with N = {len(theta)} transforms, got "
            f"{points.shape}."
        )
