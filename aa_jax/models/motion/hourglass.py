"""Blocks of the motion model, and the hourglass that its detector and its flow are made of.

Siarohin et al., "First Order Motion Model for Image Animation" (NeurIPS 2019), appendix A. What
changes resolution is injected: `Resampling` says whether it is plain or anti-aliased.
"""

import dataclasses

import jax
import numpy as np
from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.filters import binomial
from aa_jax.nn import AntiAlias, BatchNorm, Conv
from aa_jax.nn.initializers import uniform_fan_in
from aa_jax.nn.precision import promote
from aa_jax.nn.record import Record
from aa_jax.ops.resample import upsample2d
from aa_jax.ops.upsampling_conv import nearest_upsampling_conv2d

UPSAMPLING = ("nearest", "binomial")


@dataclasses.dataclass(frozen=True)
class Resampling:
    """How the networks of the motion model change resolution.

    Attributes:
      antialias: what halves it; "none" is the published 2 x 2 mean, "blur" and "adaptive" are a
        low-pass filter and subsampling.
      upsampling: what doubles it; "nearest" repeats samples (published), "binomial" puts zeros
        between them and smooths those away with the taps 1, 3, 3, 1, which is linear
        interpolation at the half-sample positions that both ways of halving sample at.
    """

    antialias: AntiAlias = AntiAlias("none")
    upsampling: str = "nearest"

    def __post_init__(self):
        self.antialias.require(("none", "blur", "adaptive"), model="the motion model")
        if self.upsampling not in UPSAMPLING:
            raise ValueError(
                f"upsampling must be one of {', '.join(UPSAMPLING)}, got {self.upsampling!r}"
            )


PLAIN = Resampling()


class SameBlock(nnx.Module):
    """Convolution, batch normalisation, ReLU, at one resolution."""

    def __init__(self, inputs: int, outputs: int, *, kernel_size: int = 3, **options):
        """Builds the block; `options` are `dtype`, `param_dtype`, `rngs`."""
        self.conv = convolution(inputs, outputs, kernel_size, **options)
        self.norm = BatchNorm(outputs, **options)

    def __call__(self, x: Array, *, train: bool) -> Array:
        """Maps (N, H, W, inputs) to (N, H, W, outputs)."""
        return jax.nn.relu(self.norm(self.conv(x), train=train))


class DownBlock(SameBlock):
    """The same, then half the resolution."""

    def __init__(self, inputs: int, outputs: int, *, resampling: Resampling, **options):
        """Builds the block; `options` as of `SameBlock`."""
        super().__init__(inputs, outputs, **options)
        self.pool = resampling.antialias.avg_pool(outputs, **options)

    def __call__(self, x: Array, *, train: bool) -> Array:
        """Maps (N, H, W, inputs) to (N, H / 2, W / 2, outputs)."""
        return self.pool(super().__call__(x, train=train), train=train)


class UpBlock(SameBlock):
    """Twice the resolution, then convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, resampling: Resampling, **options):
        """Builds the block; `options` as of `SameBlock`."""
        super().__init__(inputs, outputs, **options)
        self.upsampling = resampling.upsampling

    def __call__(self, x: Array, *, train: bool) -> Array:
        """Maps (N, H, W, inputs) to (N, 2 H, 2 W, outputs)."""
        if self.upsampling == "nearest":
            dtype, conv = self.conv.dtype, self.conv
            x, kernel, bias = promote(x, conv.kernel[...], conv.bias[...], dtype=dtype)
            y = nearest_upsampling_conv2d(x, kernel) + bias
        else:
            y = self.conv(upsample2d(x, np.asarray(binomial(4)), up=2))
        return jax.nn.relu(self.norm(y, train=train))


class ResBlock(nnx.Module):
    """Two convolutions, each behind batch normalisation and ReLU, added to their input."""

    def __init__(self, channels: int, **options):
        """Builds the block; `options` are `dtype`, `param_dtype`, `rngs`."""
        self.norm1 = BatchNorm(channels, **options)
        self.conv1 = convolution(channels, channels, 3, **options)
        self.norm2 = BatchNorm(channels, **options)
        self.conv2 = convolution(channels, channels, 3, **options)

    def __call__(self, x: Array, *, train: bool) -> Array:
        """Maps (N, H, W, channels) to the same shape."""
        y = self.conv1(jax.nn.relu(self.norm1(x, train=train)))
        return x + self.conv2(jax.nn.relu(self.norm2(y, train=train)))


class Hourglass(nnx.Module):
    """Down to a small map and up again, with every resolution's map handed across.

    Attributes:
      outputs: channels of the result: `block_expansion`, and the input itself.
    """

    def __init__(
        self,
        inputs: int,
        *,
        block_expansion: int,
        num_blocks: int,
        max_features: int,
        resampling: Resampling,
        **options,
    ):
        """Builds the blocks.

        Args:
          inputs: channels of the signal.
          block_expansion: channels at full resolution; each halving doubles them.
          num_blocks: halvings.
          max_features: bound on the channels.
          resampling: how resolution changes.
          **options: `dtype`, `param_dtype`, `rngs`.
        """
        widths = [min(max_features, block_expansion * 2**i) for i in range(num_blocks + 1)]
        options["resampling"] = resampling
        ins = [inputs, *widths[1:]]
        self.encoder = nnx.List(
            [DownBlock(ins[i], widths[i + 1], **options) for i in range(num_blocks)]
        )
        self.decoder = nnx.List(
            [
                UpBlock((1 if i == num_blocks - 1 else 2) * widths[i + 1], widths[i], **options)
                for i in reversed(range(num_blocks))
            ]
        )
        self.outputs = widths[0] + inputs

    def __call__(self, x: Array, *, train: bool, record: Record | None = None) -> Array:
        """Maps (N, H, W, inputs) to (N, H, W, outputs); `record` is told "encoder.<i>".

        Raises:
          ValueError: a side is no multiple of 2 ** num_blocks.
        """
        multiple = 2 ** len(self.encoder)
        if x.shape[1] % multiple or x.shape[2] % multiple:
            raise ValueError(
                f"height and width of the hourglass's input must be multiples of {multiple} (it "
                f"halves {len(self.encoder)} times), got shape {x.shape}"
            )
        maps = [x]
        for i, block in enumerate(self.encoder):
            maps.append(block(maps[-1], train=train))
            if record is not None:
                record(f"encoder.{i}", maps[-1])
        y = maps.pop()
        for block in self.decoder:
            y = jnp.concatenate([block(y, train=train), maps.pop()], -1)
        return y


def convolution(inputs: int, outputs: int, kernel_size: int, **options) -> Conv:
    """A convolution with bias that keeps the size, with the published initialisation.

    `options` are those of `Conv`; `padding` overrides the margin.
    """
    options.setdefault("padding", kernel_size // 2)
    options.setdefault("kernel_init", uniform_fan_in)
    return Conv(inputs, outputs, kernel_size, use_bias=True, **options)
