"""The mapping network, from a random latent (and a class) to the latent that styles layers."""

import jax
from flax import nnx
from jax import lax, numpy as jnp

from aa_jax.nn.equalized import EqualizedLinear
from aa_jax.nn.variables import MovingAverage
from aa_jax.ops.bias_activation import bias_activation


class MappingNetwork(nnx.Module):
    """A few dense layers with leaky ReLU behind normalised inputs, as in StyleGAN2 and 3.

    Attributes:
      embed: `EqualizedLinear` of the class, or None for an unconditional network.
      layers: the dense layers.
      w_avg: (w_dim,) running mean of the result, the centre that truncation moves towards; None
        where it is not tracked.
    """

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int | None = None,
        *,
        num_layers: int = 2,
        learning_rate_multiplier: float = 0.01,
        w_avg_beta: float | None = 0.998,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          z_dim: length of the random latent; 0 for none.
          c_dim: length of the class vector; 0 for an unconditional network.
          w_dim: length of the result, and width of all layers.
          num_ws: how many copies of the result a call returns; None: the result itself.
          num_layers: dense layers; 2 in configurations T and R, 8 in StyleGAN2.
          learning_rate_multiplier: of the dense layers.
          w_avg_beta: share that the running mean keeps at an update; None tracks no mean.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.

        Raises:
          ValueError: there is nothing to map.
        """
        if not z_dim and not c_dim:
            raise ValueError(f"z_dim or c_dim must be positive, got {z_dim} and {c_dim}")
        self.z_dim, self.c_dim, self.w_dim, self.num_ws = z_dim, c_dim, w_dim, num_ws
        self.w_avg_beta = w_avg_beta
        options = {"param_dtype": param_dtype, "rngs": rngs}
        self.embed = EqualizedLinear(c_dim, w_dim, **options) if c_dim else None
        widths = [z_dim + (w_dim if c_dim else 0)] + [w_dim] * num_layers
        self.layers = nnx.List(
            EqualizedLinear(
                inputs, outputs, learning_rate_multiplier=learning_rate_multiplier, **options
            )
            for inputs, outputs in zip(widths[:-1], widths[1:], strict=True)
        )
        mean = jnp.zeros(w_dim, jnp.promote_types(param_dtype, jnp.float32))
        self.w_avg = None if w_avg_beta is None else MovingAverage(mean)

    def __call__(
        self,
        z: jax.Array | None,
        c: jax.Array | None = None,
        *,
        truncation_psi: float | jax.Array = 1.0,
        truncation_cutoff: int | None = None,
        update_emas: bool = False,
    ) -> jax.Array:
        """Maps latents.

        Args:
          z: (N, z_dim), standard normal; None where z_dim is 0.
          c: class vectors (N, c_dim), one-hot as a rule; None for an unconditional network.
          truncation_psi: the result moves towards the mean, `w_avg + psi * (w - w_avg)`: 1 leaves
            it, 0 is the mean itself; below 0 and above 1 are allowed.
          truncation_cutoff: how many of the copies are moved, from the first; None: all.
          update_emas: whether the running mean takes this batch in.

        Returns:
          (N, num_ws, w_dim), or (N, w_dim) where num_ws is None; float32 or better.

        Raises:
          ValueError: a latent or class is missing, surplus or of another shape, or something
            asks for a running mean that is not tracked.
        """
        self._check(z, c, truncation_psi, truncation_cutoff, update_emas)
        dtype = jnp.promote_types(self.layers[0].kernel.dtype, jnp.float32)
        inputs = [] if z is None else [_normalized(jnp.asarray(z, dtype))]
        if c is not None:
            inputs.append(_normalized(self.embed(jnp.asarray(c, dtype))))
        w = jnp.concatenate(inputs, axis=-1)
        for layer in self.layers:
            w = bias_activation(layer(w))
        if update_emas:
            mean = jnp.mean(lax.stop_gradient(w), axis=0)
            self.w_avg[...] += (1 - self.w_avg_beta) * (mean - self.w_avg[...])
        if self.num_ws is not None:
            w = jnp.broadcast_to(w[:, None], (w.shape[0], self.num_ws, w.shape[1]))
        if _is_one(truncation_psi):
            return w
        mean = self.w_avg[...]
        truncated = mean + truncation_psi * (w - mean)
        if truncation_cutoff is None:
            return truncated
        moved = jnp.arange(self.num_ws) < truncation_cutoff
        return jnp.where(moved[:, None], truncated, w)

    def _check(self, z, c, truncation_psi, truncation_cutoff, update_emas) -> None:
        batch = next((len(value) for value in (z, c) if value is not None), 0)
        check_latents(z, self.z_dim, batch, name="z", plural="latents")
        check_latents(c, self.c_dim, batch, name="c", plural="class vectors")
        if self.w_avg is None and (update_emas or not _is_one(truncation_psi)):
            raise ValueError("w_avg_beta is None, so there is no mean to truncate to or to update")
        if truncation_cutoff is not None and self.num_ws is None:
            raise ValueError(f"truncation_cutoff must be None without num_ws: {truncation_cutoff}")


def check_latents(value, length: int, batch: int, *, name: str, plural: str) -> None:
    """Raises ValueError unless `value` is (batch, length), or None where length is 0."""
    if not length:
        if value is not None:
            raise ValueError(
                f"{name} must be None, this network takes no {plural}, got shape {jnp.shape(value)}"
            )
    elif value is None:
        raise ValueError(f"{name} must be {plural} (N, {length}), got None")
    elif jnp.shape(value) != (batch, length):
        raise ValueError(f"{name} must be ({batch}, {length}), got shape {jnp.shape(value)}")


def _is_one(psi) -> bool:
    return isinstance(psi, (int, float)) and psi == 1


def _normalized(x: jax.Array) -> jax.Array:
    return x * lax.rsqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-8)
