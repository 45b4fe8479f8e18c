"""Residual networks (He et al. 2016; ResNeXt, Xie et al. 2017; wide, Zagoruyko & Komodakis 2016).

One class for all of them and for all kinds of anti-aliasing: every strided convolution or pool
has a slot behind it, filled by `aa_jax.nn.AntiAlias`.
"""

from collections.abc import Sequence

import jax
from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.models.images import check_images
from aa_jax.models.residual_block import BasicBlock, Bottleneck
from aa_jax.nn import AntiAlias, BatchNorm, Conv, Linear, antialias_option
from aa_jax.nn.randomness import split_key
from aa_jax.nn.record import Record, scoped
from aa_jax.ops.average import global_avg_pool


class ResNet(nnx.Module):
    """Stem, stages of blocks that halve the resolution from the second on, mean, classifier.

    Attributes:
      conv1, bn1, first_pool, maxpool: the stem.
      layer1, layer2, ...: the stages, lists of blocks.
      fc: the classifier.
    """

    def __init__(
        self,
        stage_sizes: Sequence[int],
        block: type[BasicBlock] | type[Bottleneck],
        *,
        num_classes: int = 1000,
        stem: str = "imagenet",
        width: int = 64,
        cardinality: int = 1,
        base_width: int = 64,
        antialias: str | AntiAlias = "none",
        filter_size: int | None = None,
        groups: int | None = None,
        dtype: jnp.dtype | None = None,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          stage_sizes: blocks per stage.
          block: `BasicBlock` or `Bottleneck`.
          num_classes: length of the logits.
          stem: "imagenet": 7 x 7 of stride 2 and max-pool; "small", for images of 32 to 64
            pixels: 3 x 3 of stride 1 and max-pool.
          width: channels of the stem; stage i is 2^i times as wide.
          cardinality: groups of the bottlenecks' 3 x 3 convolutions (ResNeXt).
          base_width: width of such a group (ResNeXt, wide).
          antialias: "none", "blur", "adaptive", "aps", "lps" or an `AntiAlias`.
          filter_size: overrides the filter size of `antialias`.
          groups: overrides the filter groups of `antialias` (8 unless chosen).
          dtype: dtype of the computation; None: what signal and weights promote to.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.
        """
        antialias = antialias_option(antialias, filter_size=filter_size, groups=groups)
        options = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.antialias, self.num_stages = antialias, len(stage_sizes)
        self._build_stem(stem, width, antialias, options)
        inputs = width
        for stage, blocks in enumerate(stage_sizes):
            planes, layers = width * 2**stage, []
            for index in range(blocks):
                layers.append(
                    block(
                        inputs,
                        planes,
                        stride=2 if stage > 0 and index == 0 else 1,
                        antialias=antialias,
                        cardinality=cardinality,
                        base_width=base_width,
                        **options,
                    )
                )
                inputs = planes * block.expansion
            setattr(self, f"layer{stage + 1}", nnx.List(layers))
        self.fc = Linear(inputs, num_classes, **options)

    def _build_stem(self, stem: str, width: int, antialias: AntiAlias, options: dict) -> None:
        if stem not in ("imagenet", "small"):
            raise ValueError(f'stem must be "imagenet" or "small", got {stem!r}')
        kernel_size, stride = (7, 2) if stem == "imagenet" else (3, 1)
        self.conv1 = Conv(
            3,
            width,
            kernel_size,
            stride=antialias.first_conv_stride(stride),
            padding=kernel_size // 2,
            padding_mode=antialias.padding_mode,
            **options,
        )
        self.bn1 = BatchNorm(width, **options)
        self.first_pool = antialias.first_pool(width, stride=stride, **options)
        # A window of 2 without padding in the anti-aliased stem, as in all published weights.
        self.maxpool = antialias.max_pool(
            width, window=3, padding=1, dense_window=2, dense_padding=0, **options
        )

    def __call__(
        self,
        x: Array,
        *,
        train: bool = False,
        key: Array | None = None,
        record: Record | None = None,
    ) -> Array:
        """Classifies images.

        Args:
          x: images (N, H, W, 3), normalised as in training.
          train: whether batch statistics normalise and are learnt.
          key: random key, needed by lps in training.
          record: told intermediate results by name: "conv1", "maxpool", "layer1", ..., and from
            inside the slots "<path>.filters" (adaptive), "<path>.choice" (aps), "<path>.logits"
            (lps).

        Returns:
          Logits (N, num_classes).
        """
        check_images(x)
        tell = record or (lambda name, array: None)
        stages = [f"layer{stage + 1}" for stage in range(self.num_stages)]
        keys = split_key(key, 2 + len(stages))
        y = self.conv1(x)
        tell("conv1", y)
        y = jax.nn.relu(self.bn1(y, train=train))
        for name, pool_key in zip(("first_pool", "maxpool"), keys, strict=False):
            pool = getattr(self, name)
            y, _ = pool.subsample(y, train=train, key=pool_key, record=scoped(record, name))
        tell("maxpool", y)
        for name, stage_key in zip(stages, keys[2:], strict=True):
            blocks = getattr(self, name)
            for index, block_key in enumerate(split_key(stage_key, len(blocks))):
                inner = scoped(record, f"{name}.{index}")
                y = blocks[index](y, train=train, key=block_key, record=inner)
            tell(name, y)
        return self.fc(global_avg_pool(y))


def _resnet(stage_sizes, block, num_classes, **options) -> ResNet:
    return ResNet(stage_sizes, block, num_classes=num_classes, **options)


def resnet18(num_classes: int = 1000, **options) -> ResNet:
    """ResNet-18; options as of `ResNet`."""
    return _resnet((2, 2, 2, 2), BasicBlock, num_classes, **options)


def resnet34(num_classes: int = 1000, **options) -> ResNet:
    """ResNet-34; options as of `ResNet`."""
    return _resnet((3, 4, 6, 3), BasicBlock, num_classes, **options)


def resnet50(num_classes: int = 1000, **options) -> ResNet:
    """ResNet-50; options as of `ResNet`."""
    return _resnet((3, 4, 6, 3), Bottleneck, num_classes, **options)


def resnet101(num_classes: int = 1000, **options) -> ResNet:
    """ResNet-101; options as of `ResNet`."""
    return _resnet((3, 4, 23, 3), Bottleneck, num_classes, **options)


def resnet152(num_classes: int = 1000, **options) -> ResNet:
    """ResNet-152; options as of `ResNet`."""
    return _resnet((3, 8, 36, 3), Bottleneck, num_classes, **options)


def resnext50_32x4d(num_classes: int = 1000, **options) -> ResNet:
    """ResNeXt-50 of 32 groups of 4 channels; options as of `ResNet`."""
    options = {"cardinality": 32, "base_width": 4, **options}
    return _resnet((3, 4, 6, 3), Bottleneck, num_classes, **options)


def wide_resnet50_2(num_classes: int = 1000, **options) -> ResNet:
    """ResNet-50 with 3 x 3 convolutions twice as wide; options as of `ResNet`."""
    return _resnet((3, 4, 6, 3), Bottleneck, num_classes, **{"base_width": 128, **options})


def small_resnet(
    num_classes: int,
    *,
    width: int = 16,
    stage_sizes: Sequence[int] = (2, 2, 2),
    **options,
) -> ResNet:
    """A ResNet for images of 32 to 64 pixels: 3 x 3 stem, basic blocks; options as of `ResNet`."""
    options = {"stem": "small", "width": width, **options}
    return _resnet(stage_sizes, BasicBlock, num_classes, **options)
