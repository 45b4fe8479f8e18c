"""One layer of the alias-free generator: modulated convolution and filtered activation."""

import functools
import math

import jax
import numpy as np
from flax import nnx
from jax import lax, numpy as jnp

from aa_jax.models.alias_free.layer_spec import FilterDesign, LayerSpec
from aa_jax.nn import initializers
from aa_jax.nn.equalized import EqualizedLinear
from aa_jax.nn.variables import MovingAverage
from aa_jax.ops.filtered_activation import filtered_activation2d
from aa_jax.ops.modulated_conv import modulated_conv2d


class SynthesisLayer(nnx.Module):
    """Scales by a running magnitude, convolves as the latent styles it, activates without aliasing.

    Attributes:
      affine: from the latent to the styles.
      kernel: (k, k, in_channels, out_channels).
      bias: (out_channels,).
      magnitude_ema: () running mean of the squared input.
    """

    def __init__(
        self,
        spec: LayerSpec,
        w_dim: int,
        *,
        conv_clamp: float | None = 256.0,
        magnitude_ema_beta: float = 0.999,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          spec: what the plan says about the layer.
          w_dim: length of the latent.
          conv_clamp: bound on the activation's magnitude, or None.
          magnitude_ema_beta: share that the running magnitude keeps at an update.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.
        """
        self.spec, self.conv_clamp = spec, conv_clamp
        self.magnitude_ema_beta = magnitude_ema_beta
        shape = (spec.conv_kernel, spec.conv_kernel, spec.in_channels, spec.out_channels)
        self.kernel = nnx.Param(initializers.normal(1.0)(rngs.params(), shape, param_dtype))
        self.bias = nnx.Param(jnp.zeros(spec.out_channels, param_dtype))
        self.affine = EqualizedLinear(
            w_dim,
            spec.in_channels,
            bias_init=nnx.initializers.ones_init(),
            param_dtype=param_dtype,
            rngs=rngs,
        )
        self.magnitude_ema = MovingAverage(
            jnp.ones((), jnp.promote_types(param_dtype, jnp.float32))
        )

    def __call__(
        self,
        x: jax.Array,
        w: jax.Array,
        *,
        dtype: jnp.dtype | None = None,
        update_emas: bool = False,
        implementation: str | None = None,
    ) -> jax.Array:
        """Maps (N, *in_size, in_channels) to (N, *out_size, out_channels).

        Args:
          x: features.
          w: latents (N, w_dim), float32 or better.
          dtype: dtype of the computation and the result; None: that of `x`.
          update_emas: whether the running magnitude takes this batch in, before it is used.
          implementation: of the filtered activation.

        Raises:
          ValueError: `x` has another size.
        """
        spec = self.spec
        if x.shape[1:] != (*spec.in_size, spec.in_channels):
            expected = (*spec.in_size, spec.in_channels)
            raise ValueError(f"x of layer {spec.name} must be (N, {expected}), got {x.shape}")
        if update_emas:
            wide = lax.stop_gradient(x).astype(self.magnitude_ema.dtype)
            change = jnp.mean(wide**2) - self.magnitude_ema[...]
            self.magnitude_ema[...] += (1 - self.magnitude_ema_beta) * change
        styles = self.affine(w)
        if spec.is_torgb:
            styles = styles / math.sqrt(spec.in_channels)
        x = modulated_conv2d(
            x if dtype is None else x.astype(dtype),
            self.kernel[...],
            styles,
            padding=spec.conv_kernel - 1,
            demodulate=not spec.is_torgb,
            input_gain=lax.rsqrt(self.magnitude_ema[...]),
        )
        return filtered_activation2d(
            x,
            _taps(spec.up_filter),
            _taps(spec.down_filter),
            bias=self.bias[...],
            up=spec.up_factor,
            down=spec.down_factor,
            padding=spec.padding,
            activation="identity" if spec.is_torgb else "leaky_relu",
            clamp=self.conv_clamp,
            implementation=implementation,
        )


@functools.lru_cache
def _taps(design: FilterDesign | None) -> np.ndarray | None:
    """A filter's taps, rounded to float32 as published networks store them."""
    return None if design is None else design.taps().astype(np.float32)
