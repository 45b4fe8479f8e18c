"""From keypoints to a dense flow and an occlusion map (Siarohin et al., NeurIPS 2019, 3.1-3.2)."""

import flax
import jax
from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.models.motion.hourglass import PLAIN, Hourglass, Resampling, convolution
from aa_jax.models.motion.keypoints import (
    VARIANCE,
    Keypoints,
    gaussian_heatmaps,
    inverse_2x2,
    product_2x2,
)
from aa_jax.ops.downsample import antialias_interpolate
from aa_jax.ops.grid_sample import grid_sample, identity_grid

_HEAD = 7


@flax.struct.dataclass
class DenseMotion:
    """Where each place of the driving frame comes from in the source frame.

    Attributes:
      deformation: (N, h, w, 2) coordinates (x, y) in the source, -1 to 1.
      occlusion: (N, h, w, 1) share of the source to keep, or None.
      mask: (N, h, w, K + 1) weights of the background's and the keypoints' motions.
      deformed: (N, K + 1, h, w, channels) the small source under each motion.
    """

    deformation: Array
    occlusion: Array | None
    mask: Array
    deformed: Array


def sparse_motions(source: Keypoints, driving: Keypoints, size: tuple[int, int]) -> Array:
    """The motion around each keypoint, to first order, and the identity in front.

    A place z of the driving frame comes from `J_source J_driving^-1 (z - p_driving) + p_source`.

    Args:
      source, driving: keypoints of the two frames.
      size: (h, w) of the flows.

    Returns:
      (N, K + 1, h, w, 2).
    """
    grid = identity_grid(*size, dtype=source.value.dtype)
    z = grid - driving.value[:, :, None, None]
    if driving.jacobian is not None:
        matrix = product_2x2(source.jacobian, inverse_2x2(driving.jacobian))
        matrix = matrix[:, :, None, None]
        z = matrix[..., 0] * z[..., 0:1] + matrix[..., 1] * z[..., 1:2]
    motions = z + source.value[:, :, None, None]
    identity = jnp.broadcast_to(grid, (motions.shape[0], 1, *grid.shape))
    return jnp.concatenate([identity, motions], 1)


class DenseMotionNetwork(nnx.Module):
    """Weighs the motions of the background and of all keypoints at every place."""

    def __init__(
        self,
        *,
        num_kp: int = 10,
        channels: int = 3,
        block_expansion: int = 64,
        num_blocks: int = 5,
        max_features: int = 1024,
        scale_factor: float = 0.25,
        estimate_occlusion: bool = True,
        variance: float = VARIANCE,
        corners: str = "aligned",
        resampling: Resampling = PLAIN,
        **options,
    ):
        """Draws the weights; the defaults are those of the published vox-256 model.

        Args:
          num_kp: K.
          channels: of the frames.
          block_expansion, num_blocks, max_features: of the hourglass.
          scale_factor: by which frames are reduced first.
          estimate_occlusion: whether there is a map of what to hide.
          variance: of the Gaussians that mark keypoints.
          corners: how coordinates are read, "aligned" or "half_pixel", see `grid_sample`. The
            published checkpoints of 2019 were trained with aligned corners.
          resampling: how the hourglass changes resolution.
          **options: `dtype`, `param_dtype`, `rngs`.
        """
        self.hourglass = Hourglass(
            (num_kp + 1) * (channels + 1),
            block_expansion=block_expansion,
            num_blocks=num_blocks,
            max_features=max_features,
            resampling=resampling,
            **options,
        )
        self.mask = convolution(self.hourglass.outputs, num_kp + 1, _HEAD, **options)
        outputs = self.hourglass.outputs
        self.occlusion = convolution(outputs, 1, _HEAD, **options) if estimate_occlusion else None
        self.scale_factor, self.variance, self.corners = scale_factor, variance, corners

    def __call__(
        self, source_image: Array, source: Keypoints, driving: Keypoints, *, train: bool = False
    ) -> DenseMotion:
        """The flow that moves the source's keypoints to the driving frame's.

        Args:
          source_image: (N, H, W, channels) in [0, 1].
          source, driving: keypoints of N frames each.
          train: whether batch statistics are the batch's own.
        """
        small = antialias_interpolate(source_image, self.scale_factor)
        size = small.shape[1:3]
        flows = sparse_motions(source, driving, size)
        deformed = grid_sample(small, flows.astype(small.dtype), corners=self.corners)
        inputs = jnp.concatenate([self._heatmaps(source, driving, size), deformed], -1)
        # Channel by channel: the map of a keypoint, then the source moved with it.
        inputs = jnp.moveaxis(inputs, 1, 3).reshape(*deformed.shape[:1], *size, -1)
        features = self.hourglass(inputs, train=train)
        logits = self.mask(features)
        mask = jax.nn.softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))
        deformation = jnp.einsum(
            "nhwk,nkhwc->nhwc", mask, flows.astype(mask.dtype), precision=jax.lax.Precision.HIGHEST
        )
        occlusion = self.occlusion and jax.nn.sigmoid(self.occlusion(features))
        return DenseMotion(deformation, occlusion, mask, deformed)

    def _heatmaps(self, source: Keypoints, driving: Keypoints, size) -> Array:
        """(N, K + 1, h, w, 1): where a keypoint is to be, less where it was; 0: background."""
        here, there = (
            gaussian_heatmaps(points.value, size, variance=self.variance)
            for points in (driving, source)
        )
        maps = jnp.moveaxis(here - there, 3, 1)[..., None]
        return jnp.pad(maps, ((0, 0), (1, 0), (0, 0), (0, 0), (0, 0)))
