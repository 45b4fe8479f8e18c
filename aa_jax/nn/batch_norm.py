"""Batch normalisation with explicit training, and its frozen form."""

import math

from flax import nnx
from jax import Array, lax, numpy as jnp


class BatchNorm(nnx.Module):
    """Normalises every channel by statistics over all other axes.

    In training the batch's own mean and biased variance normalise, and the running estimates
    move towards the batch's mean and *unbiased* variance by the share `momentum`. In evaluation
    the running estimates normalise. Statistics are computed and stored in float32 or better.

    Attributes:
      scale, bias: (features,) parameters.
      mean, var: (features,) running estimates.
    """

    def __init__(
        self,
        features: int,
        *,
        epsilon: float = 1e-5,
        momentum: float = 0.1,
        dtype: jnp.dtype | None = None,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs | None = None,
    ):
        """Starts as the identity.

        Args:
          features: number of channels.
          epsilon: added to the variance.
          momentum: share of a new batch in the running estimates (0.1 keeps nine tenths).
          dtype: dtype of the result; None: that of the signal.
          param_dtype: dtype of scale and bias; estimates are float32 or better.
          rngs: unused; accepted so that all layers are built alike.
        """
        del rngs
        statistics_dtype = jnp.promote_types(param_dtype, jnp.float32)
        self.scale = nnx.Param(jnp.ones((features,), param_dtype))
        self.bias = nnx.Param(jnp.zeros((features,), param_dtype))
        self.mean = nnx.BatchStat(jnp.zeros((features,), statistics_dtype))
        self.var = nnx.BatchStat(jnp.ones((features,), statistics_dtype))
        self.epsilon, self.momentum, self.dtype = epsilon, momentum, dtype

    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """Normalises (..., features), and in training updates the running estimates."""
        return self.normalize(x, *self.statistics(x, train=train))

    def statistics(self, x: Array, *, train: bool = False) -> tuple[Array, Array]:
        """Mean and variance to normalise `x` with; in training the estimates are updated.

        Raises:
          ValueError: `x` has other channels, or in training a single value per channel.
        """
        if x.shape[-1] != self.mean.shape[0]:
            raise ValueError(f"x must have {self.mean.shape[0]} channels, got shape {x.shape}")
        if not train:
            return self.mean[...], self.var[...]
        count = math.prod(x.shape[:-1])
        if count < 2:
            raise ValueError(
                "training statistics need more than one value per channel, got x of shape "
                f"{x.shape}; use a larger batch or image, or train=False"
            )
        x = x.astype(jnp.promote_types(x.dtype, self.mean.dtype))
        axes = tuple(range(x.ndim - 1))
        mean = jnp.mean(x, axis=axes)
        var = jnp.mean(jnp.square(x - mean), axis=axes)
        self._update(self.mean, mean)
        self._update(self.var, var * (count / (count - 1)))
        return mean, var

    def normalize(self, x: Array, mean: Array, var: Array) -> Array:
        """Applies given statistics, then scale and bias, to (..., features)."""
        factor = self.scale[...] * lax.rsqrt(var + self.epsilon)
        y = (x.astype(jnp.promote_types(x.dtype, factor.dtype)) - mean) * factor + self.bias[...]
        return y.astype(x.dtype if self.dtype is None else self.dtype)

    def _update(self, estimate: nnx.BatchStat, value: Array) -> None:
        value = lax.stop_gradient(value).astype(estimate.dtype)
        estimate[...] = (1 - self.momentum) * estimate[...] + self.momentum * value


class FrozenBatchNorm(BatchNorm):
    """Batch normalisation that never learns: fixed statistics, fixed scale and bias, no epsilon.

    What detection networks put in the place of batch normalisation when images per device are
    too few for statistics. All four tensors are state, not parameters.
    """

    def __init__(self, features: int, **options):
        """Starts as the identity; `dtype`, `param_dtype` and `rngs` as in `BatchNorm`."""
        super().__init__(features, epsilon=0.0, **options)
        self.scale = nnx.BatchStat(self.scale[...])
        self.bias = nnx.BatchStat(self.bias[...])

    def statistics(self, x: Array, *, train: bool = False) -> tuple[Array, Array]:
        """The stored mean and variance; `train` changes nothing."""
        del train
        return super().statistics(x, train=False)
