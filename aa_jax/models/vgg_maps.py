"""The convolutions of VGG as a source of feature maps (Simonyan & Zisserman, ICLR 2015).

For networks that only ever run with published weights: metrics and losses read these maps.
`aa_jax.models.vgg` has VGG for training.
"""

import numpy as np
from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.models.images import check_images
from aa_jax.models.inception.units import FeatureConv
from aa_jax.ops.pool import max_pool

# Channels of the convolutions, stage by stage; a maximum of 2 x 2 samples is between stages.
VGG16_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
# Up to relu5_1, behind which nothing is read.
VGG19_STAGES = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,))

IMAGENET = (np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]))
"""Mean and deviation of ImageNet's pixels on [0, 1]."""

SMALLEST = 16
"""Side of the smallest image that leaves a sample of the fifth map."""


class VGGMaps(nnx.Module):
    """Stages of convolutions, of each of which one map is read.

    Attributes:
      stages: lists of `FeatureConv`.
      widths: channels of the maps.
    """

    def __init__(
        self,
        stages: tuple[tuple[int, ...], ...],
        *,
        read: str = "last",
        width_divisor: int = 1,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          stages: channels of the convolutions of each stage.
          read: which of a stage's maps are returned, "first" or "last", behind their ReLU.
          width_divisor: what all widths are divided by, 1 to 64; for tests.
          param_dtype: dtype of weights and computation.
          rngs: random streams; "params" is used.

        Raises:
          ValueError: `width_divisor` is out of range, or `read` is unknown.
        """
        if not 1 <= width_divisor <= 64:
            raise ValueError(f"width_divisor must be from 1 to 64, got {width_divisor}")
        if read not in ("first", "last"):
            raise ValueError(f'read must be "first" or "last", got {read!r}')
        options = dict(padding=(1, 1), param_dtype=param_dtype, rngs=rngs)
        stages = [[width // width_divisor for width in stage] for stage in stages]
        self.read = 0 if read == "first" else -1
        self.widths = tuple(stage[self.read] for stage in stages)
        inputs, layers = 3, []
        for stage in stages:
            pairs = zip([inputs, *stage], stage, strict=False)
            layers.append(nnx.List([FeatureConv(a, b, (3, 3), **options) for a, b in pairs]))
            inputs = stage[-1]
        self.stages = nnx.List(layers)

    def __call__(self, x: Array) -> list[Array]:
        """One map of every stage, full size first.

        Args:
          x: normalised images (N, H, W, 3), at least 16 x 16.
        """
        maps, y = [], x
        for index, stage in enumerate(self.stages):
            y = max_pool(y, window=2, stride=2) if index else y
            of_stage = []
            for layer in stage:
                y = layer(y)
                of_stage.append(y)
            maps.append(of_stage[self.read])
        return maps


def normalised(x: Array, statistics: tuple[np.ndarray, np.ndarray]) -> Array:
    """Subtracts a mean of each channel and divides by a deviation, in the dtype of `x`."""
    mean, deviation = (numbers.astype(x.dtype) for numbers in statistics)
    return (x - mean) / deviation


def check_size(x: Array, side: int = SMALLEST) -> None:
    """Raises ValueError unless `x` holds images (N, H, W, 3) of at least `side` pixels a side."""
    check_images(x)
    if min(x.shape[1:3]) < side:
        raise ValueError(f"images must be at least {side} x {side} pixels, got shape {x.shape}")
