"""DenseNet (Huang et al., CVPR 2017), with any kind of anti-aliasing.

The stem's max-pool is taken at full resolution and subsampled behind; the transitions' average
pools are replaced by the slot.
"""

import jax
from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.models.images import check_images
from aa_jax.nn import AntiAlias, BatchNorm, Conv, Linear, antialias_option
from aa_jax.nn.initializers import kaiming_normal_fan_in
from aa_jax.nn.randomness import split_key
from aa_jax.nn.record import Record, scoped
from aa_jax.ops.average import global_avg_pool


class DenseLayer(nnx.Module):
    """Two pre-activated convolutions whose result is appended to the input's channels."""

    def __init__(self, inputs: int, growth: int, **options):
        """Builds a layer that appends `growth` channels."""
        self.norm1 = BatchNorm(inputs, **options)
        self.conv1 = _conv(inputs, 4 * growth, 1, **options)
        self.norm2 = BatchNorm(4 * growth, **options)
        self.conv2 = _conv(4 * growth, growth, 3, **options)

    def __call__(self, x: Array, *, train: bool) -> Array:
        """Maps (N, H, W, inputs) to (N, H, W, inputs + growth)."""
        y = self.conv1(jax.nn.relu(self.norm1(x, train=train)))
        y = self.conv2(jax.nn.relu(self.norm2(y, train=train)))
        return jnp.concatenate([x, y], axis=-1)


class Transition(nnx.Module):
    """Halves channels and resolution between two dense blocks."""

    def __init__(self, inputs: int, *, antialias: AntiAlias, **options):
        """Builds the transition from `inputs` to `inputs` / 2 channels."""
        self.norm = BatchNorm(inputs, **options)
        self.conv = _conv(inputs, inputs // 2, 1, **options)
        self.pool = antialias.avg_pool(inputs // 2, **options)

    def __call__(self, x: Array, *, train: bool, key: Array | None, record: Record | None) -> Array:
        """Maps (N, H, W, inputs) to (N, H / 2, W / 2, inputs / 2)."""
        y = self.conv(jax.nn.relu(self.norm(x, train=train)))
        y, _ = self.pool.subsample(y, train=train, key=key, record=scoped(record, "pool"))
        return y


class DenseNet(nnx.Module):
    """Stem, dense blocks with transitions between them, mean, classifier."""

    def __init__(
        self,
        block_sizes: tuple[int, ...],
        *,
        growth: int = 32,
        width: int = 64,
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
          block_sizes: layers per dense block.
          growth: channels that a layer appends.
          width: channels of the stem.
          num_classes: length of the logits.
          antialias: "none", "blur", "adaptive" or an `AntiAlias`.
          filter_size: overrides the filter size of `antialias`.
          groups: overrides the filter groups of `antialias` (8 unless chosen).
          dtype: dtype of the computation; None: what signal and weights promote to.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.
        """
        antialias = antialias_option(antialias, filter_size=filter_size, groups=groups)
        antialias.require(("none", "blur", "adaptive"), model="DenseNet")
        options = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.antialias = antialias
        self.conv0 = _conv(3, width, 7, stride=antialias.first_conv_stride(2), **options)
        self.norm0 = BatchNorm(width, **options)
        self.first_pool = antialias.first_pool(width, **options)
        self.pool0 = antialias.max_pool(width, window=3, padding=1, **options)
        channels, blocks, transitions = width, [], []
        for index, size in enumerate(block_sizes):
            if index > 0:
                transitions.append(Transition(channels, antialias=antialias, **options))
                channels //= 2
            layers = [DenseLayer(channels + i * growth, growth, **options) for i in range(size)]
            blocks.append(nnx.List(layers))
            channels += size * growth
        self.blocks, self.transitions = nnx.List(blocks), nnx.List(transitions)
        self.norm5 = BatchNorm(channels, **options)
        self.classifier = Linear(channels, num_classes, bias_init=nnx.initializers.zeros, **options)

    def __call__(
        self,
        x: Array,
        *,
        train: bool = False,
        key: Array | None = None,
        record: Record | None = None,
    ) -> Array:
        """Classifies images (N, H, W, 3); returns logits (N, num_classes).

        `record` is told "features.pool0", "features.transition<i>", "features.norm5", and
        "pool0.pool.filters", "transitions.<i>.pool.filters". `train` and `key` as for `ResNet`.
        """
        check_images(x)
        tell = record or (lambda name, array: None)
        keys = split_key(key, len(self.transitions) + 2)
        y = jax.nn.relu(self.norm0(self.conv0(x), train=train))
        for name, pool_key in zip(("first_pool", "pool0"), keys, strict=False):
            pool = getattr(self, name)
            y, _ = pool.subsample(y, train=train, key=pool_key, record=scoped(record, name))
        tell("features.pool0", y)
        for index, block in enumerate(self.blocks):
            if index > 0:
                scope = scoped(record, f"transitions.{index - 1}")
                transition = self.transitions[index - 1]
                y = transition(y, train=train, key=keys[index + 1], record=scope)
                tell(f"features.transition{index}", y)
            for layer in block:
                y = layer(y, train=train)
        y = self.norm5(y, train=train)
        tell("features.norm5", y)
        return self.classifier(global_avg_pool(jax.nn.relu(y)))


def _conv(inputs: int, outputs: int, kernel_size: int, *, stride: int = 1, **options) -> Conv:
    return Conv(
        inputs,
        outputs,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        kernel_init=kaiming_normal_fan_in,
        **options,
    )


def densenet121(num_classes: int = 1000, **options) -> DenseNet:
    """DenseNet-121; options as of `DenseNet`."""
    return DenseNet((6, 12, 24, 16), num_classes=num_classes, **options)
