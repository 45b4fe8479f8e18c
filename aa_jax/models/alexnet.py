"""AlexNet (Krizhevsky, 2014, the one-column variant), with any kind of anti-aliasing.

The first convolution's stride of 4 becomes 2 and a slot of 2; max-pools are taken at full
resolution and subsampled behind.
"""

import jax
from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.models.images import check_images
from aa_jax.models.vgg import flatten_channels_first
from aa_jax.nn import AntiAlias, Conv, Identity, Linear, antialias_option
from aa_jax.nn.initializers import uniform_fan_in
from aa_jax.nn.randomness import dropout, split_key
from aa_jax.nn.record import Record, scoped
from aa_jax.ops.average import adaptive_avg_pool

# Channels in, channels out, kernel size.
_CONVS = ((3, 64, 11), (64, 192, 5), (192, 384, 3), (384, 256, 3), (256, 256, 3))


class AlexNet(nnx.Module):
    """Five convolutions with three max-pools, a 6 x 6 mean, and three dense layers."""

    def __init__(
        self,
        *,
        num_classes: int | None = 1000,
        antialias: str | AntiAlias = "none",
        filter_size: int | None = None,
        groups: int | None = None,
        dtype: jnp.dtype | None = None,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          num_classes: length of the logits; None: no dense layers, a call returns the features.
          antialias: "none", "blur", "adaptive" or an `AntiAlias`.
          filter_size: overrides the filter size of `antialias`.
          groups: overrides the filter groups of `antialias` (8 unless chosen).
          dtype: dtype of the computation; None: what signal and weights promote to.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.
        """
        antialias = antialias_option(antialias, filter_size=filter_size, groups=groups)
        antialias.require(("none", "blur", "adaptive"), model="AlexNet")
        options = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.antialias = antialias
        filtered = antialias.kind != "none"
        first_stride = 2 if filtered else 4
        convs = []
        for index, (inputs, outputs, kernel_size) in enumerate(_CONVS):
            convs.append(
                Conv(
                    inputs,
                    outputs,
                    kernel_size,
                    stride=first_stride if index == 0 else 1,
                    padding=2 if kernel_size > 3 else 1,
                    use_bias=True,
                    kernel_init=uniform_fan_in,
                    **options,
                )
            )
        self.convs = nnx.List(convs)
        self.first_pool = antialias.pool(64, **options) if filtered else Identity()
        self.pools = nnx.List(
            [antialias.max_pool(channels, window=3, **options) for channels in (64, 192, 256)]
        )
        sizes = () if num_classes is None else (256 * 6 * 6, 4096, 4096, num_classes)
        self.classifier = nnx.List(
            [Linear(a, b, **options) for a, b in zip(sizes, sizes[1:], strict=False)]
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
        told "features", "first_pool.filters" and "pools.<i>.pool.filters".
        """
        check_images(x)
        keys = split_key(key, 6)
        y = jax.nn.relu(self.convs[0](x))
        scope = scoped(record, "first_pool")
        y, _ = self.first_pool.subsample(y, train=train, key=keys[0], record=scope)
        for pool, convs in enumerate(((1,), (2, 3, 4), ())):
            scope = scoped(record, f"pools.{pool}")
            y, _ = self.pools[pool].subsample(y, train=train, key=keys[pool + 1], record=scope)
            for conv in convs:
                y = jax.nn.relu(self.convs[conv](y))
        if record is not None:
            record("features", y)
        if not self.classifier:
            return y
        y = flatten_channels_first(adaptive_avg_pool(y, size=6))
        for layer, layer_key in zip(self.classifier, keys[-2:], strict=False):
            y = dropout(y, 0.5, key=layer_key) if train else y
            y = jax.nn.relu(layer(y))
        return self.classifier[2](y)


def alexnet(num_classes: int | None = 1000, **options) -> AlexNet:
    """AlexNet; options as of `AlexNet`."""
    return AlexNet(num_classes=num_classes, **options)
