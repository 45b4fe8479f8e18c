"""MobileNetV2 (Sandler et al., CVPR 2018), with any kind of anti-aliasing.

A strided block runs its depthwise convolution at full resolution and subsamples behind its
activation. The first convolution stays strided.
"""

import jax
from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.models.images import check_images
from aa_jax.nn import AntiAlias, BatchNorm, Conv, Linear, antialias_option
from aa_jax.nn.initializers import normal
from aa_jax.nn.randomness import split_key
from aa_jax.nn.record import Record, scoped
from aa_jax.ops.average import global_avg_pool

# Expansion, channels, blocks, stride of the first block.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class ConvNorm(nnx.Module):
    """Convolution without bias, padded to keep the size, and normalisation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        *,
        stride: int = 1,
        groups: int = 1,
        **options,
    ):
        """Builds the pair; `options` are `dtype`, `param_dtype`, `rngs`."""
        self.conv = Conv(
            inputs,
            outputs,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=groups,
            **options,
        )
        self.norm = BatchNorm(outputs, **options)

    def __call__(self, x: Array, *, train: bool) -> Array:
        """Maps (N, H, W, inputs) to (N, H / stride, W / stride, outputs)."""
        return self.norm(self.conv(x), train=train)


class InvertedResidual(nnx.Module):
    """1 x 1 to many channels, 3 x 3 per channel, slot, 1 x 1 to few; plus the input if it fits."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        expansion: int,
        stride: int,
        antialias: AntiAlias,
        **options,
    ):
        """Builds the block; the first convolution is absent if `expansion` is 1."""
        hidden = inputs * expansion
        self.expand = ConvNorm(inputs, hidden, 1, **options) if expansion != 1 else None
        self.depthwise = ConvNorm(
            hidden, hidden, 3, stride=antialias.conv_stride(stride), groups=hidden, **options
        )
        self.pool = antialias.pool(hidden, stride=stride, **options)
        self.project = ConvNorm(hidden, outputs, 1, **options)
        self.residual = stride == 1 and inputs == outputs

    def __call__(self, x: Array, *, train: bool, key: Array | None, record: Record | None) -> Array:
        """Maps (N, H, W, inputs) to (N, H / stride, W / stride, outputs)."""
        y = x if self.expand is None else jax.nn.relu6(self.expand(x, train=train))
        y = jax.nn.relu6(self.depthwise(y, train=train))
        y, _ = self.pool.subsample(y, train=train, key=key, record=scoped(record, "pool"))
        y = self.project(y, train=train)
        return x + y if self.residual else y


class MobileNetV2(nnx.Module):
    """Stem, inverted residual blocks, head, mean, classifier."""

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        antialias: str | AntiAlias = "none",
        filter_size: int | None = None,
        groups: int | None = None,
        dtype: jnp.dtype | None = None,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          num_classes: length of the logits.
          antialias: "none", "blur", "adaptive" or an `AntiAlias`.
          filter_size: overrides the filter size of `antialias`.
          groups: overrides the filter groups of `antialias` (8 unless chosen).
          dtype: dtype of the computation; None: what signal and weights promote to.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.
        """
        antialias = antialias_option(antialias, filter_size=filter_size, groups=groups)
        antialias.require(("none", "blur", "adaptive"), model="MobileNetV2")
        options = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.antialias = antialias
        self.stem = ConvNorm(3, 32, 3, stride=antialias.first_conv_stride(2), **options)
        self.first_pool = antialias.first_pool(32, **options)
        inputs, blocks = 32, []
        for expansion, outputs, count, stride in _STAGES:
            for index in range(count):
                blocks.append(
                    InvertedResidual(
                        inputs,
                        outputs,
                        expansion=expansion,
                        stride=stride if index == 0 else 1,
                        antialias=antialias,
                        **options,
                    )
                )
                inputs = outputs
        self.blocks = nnx.List(blocks)
        self.head = ConvNorm(inputs, 1280, 1, **options)
        self.classifier = Linear(
            1280,
            num_classes,
            kernel_init=normal(0.01),
            bias_init=nnx.initializers.zeros,
            **options,
        )

    def __call__(
        self,
        x: Array,
        *,
        train: bool = False,
        key: Array | None = None,
        record: Record | None = None,
    ) -> Array:
        """Classifies images (N, H, W, 3); returns logits (N, num_classes).

        `record` is told "features.0" (stem) to "features.18" (head), and
        "blocks.<i>.pool.filters". `train` and `key` as for `ResNet`.
        """
        check_images(x)
        tell = record or (lambda name, array: None)
        keys = split_key(key, len(self.blocks) + 1)
        y = jax.nn.relu6(self.stem(x, train=train))
        scope = scoped(record, "first_pool")
        y, _ = self.first_pool.subsample(y, train=train, key=keys[-1], record=scope)
        tell("features.0", y)
        for index, block in enumerate(self.blocks):
            y = block(y, train=train, key=keys[index], record=scoped(record, f"blocks.{index}"))
            tell(f"features.{index + 1}", y)
        y = jax.nn.relu6(self.head(y, train=train))
        tell(f"features.{len(self.blocks) + 1}", y)
        return self.classifier(global_avg_pool(y))


def mobilenet_v2(num_classes: int = 1000, **options) -> MobileNetV2:
    """MobileNetV2 of width 1; options as of `MobileNetV2`."""
    return MobileNetV2(num_classes=num_classes, **options)
