"""Dense layer."""

import math

from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.nn import initializers
from aa_jax.nn.precision import promote


class Linear(nnx.Module):
    """Affine map of the last axis.

    Attributes:
      kernel: (in_features, out_features).
      bias: (out_features,).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        kernel_init: nnx.Initializer = initializers.uniform_fan_in,
        bias_init: nnx.Initializer | None = None,
        dtype: jnp.dtype | None = None,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          in_features: length of the last axis going in.
          out_features: length of the last axis coming out.
          kernel_init: initialiser of the kernel.
          bias_init: initialiser of the bias; None: uniform on +-1/sqrt(in_features).
          dtype: dtype of the computation; None: what signal and weights promote to.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.
        """
        shape = (in_features, out_features)
        if bias_init is None:
            bias_init = initializers.uniform(1 / math.sqrt(in_features))
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, param_dtype))
        self.bias = nnx.Param(bias_init(rngs.params(), (out_features,), param_dtype))
        self.dtype = dtype

    def __call__(self, x: Array) -> Array:
        """Maps (..., in_features) to (..., out_features)."""
        kernel, bias = self.kernel[...], self.bias[...]
        if x.shape[-1] != kernel.shape[0]:
            raise ValueError(f"x must have {kernel.shape[0]} features last, got shape {x.shape}")
        x, kernel, bias = promote(x, kernel, bias, dtype=self.dtype)
        return x @ kernel + bias
