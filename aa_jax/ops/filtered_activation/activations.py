"""Pointwise activations by name, with the field's default gains."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.ops.filtered_activation.piecewise import PiecewiseLinear, clamped

Activation = str | Callable


def snake(x: jax.Array, alpha: jax.Array, beta: jax.Array | None = None) -> jax.Array:
    """Returns x + sin(alpha x)^2 / beta; beta defaults to alpha.

    Periodic inductive bias (Ziyin et al., 2020); with a beta of its own, the vocoder BigVGAN's
    "snakebeta". Both are linear-scale parameters, per channel.
    """
    if beta is None:
        # Near zero the leading term, so that the limit and its derivatives are finite.
        tiny = jnp.abs(alpha) < 1e-6
        periodic = jnp.sin(alpha * x) ** 2 / jnp.where(tiny, 1, alpha)
        return x + jnp.where(tiny, alpha * x**2, periodic)
    return x + jnp.sin(alpha * x) ** 2 / beta


def polynomial(x: jax.Array, coefficients: jax.Array) -> jax.Array:
    """Returns the sum of coefficients[i] * x**i.

    A polynomial of degree d widens the band by d and no more, so that a finite upsampling makes it
    exactly alias-free (Michaeli et al., "Alias-free convnets", CVPR 2023).

    Args:
      x: signal (..., C).
      coefficients: (degree + 1,) or, per channel, (degree + 1, C).
    """
    total = jnp.zeros_like(x)
    for coefficient in coefficients[::-1]:
        total = total * x + coefficient
    return total


@dataclasses.dataclass(frozen=True)
class _Entry:
    function: Callable | None
    gain: float = 1.0
    # What the activation needs besides the signal.
    parameters: tuple[int, int] = (0, 0)
    slope: float | None = None


_TABLE = {
    "identity": _Entry(None, slope=1.0),
    "relu": _Entry(None, gain=float(np.sqrt(2)), slope=0.0),
    "leaky_relu": _Entry(None, gain=float(np.sqrt(2))),
    "gelu": _Entry(lambda x: jax.nn.gelu(x, approximate=False)),
    "silu": _Entry(jax.nn.silu, gain=float(np.sqrt(2))),
    "tanh": _Entry(jnp.tanh),
    "sigmoid": _Entry(jax.nn.sigmoid),
    "elu": _Entry(jax.nn.elu),
    "selu": _Entry(jax.nn.selu),
    "softplus": _Entry(jax.nn.softplus),
    "snake": _Entry(snake, parameters=(1, 2)),
    "polynomial": _Entry(polynomial, parameters=(1, 1)),
}
NAMES = tuple(_TABLE)


def default_gain(activation: Activation) -> float:
    """sqrt(2) for relu, leaky_relu and silu, which halve the power of noise; otherwise 1."""
    return 1.0 if callable(activation) else _TABLE[activation].gain


def piecewise_slope(activation: Activation, slope: float) -> float | None:
    """Slope of the negative side if the activation is piecewise linear, else None."""
    if callable(activation):
        return None
    if activation == "leaky_relu":
        return slope
    return _TABLE[activation].slope


def pointwise(
    activation: Activation, *, slope: float | None, gain: float, clamp: float | None
) -> Callable:
    """The whole pointwise step as a function of a signal and parameters.

    Args:
      activation: name or callable.
      slope: what `piecewise_slope` says.
      gain: factor after the activation.
      clamp: bound on the magnitude after the gain, or None.
    """
    if slope is not None:
        return PiecewiseLinear(slope, gain, clamp).value
    function = activation if callable(activation) else _TABLE[activation].function

    def run(u, *parameters):
        return clamped(function(u, *parameters) * gain, clamp)

    return run


def check(activation: Activation, parameters: tuple, channels: int) -> None:
    """Raises ValueError if the activation is unknown or its parameters don't fit."""
    if callable(activation):
        return
    if activation not in _TABLE:
        raise ValueError(
            f"activation must be a callable or one of {', '.join(NAMES)}, got {activation!r}."
        )
    least, most = _TABLE[activation].parameters
    if not least <= len(parameters) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise ValueError(
            f"parameters of activation {activation!r} must be {wanted} arrays, got "
            f"{len(parameters)}."
        )
    for number, parameter in enumerate(parameters):
        shape = jnp.shape(parameter)
        allowed = [(1,), (channels,)]
        if activation == "polynomial":
            allowed = [shape[:1], *(shape[:1] + end for end in allowed)] if shape else []
        else:
            allowed.append(())
        if shape not in allowed:
            rows = " (wanted: a row for each coefficient)" if activation == "polynomial" else ""
            raise ValueError(
                f"parameters[{number}] of activation {activation!r} must broadcast to {channels} "
                f"channels, got shape {shape}{rows}."
            )
