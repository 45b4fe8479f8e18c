"""VGG (Simonyan & Zisserman, ICLR 2015), with any kind of anti-aliasing.

Every max-pool is taken at full resolution and subsampled behind.
"""

import jax
from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.models.images import check_images
from aa_jax.nn import AntiAlias, BatchNorm, Conv, Linear, antialias_option
from aa_jax.nn.initializers import normal
from aa_jax.nn.randomness import dropout, split_key
from aa_jax.nn.record import Record, scoped
from aa_jax.ops.average import adaptive_avg_pool

# Channels of the convolutions, stage by stage; a pool follows each stage.
_STAGES = {
    11: ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    16: ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
}


class ConvUnit(nnx.Module):
    """3 x 3 convolution with bias, normalisation if wanted, and ReLU."""

    def __init__(self, inputs: int, outputs: int, *, normalized: bool, **options):
        """Builds the unit; `options` are `dtype`, `param_dtype`, `rngs`."""
        zeros = nnx.initializers.zeros
        self.conv = Conv(inputs, outputs, 3, padding=1, use_bias=True, bias_init=zeros, **options)
        self.norm = BatchNorm(outputs, **options) if normalized else None

    def __call__(self, x: Array, *, train: bool) -> Array:
        """Maps (N, H, W, inputs) to (N, H, W, outputs)."""
        y = self.conv(x)
        return jax.nn.relu(y if self.norm is None else self.norm(y, train=train))


class VGG(nnx.Module):
    """Stages of convolutions, each with a pool behind, a 7 x 7 mean, and three dense layers."""

    def __init__(
        self,
        stages: tuple[tuple[int, ...], ...],
        *,
        num_classes: int | None = 1000,
        normalized: bool = True,
        antialias: str | AntiAlias = "none",
        filter_size: int | None = None,
        groups: int | None = None,
        dtype: jnp.dtype | None = None,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          stages: channels of the convolutions of each stage.
          num_classes: length of the logits; None: no dense layers, a call returns the features.
          normalized: whether batch normalisation follows every convolution.
          antialias: "none", "blur", "adaptive" or an `AntiAlias`.
          filter_size: overrides the filter size of `antialias`.
          groups: overrides the filter groups of `antialias` (8 unless chosen).
          dtype: dtype of the computation; None: what signal and weights promote to.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.
        """
        antialias = antialias_option(antialias, filter_size=filter_size, groups=groups)
        antialias.require(("none", "blur", "adaptive"), model="VGG")
        options = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.antialias = antialias
        inputs, layers, pools = 3, [], []
        for stage in stages:
            units = []
            for outputs in stage:
                units.append(ConvUnit(inputs, outputs, normalized=normalized, **options))
                inputs = outputs
            layers.append(nnx.List(units))
            pools.append(antialias.max_pool(inputs, window=2, **options))
        self.stages, self.pools = nnx.List(layers), nnx.List(pools)
        sizes = () if num_classes is None else (inputs * 7 * 7, 4096, 4096, num_classes)
        dense = dict(kernel_init=normal(0.01), bias_init=nnx.initializers.zeros, **options)
        self.classifier = nnx.List(
            [Linear(a, b, **dense) for a, b in zip(sizes, sizes[1:], strict=False)]
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

        In training half of the dense layers' inputs are dropped, which needs `key`. `record` is
        told "features" and "pools.<i>.pool.filters".
        """
        check_images(x)
        keys = split_key(key, len(self.pools) + 2)
        y = x
        for index, stage in enumerate(self.stages):
            for unit in stage:
                y = unit(y, train=train)
            scope = scoped(record, f"pools.{index}")
            y, _ = self.pools[index].subsample(y, train=train, key=keys[index], record=scope)
        if record is not None:
            record("features", y)
        if not self.classifier:
            return y
        y = flatten_channels_first(adaptive_avg_pool(y, size=7))
        for layer, layer_key in zip(self.classifier, keys[-2:], strict=False):
            y = jax.nn.relu(layer(y))
            y = dropout(y, 0.5, key=layer_key) if train else y
        return self.classifier[2](y)


def flatten_channels_first(x: Array) -> Array:
    """(N, H, W, C) -> (N, C H W), the order in which published dense layers expect features."""
    return x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)


def vgg11_bn(num_classes: int | None = 1000, **options) -> VGG:
    """VGG-11 with batch normalisation; options as of `VGG`."""
    return VGG(_STAGES[11], num_classes=num_classes, **options)


def vgg16(num_classes: int = 1000, **options) -> VGG:
    """VGG-16 without batch normalisation; options as of `VGG`."""
    return VGG(_STAGES[16], num_classes=num_classes, normalized=False, **options)


def vgg16_bn(num_classes: int | None = 1000, **options) -> VGG:
    """VGG-16 with batch normalisation; options as of `VGG`."""
    return VGG(_STAGES[16], num_classes=num_classes, **options)
