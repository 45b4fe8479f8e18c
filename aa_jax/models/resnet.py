"""Residual networks (He et al. 2016; ResNeXt, Xie et al. 2017; wide, Zagoruyko & Komodakis 2016).

One class for all of them and for all kinds of anti-aliasing: every strided convolution or pool
has a slot behind it, filled by `aa_jax.nn.AntiAlias`.
"""

import functools
from collections.abc import Sequence

import jax
from flax import nnx
from jax import Array
from jax import numpy as jnp

from aa_jax.nn import AntiAlias, BatchNorm, Conv, Linear, antialias_option
from aa_jax.nn.randomness import split_key
from aa_jax.nn.record import Record, scoped
from aa_jax.ops.average import global_avg_pool


class Shortcut(nnx.Module):
    """Makes the input of a strided or widening block fit its output: slot, 1 x 1, norm.

    The slot comes first, at the lower cost: blur and 1 x 1 convolution commute.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int, antialias: AntiAlias, **options):
        """Builds the shortcut from `inputs` to `outputs` channels."""
        self.pool = antialias.shortcut_pool(inputs, stride=stride, **options)
        self.conv = Conv(inputs, outputs, 1, stride=antialias.conv_stride(stride), **options)
        self.norm = BatchNorm(outputs, **options)

    def __call__(self, x: Array, *, choice: Array | None, train: bool, record: Record | None):
        """Maps (N, H, W, inputs); `choice` is the phase that the main branch kept."""
        record = scoped(record, "pool")
        y, _ = self.pool.subsample(x, choice=choice, train=train, record=record)
        return self.norm(self.conv(y), train=train)


def _shortcut(inputs: int, outputs: int, stride: int, **options) -> Shortcut | None:
    fits = stride == 1 and inputs == outputs
    return None if fits else Shortcut(inputs, outputs, stride=stride, **options)


class BasicBlock(nnx.Module):
    """Two 3 x 3 convolutions; a strided block subsamples between them."""

    expansion = 1

    def __init__(
        self,
        inputs: int,
        planes: int,
        *,
        stride: int,
        antialias: AntiAlias,
        cardinality: int = 1,
        base_width: int = 64,
        **options,
    ):
        """Builds a block from `inputs` to `planes` channels; no grouped or wide variant exists."""
        if cardinality != 1 or base_width != 64:
            raise ValueError(
                "cardinality and base_width must be 1 and 64 for basic blocks, got "
                f"{cardinality} and {base_width}; use Bottleneck"
            )
        conv3x3 = functools.partial(
            Conv, kernel_size=3, padding=1, padding_mode=antialias.padding_mode, **options
        )
        self.conv1 = conv3x3(inputs, planes, stride=antialias.conv_stride(stride))
        self.bn1 = BatchNorm(planes, **options)
        self.pool = antialias.pool(planes, stride=stride, **options)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = BatchNorm(planes, **options)
        self.shortcut = _shortcut(inputs, planes, stride, antialias=antialias, **options)

    def __call__(self, x: Array, *, train: bool, key: Array | None, record: Record | None) -> Array:
        """Maps (N, H, W, inputs) to (N, H / stride, W / stride, planes)."""
        y = jax.nn.relu(self.bn1(self.conv1(x), train=train))
        y, choice = self.pool.subsample(y, train=train, key=key, record=scoped(record, "pool"))
        y = self.bn2(self.conv2(y), train=train)
        if self.shortcut is not None:
            x = self.shortcut(x, choice=choice, train=train, record=scoped(record, "shortcut"))
        return jax.nn.relu(y + x)


class Bottleneck(nnx.Module):
    """1 x 1, 3 x 3 (grouped in ResNeXt), 1 x 1; a strided block subsamples before the last."""

    expansion = 4

    def __init__(
        self,
        inputs: int,
        planes: int,
        *,
        stride: int,
        antialias: AntiAlias,
        cardinality: int = 1,
        base_width: int = 64,
        **options,
    ):
        """Builds a block from `inputs` to 4 `planes` channels.

        Args:
          inputs: channels in.
          planes: a quarter of the channels out.
          stride: spatial reduction.
          antialias: what fills the strided slots.
          cardinality: groups of the 3 x 3 convolution.
          base_width: width of a group when `planes` is 64.
          **options: `dtype`, `param_dtype`, `rngs`.
        """
        width = int(planes * base_width / 64) * cardinality
        outputs = planes * self.expansion
        self.conv1 = Conv(inputs, width, 1, **options)
        self.bn1 = BatchNorm(width, **options)
        self.conv2 = Conv(
            width,
            width,
            3,
            stride=antialias.conv_stride(stride),
            padding=1,
            padding_mode=antialias.padding_mode,
            groups=cardinality,
            **options,
        )
        self.bn2 = BatchNorm(width, **options)
        self.pool = antialias.pool(width, stride=stride, **options)
        self.conv3 = Conv(width, outputs, 1, **options)
        self.bn3 = BatchNorm(outputs, **options)
        self.shortcut = _shortcut(inputs, outputs, stride, antialias=antialias, **options)

    def __call__(self, x: Array, *, train: bool, key: Array | None, record: Record | None) -> Array:
        """Maps (N, H, W, inputs) to (N, H / stride, W / stride, 4 planes)."""
        y = jax.nn.relu(self.bn1(self.conv1(x), train=train))
        y = jax.nn.relu(self.bn2(self.conv2(y), train=train))
        y, choice = self.pool.subsample(y, train=train, key=key, record=scoped(record, "pool"))
        y = self.bn3(self.conv3(y), train=train)
        if self.shortcut is not None:
            x = self.shortcut(x, choice=choice, train=train, record=scoped(record, "shortcut"))
        return jax.nn.relu(y + x)


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
        if x.ndim != 4 or x.shape[-1] != 3:
            raise ValueError(f"x must be images (N, H, W, 3), got shape {x.shape}")
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
