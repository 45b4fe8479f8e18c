"""Bias, pointwise activation, gain and clamp: a filtered activation without its filters."""

import jax
from jax import numpy as jnp

from aa_jax.ops.filtered_activation import activations


def bias_activation(
    x: jax.Array,
    bias: jax.Array | None = None,
    *,
    activation: activations.Activation = "leaky_relu",
    slope: float = 0.2,
    gain: float | None = None,
    clamp: float | None = None,
) -> jax.Array:
    """Returns clamp(gain * activation(x + bias)), differentiable to any order.

    The helper of Karras et al. (2020), with the edge rules of `filtered_activation2d`.

    Args:
      x: array of shape (..., channels), floating.
      bias: (channels,), or None.
      activation: a name that `filtered_activation2d` knows and that takes no parameters, or a
        pointwise callable.
      slope: of leaky ReLU's negative side.
      gain: factor after the activation; None: sqrt(2) for relu, leaky_relu and silu, else 1.
      clamp: bound on the magnitude after the gain, or None.

    Returns:
      Array of the shape and dtype of `x`.

    Raises:
      ValueError: the activation is unknown, the bias has another shape, or the clamp is not
        positive.
    """
    activations.check(activation, (), x.shape[-1])
    if clamp is not None and not clamp > 0:
        raise ValueError(f"clamp must be positive or None, got {clamp!r}.")
    if bias is not None:
        if bias.shape != x.shape[-1:]:
            raise ValueError(
                f"bias must have shape ({x.shape[-1]},) for x of shape {x.shape}, got {bias.shape}."
            )
        # Summed in float32 or better: so is the bias's gradient, over all positions.
        wide = jnp.promote_types(x.dtype, jnp.float32)
        x = (x.astype(wide) + bias.astype(wide)).astype(x.dtype)
    run = activations.pointwise(
        activation,
        slope=activations.piecewise_slope(activation, float(slope)),
        gain=activations.default_gain(activation) if gain is None else float(gain),
        clamp=clamp,
    )
    return run(x)
