"""The layers of StyleGAN2's synthesis network, and the block that they make.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR 2020), section 2 and
appendix B.
"""

import math
from typing import Literal

import jax
from flax import nnx
from jax import numpy as jnp

from aa_jax.filters import binomial
from aa_jax.nn import initializers
from aa_jax.nn.equalized import EqualizedLinear
from aa_jax.nn.record import Record
from aa_jax.nn.variables import Constant
from aa_jax.ops.bias_activation import bias_activation
from aa_jax.ops.modulated_conv import modulated_conv2d
from aa_jax.ops.resample import upfirdn2d, upsample2d

NoiseMode = Literal["random", "const", "none"]
_FILTER = binomial(4)


class SynthesisBlock(nnx.Module):
    """Doubles a map (the first block: keeps it), and adds to the image what it sees in it.

    Attributes:
      conv0: the convolution that doubles; None in the first block.
      conv1: the second one.
      torgb: from the map to the image.
    """

    def __init__(
        self,
        resolution: int,
        in_channels: int | None,
        out_channels: int,
        w_dim: int,
        *,
        img_channels: int,
        half_precision: bool,
        conv_clamp: float | None,
        param_dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          resolution: side of the map coming out.
          in_channels: channels in; None in the first block.
          out_channels: channels out.
          w_dim: length of the latents.
          img_channels: channels of the image.
          half_precision: whether the block is among those that compute in 16 bits if any do.
          conv_clamp: bound on the activations' magnitude, or None.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.
        """
        self.resolution, self.half_precision = resolution, half_precision
        options = {"conv_clamp": conv_clamp, "param_dtype": param_dtype, "rngs": rngs}
        conv0 = None
        if in_channels is not None:
            conv0 = StyledConv(in_channels, out_channels, w_dim, resolution, up=2, **options)
        self.conv0 = conv0
        self.conv1 = StyledConv(out_channels, out_channels, w_dim, resolution, **options)
        self.torgb = ToRGB(out_channels, img_channels, w_dim, **options)

    def __call__(
        self,
        x: jax.Array,
        image: jax.Array | None,
        ws: jax.Array,
        *,
        noise_mode: NoiseMode,
        key: jax.Array | None,
        record: Record | None,
    ) -> tuple[jax.Array, jax.Array]:
        """Maps features and the coarser image to features and image of twice the side.

        Args:
          x: (N, r / 2, r / 2, in_channels); in the first block of side r.
          image: (N, r / 2, r / 2, img_channels); None in the first block.
          ws: latents (N, 3, w_dim), in the first block (N, 2, w_dim).
          noise_mode: "random", "const" or "none".
          key: of random noise.
          record: told the results.
        """
        tell = record or (lambda name, array: None)
        keys = (None, None) if key is None else jax.random.split(key)
        if self.conv0 is not None:
            x = self.conv0(x, ws[:, 0], noise_mode=noise_mode, key=keys[0])
            tell("conv0", x)
        x = self.conv1(x, ws[:, -2], noise_mode=noise_mode, key=keys[1])
        tell("conv1", x)
        # Images add up in float32 or better.
        seen = self.torgb(x, ws[:, -1]).astype(ws.dtype)
        image = seen if image is None else upsample2d(image, _FILTER) + seen
        tell("image", image)
        return x, image


class StyledConv(nnx.Module):
    """Modulated 3 x 3 convolution, noise, bias, leaky ReLU.

    Attributes:
      affine: from the latent to the styles.
      kernel: (3, 3, in_channels, out_channels).
      bias: (out_channels,).
      noise: (resolution, resolution), the constant pattern.
      noise_strength: () factor of the noise, learned from 0 on.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        *,
        up: int = 1,
        conv_clamp: float | None,
        param_dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        """Draws the weights and the constant noise.

        Args:
          in_channels: channels in.
          out_channels: channels out.
          w_dim: length of the latent.
          resolution: side of the map coming out.
          up: 1, or 2 to double the map.
          conv_clamp: bound on the activation's magnitude, or None.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.
        """
        self.resolution, self.up, self.conv_clamp = resolution, up, conv_clamp
        self.affine = _styles(w_dim, in_channels, param_dtype, rngs)
        normal = initializers.normal(1.0)
        self.kernel = nnx.Param(
            normal(rngs.params(), (3, 3, in_channels, out_channels), param_dtype)
        )
        self.bias = nnx.Param(jnp.zeros(out_channels, param_dtype))
        self.noise_strength = nnx.Param(jnp.zeros((), param_dtype))
        wide = jnp.promote_types(param_dtype, jnp.float32)
        self.noise = Constant(normal(rngs.params(), (resolution, resolution), wide))

    def __call__(
        self, x: jax.Array, w: jax.Array, *, noise_mode: NoiseMode, key: jax.Array | None
    ) -> jax.Array:
        """Maps (N, r / up, r / up, in_channels) to (N, r, r, out_channels), in the dtype of `x`."""
        styles, kernel = self.affine(w), self.kernel[...]
        if self.up == 1:
            x = modulated_conv2d(x, kernel, styles, padding=1)
        else:
            x = modulated_conv2d(x, kernel, styles, padding=2, up=2)
            # Centres the result on the input; the gain makes up for the zeros.
            x = upfirdn2d(x, _FILTER, padding=(1, 0, 1, 0), gain=4)
        if noise_mode != "none":
            noise = self.noise[...]
            if noise_mode == "random":
                noise = jax.random.normal(key, (len(x), *noise.shape), noise.dtype)
            noise = noise * self.noise_strength[...]
            x = x + noise[..., None].astype(x.dtype)
        return bias_activation(x, self.bias[...], clamp=self.conv_clamp)


class ToRGB(nnx.Module):
    """Modulated 1 x 1 convolution without demodulation, and a bias.

    Attributes:
      affine: from the latent to the styles.
      kernel: (1, 1, in_channels, img_channels).
      bias: (img_channels,).
    """

    def __init__(
        self,
        in_channels: int,
        img_channels: int,
        w_dim: int,
        *,
        conv_clamp: float | None,
        param_dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        """Draws the weights; arguments as of `StyledConv`."""
        self.conv_clamp = conv_clamp
        self.affine = _styles(w_dim, in_channels, param_dtype, rngs)
        shape = (1, 1, in_channels, img_channels)
        self.kernel = nnx.Param(initializers.normal(1.0)(rngs.params(), shape, param_dtype))
        self.bias = nnx.Param(jnp.zeros(img_channels, param_dtype))

    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        """Maps (N, r, r, in_channels) to (N, r, r, img_channels), in the dtype of `x`."""
        # Nothing normalises here: the equalised learning rate's factor does instead.
        styles = self.affine(w) / math.sqrt(x.shape[-1])
        x = modulated_conv2d(x, self.kernel[...], styles, demodulate=False)
        return bias_activation(
            x, self.bias[...], activation="identity", gain=1.0, clamp=self.conv_clamp
        )


def _styles(w_dim: int, channels: int, param_dtype, rngs) -> EqualizedLinear:
    ones = nnx.initializers.ones_init()
    return EqualizedLinear(w_dim, channels, bias_init=ones, param_dtype=param_dtype, rngs=rngs)
