"""Occlusion-aware generator of the motion model (Siarohin et al., NeurIPS 2019, section 3.2)."""

from collections.abc import Mapping
from typing import Any

import flax
import jax
from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.models.images import check_images
from aa_jax.models.motion.dense_motion import DenseMotion, DenseMotionNetwork
from aa_jax.models.motion.hourglass import (
    PLAIN,
    DownBlock,
    Resampling,
    ResBlock,
    SameBlock,
    UpBlock,
    convolution,
)
from aa_jax.models.motion.keypoints import Keypoints
from aa_jax.ops.grid_sample import grid_sample
from aa_jax.ops.resize import resize


@flax.struct.dataclass
class Generated:
    """A frame, and how it came about.

    Attributes:
      prediction: (N, H, W, channels) in [0, 1].
      deformed: (N, H, W, channels) the source under the flow alone.
      motion: the flow, or None for a generator without one.
    """

    prediction: Array
    deformed: Array
    motion: DenseMotion | None


class MotionGenerator(nnx.Module):
    """Encodes the source, moves its features along the flow, hides what is occluded, decodes."""

    def __init__(
        self,
        *,
        num_kp: int = 10,
        channels: int = 3,
        block_expansion: int = 64,
        max_features: int = 512,
        num_down_blocks: int = 2,
        num_bottleneck_blocks: int = 6,
        estimate_occlusion: bool = True,
        dense_motion: Mapping[str, Any] | None = None,
        corners: str = "aligned",
        resampling: Resampling = PLAIN,
        dtype: jnp.dtype | None = None,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights; the defaults are those of the published vox-256 model.

        Args:
          num_kp: keypoints of a frame.
          channels: of the frames.
          block_expansion: channels at full resolution; each halving doubles them.
          max_features: bound on the channels.
          num_down_blocks: halvings.
          num_bottleneck_blocks: residual blocks at the lowest resolution.
          estimate_occlusion: whether what the source does not show is hidden.
          dense_motion: options of `DenseMotionNetwork` other than those here.
          corners: how flows are read, "aligned" or "half_pixel", see `grid_sample`.
          resampling: how resolution changes, here and in the dense motion network.
          dtype: dtype of the computation; None: what frames and weights promote to.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.
        """
        options = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        common = dict(channels=channels, corners=corners, resampling=resampling)
        self.dense_motion_network = DenseMotionNetwork(
            num_kp=num_kp,
            estimate_occlusion=estimate_occlusion,
            **common,
            **(dense_motion or {}),
            **options,
        )
        widths = [min(max_features, block_expansion * 2**i) for i in range(num_down_blocks + 1)]
        pairs = list(zip(widths, widths[1:], strict=False))
        self.first = SameBlock(channels, widths[0], kernel_size=7, **options)
        resampled = dict(resampling=resampling, **options)
        self.down_blocks = nnx.List([DownBlock(a, b, **resampled) for a, b in pairs])
        residual = [ResBlock(widths[-1], **options) for _ in range(num_bottleneck_blocks)]
        self.bottleneck = nnx.List(residual)
        self.up_blocks = nnx.List([UpBlock(b, a, **resampled) for a, b in reversed(pairs)])
        self.final = convolution(widths[0], channels, 7, **options)
        self.corners = corners

    def __call__(
        self, source_image: Array, source: Keypoints, driving: Keypoints, *, train: bool = False
    ) -> Generated:
        """Shows the source in the driving frame's pose.

        Args:
          source_image: (N, H, W, channels) in [0, 1], sides such that every halving is whole.
          source, driving: keypoints of N frames each.
          train: whether batch statistics are the batch's own.

        Raises:
          ValueError: `source_image` does not hold images.
        """
        features = self.encode(source_image, train=train)
        return self.render(features, source_image, source, driving, train=train)

    def encode(self, source_image: Array, *, train: bool = False) -> Array:
        """Features (N, h, w, C) of the source: for a whole animation they are needed once."""
        check_images(source_image)
        y = self.first(source_image, train=train)
        for block in self.down_blocks:
            y = block(y, train=train)
        return y

    def render(
        self,
        features: Array,
        source_image: Array,
        source: Keypoints,
        driving: Keypoints,
        *,
        train: bool = False,
    ) -> Generated:
        """The rest of a call, of what `encode` has given."""
        motion = self.dense_motion_network(source_image, source, driving, train=train)
        y = self._moved(features, motion.deformation)
        if motion.occlusion is not None:
            y = y * _fitted(motion.occlusion, y).astype(y.dtype)
        for block in self.bottleneck:
            y = block(y, train=train)
        for block in self.up_blocks:
            y = block(y, train=train)
        prediction = jax.nn.sigmoid(self.final(y))
        return Generated(prediction, self._moved(source_image, motion.deformation), motion)

    def _moved(self, x: Array, deformation: Array) -> Array:
        return grid_sample(x, _fitted(deformation, x).astype(x.dtype), corners=self.corners)


def _fitted(x: Array, like: Array) -> Array:
    """Resized to the other's height and width, linearly between half-pixel centres."""
    size = like.shape[1:3]
    if x.shape[1:3] == size:
        return x
    return resize(x, size, method="bilinear", antialias=False)
