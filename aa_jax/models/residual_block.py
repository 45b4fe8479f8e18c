"""Residual blocks (He et al., CVPR 2016) with a slot for whatever subsamples.

The slot lies behind the nonlinearity of the convolution that would stride, and in the shortcut.
"""

import functools

import jax
from flax import nnx
from jax import Array

from aa_jax.nn import AntiAlias, BatchNorm, Conv
from aa_jax.nn.record import Record, scoped


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
