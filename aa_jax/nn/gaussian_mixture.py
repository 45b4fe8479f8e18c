"""An image as a mixture of Gaussians whose places, shapes and values are learned."""

import jax
from flax import nnx
from jax import numpy as jnp

from aa_jax.ops.splat import Rendering, interpolate, splat

# Pixels: a narrower Gaussian falls between the pixels it is fitted to.
_LEAST_WIDTH = 0.2


class GaussianMixture(nnx.Module):
    """N Gaussians with learnable positions, covariances and values.

    A covariance is L L^T + w^2 I with a lower triangular L, whose diagonal is kept positive by an
    exponential, and a least width w; so any parameters make a valid one.

    Attributes:
      points: (N, 2), x and y in pixels.
      log_scales: (N, 2), logarithms of L's diagonal.
      shear: (N,), L's other element.
      values: (N, channels).
    """

    def __init__(
        self,
        points,
        values,
        width=1.0,
        *,
        normalize: bool = True,
        support: float = 4.0,
        window: str = "smooth",
        least_width: float = _LEAST_WIDTH,
        capacity: int | None = None,
        dtype=jnp.float32,
    ):
        """Begins with given samples.

        Args:
          points: (N, 2), x and y in pixels.
          values: (N, channels).
          width: standard deviation in pixels, a number, (N,) or (N, 2) along x and y; at least
            `least_width`.
          normalize: True for the expected value (`interpolate`), False for the sum (`splat`).
          support: standard deviations after which a Gaussian ends.
          window: how it ends; "smooth" makes the image a continuous function of the parameters.
          least_width: added in quadrature to every width, in pixels.
          capacity: as of `interpolate`.
          dtype: of the parameters.

        Raises:
          ValueError: `points`, `values` and `width` don't fit each other, or a width is not greater
            than `least_width`.
        """
        points, values = jnp.asarray(points, dtype), jnp.asarray(values, dtype)
        if (
            points.ndim != 2
            or points.shape[1] != 2
            or values.ndim != 2
            or len(points) != len(values)
        ):
            raise ValueError(
                "points and values must have shapes (N, 2) and (N, channels), got "
                f"{points.shape} and {values.shape}."
            )
        width = jnp.asarray(width, dtype)
        if width.shape not in ((), (len(points),), points.shape):
            raise ValueError(
                f"width must be a number or have shape ({len(points)},) or {points.shape}, got "
                f"{width.shape}."
            )
        if not bool((width > least_width).all()):
            raise ValueError(
                f"width must be greater than least_width={least_width}, got {width.min()}."
            )
        width = width[:, None] if width.ndim == 1 else width
        scales = jnp.sqrt(jnp.broadcast_to(width, points.shape) ** 2 - least_width**2)
        self.points = nnx.Param(points)
        self.log_scales = nnx.Param(jnp.log(scales))
        self.shear = nnx.Param(jnp.zeros(len(points), dtype))
        self.values = nnx.Param(values)
        self.normalize = normalize
        self.support = support
        self.window = window
        self.least_width = least_width
        self.capacity = capacity

    def covariances(self) -> jax.Array:
        """(N, 2, 2), in square pixels."""
        a, c = jnp.exp(self.log_scales[...]).T
        b, least = self.shear[...], self.least_width**2
        rows = jnp.stack(
            [jnp.stack([a * a + least, a * b]), jnp.stack([a * b, b * b + c * c + least])]
        )
        return jnp.moveaxis(rows, -1, 0)

    def __call__(
        self, size=None, *, queries=None, scale: float = 1.0, footprint: float = 0.0
    ) -> Rendering:
        """Renders the mixture.

        Args:
          size, queries, scale, footprint: as of `aa_jax.ops.splat.interpolate`.

        Returns:
          Rendering.
        """
        options = {
            "size": size,
            "queries": queries,
            "scale": scale,
            "footprint": footprint,
            "support": self.support,
            "window": self.window,
            "capacity": self.capacity,
        }
        draw = interpolate if self.normalize else splat
        return draw(self.points[...], self.values[...], self.covariances(), **options)
