"""Layers with an equalised learning rate: unit weights, scaled when they are used.

Karras et al., "Progressive Growing of GANs" (ICLR 2018), section 4.1. Every weight is drawn from
N(0, 1) and multiplied by 1/sqrt(fan_in) at run time, so that Adam's steps, which know no scale,
change all of them at the same relative speed.
"""

import math

from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.nn import initializers


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
        bias_init: nnx.Initializer = nnx.initializers.zeros_init(),
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
        return x @ kernel.astype(x.dtype) + bias.astype(x.dtype)
