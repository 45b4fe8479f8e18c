"""Public filtered activation: argument checks, and the stage that implementations follow.

Semantics are those of the filtered leaky ReLU of "Alias-Free Generative Adversarial Networks"
(Karras et al., 2021, section 3.2): the signal is upsampled so that the activation's harmonics find
room, activated there, low-pass filtered and brought back.
"""

import functools
import math
from typing import Literal

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.ops.filtered_activation import activations, composition, derivatives
from aa_jax.ops.filtered_activation.filters import Filter
from aa_jax.ops.filtered_activation.implementations import IMPLEMENTATIONS
from aa_jax.ops.filtered_activation.piecewise import PiecewiseLinear
from aa_jax.ops.filtered_activation.stage import Stage
from aa_jax.ops.pad import as_padding, is_integer
from aa_jax.ops.resample.api import extended, factors_of
from aa_jax.ops.resample.terms import Taps

Boundary = Literal["zero", "circular"]
Residuals = Literal["codes", "recompute"]


def filtered_activation2d(
    x: jax.Array,
    up_filter: Taps = None,
    down_filter: Taps = None,
    *,
    bias: jax.Array | None = None,
    up: int | tuple[int, int] = 1,
    down: int | tuple[int, int] = 1,
    padding=0,
    activation: activations.Activation = "leaky_relu",
    parameters: tuple[jax.Array, ...] = (),
    slope: float = 0.2,
    gain: float | None = None,
    clamp: float | None = None,
    flip_filter: bool = False,
    boundary: Boundary = "zero",
    residuals: Residuals = "codes",
    implementation: str | None = None,
) -> jax.Array:
    """Adds a bias, upsamples, activates, low-pass filters and downsamples, in one operator.

    In order: `x + bias`; zero insertion by `up`; padding; `up_filter` with a gain of up^2;
    `clamp(gain * activation(...))`; `down_filter`; every `down`-th sample. Differentiable to any
    order, forward and reverse, with respect to `x`, `bias`, `parameters`, and filters that are JAX
    arrays. For piecewise-linear activations the backward pass keeps two bits per sample of the
    temporary grid. The negative side of leaky ReLU is where the sign bit is set, so +0 passes;
    a gradient is zero strictly beyond the clamp.

    Example:
      >>> taps = firwin_sinc(12, cutoff=1.0, width=1.2, rate=4.0)
      >>> y = filtered_activation2d(x, taps, taps, bias=b, up=2, down=2, padding=(9, 8, 9, 8))

    Args:
      x: array of shape (..., height, width, channels), floating; computed in float32 or better.
      up_filter: any filter that `upfirdn2d` takes, a host array, static. A JAX array (taps,) is a
        learned separable filter, differentiated but slower.
      down_filter: as `up_filter`.
      bias: (channels,), added before padding, or None.
      up: upsampling factor, or (vertical, horizontal).
      down: downsampling factor, or (vertical, horizontal).
      padding: samples on the upsampled grid: int, (vertical, horizontal) or (top, bottom, left,
        right). Negative crops.
      activation: "identity", "relu", "leaky_relu", "gelu" (exact), "silu", "tanh", "sigmoid",
        "elu", "selu", "softplus", "snake", "polynomial", or a pointwise callable.
      parameters: arrays given to the activation after the signal, broadcast along channels:
        (alpha,) or (alpha, beta) for snake, (coefficients,) for polynomial.
      slope: of leaky ReLU's negative side.
      gain: factor after the activation; None: sqrt(2) for relu, leaky_relu and silu, else 1.
      clamp: bound on the magnitude after the gain, or None.
      flip_filter: False convolves, True correlates, with both filters.
      boundary: what lies outside of x: "zero", or "circular" for periodic signals.
      residuals: what the backward pass of a piecewise-linear activation keeps: "codes", two bits
        per sample of the temporary grid, or "recompute", nothing but `x`. Other activations
        always recompute.
      implementation: None chooses by platform when lowered; "xla"; "pallas" (TPU, NVIDIA Hopper).

    Returns:
      Array of shape (..., out_height, out_width, channels), dtype of `x`, where along each axis
      `out = (size * up + padding - (up_taps - 1) - (down_taps - 1) + down - 1) // down`.

    Raises:
      ValueError: if an argument is malformed, a filter is longer than what it filters, or
        implementation="pallas" can't serve.
    """
    if x.ndim < 3:
        raise ValueError(f"x must have shape (..., height, width, channels), got {x.shape}.")
    _check(x, bias, activation, parameters, clamp, boundary, residuals, implementation)
    top, bottom, left, right = as_padding(padding)
    if bias is not None:
        # Not in 16 bits: the gradient with respect to the bias is a sum over all samples.
        wide = jnp.promote_types(x.dtype, jnp.float32)
        x = (x.astype(wide) + bias.astype(wide)).astype(x.dtype)
    ups, downs = factors_of("up", up, 2), factors_of("down", down, 2)
    pads = ((top, bottom), (left, right))
    flip = not flip_filter
    upward = Filter("up_filter", up_filter, gain=math.prod(ups), flip=flip, dtype=x.dtype)
    downward = Filter("down_filter", down_filter, gain=1.0, flip=flip, dtype=x.dtype)
    sizes = x.shape[-3:-1]
    up_axes = upward.axes(sizes, up=ups, down=(1, 1), padding=pads)
    temporary = [axis.size_out for axis in up_axes]
    down_axes = downward.axes(temporary, up=(1, 1), down=downs, padding=((0, 0),) * 2)
    if boundary == "circular":
        _check_period(up_axes)
        x, up_axes = extended(x, up_axes, "circular")

    gain = activations.default_gain(activation) if gain is None else float(gain)
    slope = activations.piecewise_slope(activation, float(slope))
    lead = x.shape[:-3]
    x = x.reshape(math.prod(lead), *x.shape[-3:])
    if slope is None or upward.learned or downward.learned:
        if implementation == "pallas":
            raise ValueError(
                "implementation='pallas' serves identity, relu and leaky_relu with static filters, "
                f"got activation={activation!r}; use implementation=None or 'xla'."
            )
        y = composition.run(
            x,
            upward.operator(up_axes),
            activations.pointwise(activation, slope=slope, gain=gain, clamp=clamp),
            parameters,
            downward.operator(down_axes),
        )
    else:
        stage = Stage(
            up=upward.plan(up_axes),
            down=downward.plan(down_axes),
            activation=PiecewiseLinear(slope, gain, None if clamp is None else float(clamp)),
        )
        run = functools.partial(
            derivatives.filtered_activation, stage=stage, implementation=implementation
        )
        y = (jax.checkpoint(run) if residuals == "recompute" else run)(x)
    return y.reshape(*lead, *y.shape[1:])


def filtered_activation1d(
    x: jax.Array,
    up_filter=None,
    down_filter=None,
    *,
    up: int = 1,
    down: int = 1,
    padding: int | tuple[int, int] = 0,
    **options,
) -> jax.Array:
    """`filtered_activation2d` for signals (..., width, channels); `up_filter` has a gain of up.

    Args:
      x: array of shape (..., width, channels), floating.
      up_filter: (taps,), a host array, or a JAX array if it is learned; None for no filter.
      down_filter: as `up_filter`.
      up: upsampling factor.
      down: downsampling factor.
      padding: samples on the upsampled grid, int or (before, after). Negative crops.
      **options: as those of `filtered_activation2d`: bias, activation, parameters, slope, gain,
        clamp, flip_filter, boundary, residuals, implementation.

    Returns:
      Array of shape (..., out_width, channels), dtype of `x`.

    Raises:
      ValueError: as `filtered_activation2d`.
    """
    if x.ndim < 2:
        raise ValueError(f"x must have shape (..., width, channels), got {x.shape}.")
    for name, taps in (("up_filter", up_filter), ("down_filter", down_filter)):
        shape = () if taps is None else getattr(taps, "shape", None) or np.shape(taps)
        if taps is not None and len(shape) != 1:
            raise ValueError(f"{name} must have shape (taps,), got shape {shape}.")
    pads = tuple(np.ravel(np.asarray(padding, object)))
    pads = pads * 2 if len(pads) == 1 else pads
    if len(pads) != 2 or not all(map(is_integer, pads)):
        raise ValueError(f"padding must be an integer or (before, after), got {padding!r}.")
    # One row: the vertical axis has no filter and no factor.
    y = filtered_activation2d(
        x[..., None, :, :],
        _along_rows(up_filter),
        _along_rows(down_filter),
        up=(1, *factors_of("up", up, 1)),
        down=(1, *factors_of("down", down, 1)),
        padding=(0, 0, *pads),
        **options,
    )
    return y[..., 0, :, :]


def _along_rows(taps):
    return None if taps is None else (np.ones(1), taps)


def _check(x, bias, activation, parameters, clamp, boundary, residuals, implementation) -> None:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"x must be a floating-point array, got dtype {x.dtype}; cast it first.")
    if bias is not None and jnp.shape(bias) != x.shape[-1:]:
        raise ValueError(
            f"bias must have shape ({x.shape[-1]},) for x of shape {x.shape}, got "
            f"{jnp.shape(bias)}."
        )
    activations.check(activation, parameters, x.shape[-1])
    for name, value, known in (
        ("boundary", boundary, ("zero", "circular")),
        ("residuals", residuals, ("codes", "recompute")),
        ("implementation", implementation, IMPLEMENTATIONS),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {known}, got {value!r}.")
    if clamp is not None and not clamp > 0:
        raise ValueError(f"clamp must be positive or None, got {clamp!r}.")


def _check_period(axes) -> None:
    for a, axis in enumerate(axes):
        first, end = axis.reach
        if max(-first, end - axis.size_in) > axis.size_in:
            raise ValueError(
                f"padding with boundary='circular' must stay within a period of x: axis {a - 3} "
                f"has {axis.size_in} samples, and {max(-first, end - axis.size_in)} are read "
                "beyond them; tile x first."
            )
