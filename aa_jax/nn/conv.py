"""Convolution layer."""

import math

from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.nn import initializers
from aa_jax.nn.precision import promote
from aa_jax.ops.conv import conv2d


class Conv(nnx.Module):
    """Two-dimensional convolution, NHWC, with the boundary modes of `aa_jax.ops.conv.conv2d`.

    Attributes:
      kernel: taps (kh, kw, in_features / groups, out_features).
      bias: (out_features,), or None.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int | tuple[int, ...] = 0,
        padding_mode: str = "zero",
        groups: int = 1,
        use_bias: bool = False,
        kernel_init: nnx.Initializer = initializers.kaiming_normal_fan_out,
        bias_init: nnx.Initializer | None = None,
        dtype: jnp.dtype | None = None,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          in_features: channels in.
          out_features: channels out.
          kernel_size: side of the square kernel.
          stride: step between output positions.
          padding: one number, (vertical, horizontal) or (top, bottom, left, right).
          padding_mode: "zero", "reflect", "edge" or "circular".
          groups: contiguous channel groups convolved independently.
          use_bias: whether to add a bias.
          kernel_init: initialiser of the kernel.
          bias_init: initialiser of the bias; None: uniform on +-1/sqrt(fan_in).
          dtype: dtype of the computation; None: what signal and weights promote to.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.

        Raises:
          ValueError: `groups` does not divide both channel counts.
        """
        if in_features % groups or out_features % groups:
            raise ValueError(
                f"groups must divide the channels, got {groups} groups for {in_features} channels "
                f"in and {out_features} out"
            )
        shape = (kernel_size, kernel_size, in_features // groups, out_features)
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, param_dtype))
        if use_bias:
            if bias_init is None:
                bias_init = initializers.uniform(1 / math.sqrt(math.prod(shape[:3])))
            self.bias = nnx.Param(bias_init(rngs.params(), (out_features,), param_dtype))
        else:
            self.bias = None
        self.stride, self.padding, self.padding_mode = stride, padding, padding_mode
        self.groups, self.dtype = groups, dtype

    def __call__(self, x: Array, *, stride: int | None = None) -> Array:
        """Convolves (N, H, W, in_features) to (N, H', W', out_features).

        Args:
          x: signal.
          stride: overrides the layer's own stride.
        """
        bias = None if self.bias is None else self.bias[...]
        x, kernel, bias = promote(x, self.kernel[...], bias, dtype=self.dtype)
        y = conv2d(
            x,
            kernel,
            stride=self.stride if stride is None else stride,
            padding=self.padding,
            padding_mode=self.padding_mode,
            groups=self.groups,
        )
        return y if bias is None else y + bias
