"""Instance normalisation."""

from flax import nnx
from jax import Array, lax, numpy as jnp


class InstanceNorm(nnx.Module):
    """Normalises every channel of every image by its own mean and biased variance.

    There are no running estimates: training and evaluation are the same. Statistics are computed
    in float32 or better (Ulyanov et al., "Instance Normalization", 2016).

    Attributes:
      scale, bias: (features,) parameters.
    """

    def __init__(
        self,
        features: int,
        *,
        epsilon: float = 1e-5,
        dtype: jnp.dtype | None = None,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs | None = None,
    ):
        """Starts with scale one and bias zero.

        Args:
          features: number of channels.
          epsilon: added to the variance.
          dtype: dtype of the result; None: that of the signal.
          param_dtype: dtype of scale and bias.
          rngs: unused; accepted so that all layers are built alike.
        """
        del rngs
        self.scale = nnx.Param(jnp.ones((features,), param_dtype))
        self.bias = nnx.Param(jnp.zeros((features,), param_dtype))
        self.epsilon, self.dtype = epsilon, dtype

    def __call__(self, x: Array) -> Array:
        """Normalises (N, H, W, features) over H and W.

        Raises:
          ValueError: `x` is not of that shape, or has a single pixel, which normalises to nothing.
        """
        features = self.scale.shape[0]
        if x.ndim != 4 or x.shape[-1] != features:
            raise ValueError(f"x must be (N, H, W, {features}), got shape {x.shape}")
        if x.shape[1] * x.shape[2] < 2:
            raise ValueError(
                f"x must have more than one pixel to be normalised by its own statistics, got "
                f"shape {x.shape}; use larger images"
            )
        wide = x.astype(jnp.promote_types(jnp.promote_types(x.dtype, self.scale.dtype), "float32"))
        mean = jnp.mean(wide, axis=(1, 2), keepdims=True)
        var = jnp.mean(jnp.square(wide - mean), axis=(1, 2), keepdims=True)
        factor = self.scale[...] * lax.rsqrt(var + self.epsilon)
        y = (wide - mean) * factor + self.bias[...]
        return y.astype(x.dtype if self.dtype is None else self.dtype)
