"""Layers with an equalised learning rate: unit weights, scaled when they are used.

Karras et al., "Progressive Growing of GANs" (ICLR 2018), section 4.1. Every weight is drawn from
N(0, 1) and multiplied by 1/sqrt(fan_in) at run time, so that Adam's steps, which know no scale,
change all of them at the same relative speed.
"""

import math

import jax
import numpy as np
from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.filters import binomial
from aa_jax.nn import initializers
from aa_jax.ops.bias_activation import bias_activation
from aa_jax.ops.conv import conv2d
from aa_jax.ops.filtered_activation.activations import Activation, check, default_gain
from aa_jax.ops.pad import is_integer
from aa_jax.ops.resample import downsample2d, upfirdn2d


class EqualizedLinear(nnx.Module):
    """Affine map of the last axis: `x @ (kernel * m / sqrt(in_features)) + bias * m`.

    With a `learning_rate_multiplier` m below 1 the stored weights are as much larger, so that an
    optimiser's step moves the map by m times as much.

    Attributes:
      kernel: (in_features, out_features).
      bias: (out_features,).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        learning_rate_multiplier: float = 1.0,
        kernel_deviation: float = 1.0,
        bias_init: nnx.Initializer = jax.nn.initializers.zeros,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          in_features: length of the last axis going in.
          out_features: length of the last axis coming out.
          learning_rate_multiplier: m above.
          kernel_deviation: standard deviation of the kernel as it is used, times sqrt(in_features).
          bias_init: initialiser of the bias as it is used.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.
        """
        multiplier = learning_rate_multiplier
        draw = initializers.normal(kernel_deviation / multiplier)
        self.kernel = nnx.Param(draw(rngs.params(), (in_features, out_features), param_dtype))
        bias = bias_init(rngs.params(), (out_features,), param_dtype)
        self.bias = nnx.Param(bias / multiplier)
        self.kernel_scale = multiplier / math.sqrt(in_features)
        self.bias_scale = multiplier

    def __call__(self, x: Array) -> Array:
        """Maps (..., in_features) to (..., out_features), in the dtype of `x`.

        Raises:
          ValueError: the last axis has another length.
        """
        kernel, bias = self.kernel[...], self.bias[...]
        if x.shape[-1] != kernel.shape[0]:
            raise ValueError(f"x must have {kernel.shape[0]} features last, got shape {x.shape}")
        kernel, bias = kernel * self.kernel_scale, bias * self.bias_scale
        # Accelerators would round float32 factors: too coarse for latents and styles.
        return jnp.matmul(x, kernel.astype(x.dtype), precision="highest") + bias.astype(x.dtype)


class EqualizedConv(nnx.Module):
    """Convolution that keeps or divides the size, then bias, activation, gain and clamp.

    The kernel is used as `kernel / sqrt(kernel_size**2 * in_features)`. Before a stride, a binomial
    low-pass filter removes what the coarser grid cannot hold (Karras et al., "Analyzing and
    Improving the Image Quality of StyleGAN", CVPR 2020).

    Attributes:
      kernel: taps (kh, kw, in_features, out_features).
      bias: (out_features,), or None.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        *,
        down: int = 1,
        filter_size: int = 4,
        use_bias: bool = True,
        activation: Activation = "leaky_relu",
        gain: float = 1.0,
        clamp: float | None = None,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights; the bias starts at zero.

        Args:
          in_features: channels in.
          out_features: channels out.
          kernel_size: side of the square kernel, odd.
          down: factor by which the result is smaller.
          filter_size: taps of the binomial filter in front of a stride, 1 (none) to 7.
          use_bias: whether to add a bias.
          activation: as `aa_jax.ops.bias_activation.bias_activation` takes it.
          gain: factor of the result, on top of the activation's own gain.
          clamp: bound on the result's magnitude before `gain`, which scales both; or None.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.

        Raises:
          ValueError: the kernel's side is even, `down` or `clamp` not positive, or the filter size
            or activation unknown.
        """
        if not (is_integer(kernel_size) and kernel_size > 0 and kernel_size % 2):
            raise ValueError(f"kernel_size must be an odd positive integer, got {kernel_size!r}")
        if not (is_integer(down) and down >= 1):
            raise ValueError(f"down must be a positive integer, got {down!r}")
        if clamp is not None and not clamp > 0:
            raise ValueError(f"clamp must be positive or None, got {clamp!r}")
        binomial(filter_size)  # says what is wrong with the size
        check(activation, (), out_features)
        shape = (kernel_size, kernel_size, in_features, out_features)
        self.kernel = nnx.Param(initializers.normal(1.0)(rngs.params(), shape, param_dtype))
        self.bias = nnx.Param(jnp.zeros((out_features,), param_dtype)) if use_bias else None
        self.kernel_scale = 1 / math.sqrt(math.prod(shape[:3]))
        self.down, self.filter_size, self.activation = down, filter_size, activation
        self.gain = gain * default_gain(activation)
        self.clamp = None if clamp is None else clamp * gain

    def __call__(self, x: Array) -> Array:
        """Maps (N, H, W, in_features) to (N, H // down, W // down, out_features), same dtype.

        Raises:
          ValueError: `x` is not of this shape.
        """
        kernel = (self.kernel[...] * self.kernel_scale).astype(x.dtype)
        bias = None if self.bias is None else self.bias[...]
        return self._activate(self._convolve(x, kernel), bias)

    # The two steps that a subclass may do with other filters.

    def _low_pass(self) -> np.ndarray:
        """Taps (taps,) in front of the stride."""
        return binomial(self.filter_size)

    def _activate(self, y: Array, bias: Array | None) -> Array:
        return bias_activation(
            y, bias, activation=self.activation, gain=self.gain, clamp=self.clamp
        )

    def _convolve(self, x: Array, kernel: Array) -> Array:
        margin = kernel.shape[0] // 2
        if self.down == 1:
            return conv2d(x, kernel, padding=margin)
        taps = self._low_pass()
        if margin == 0:
            # Nothing between the kept samples is read: they need not be computed.
            return conv2d(downsample2d(x, taps, down=self.down), kernel)
        excess = len(taps) - self.down
        before, after = margin + (excess + 1) // 2, margin + excess // 2
        x = upfirdn2d(x, taps, padding=(before, after, before, after))
        return conv2d(x, kernel, stride=self.down)
