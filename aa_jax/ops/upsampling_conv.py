"""Convolutions behind upsampling by two that compute on the coarse grid."""

import jax
from jax import numpy as jnp

from aa_jax.ops.conv import conv2d


def upsampling_conv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Puts a zero behind every sample along both axes and correlates with a kernel, fully.

    Also known as transposed convolution of stride 2. Of the result, samples of one parity of row
    and column only ever meet the same taps of the kernel: these four kernels, of a quarter of the
    taps each, run on the coarse grid as one convolution, whose channels are then spread out. That
    is 16 instead of 36 products for every sample and pair of channels of a 3 x 3 kernel.

    Args:
      x: signal (N, H, W, I).
      kernel: taps (k, k, I, O) with an odd k, of the dtype of `x`.

    Returns:
      (N, 2H + k - 1, 2W + k - 1, O): what `conv2d` with a padding of k - 1 makes of the signal
      (N, 2H, 2W, I) with zeros inserted.

    Raises:
      ValueError: the kernel is not square or its side even, or the shapes do not fit together.
    """
    if kernel.ndim != 4 or kernel.shape[0] != kernel.shape[1] or not kernel.shape[0] % 2:
        raise ValueError(f"kernel must be (k, k, I, O) with an odd k, got shape {kernel.shape}")
    side, inputs, outputs = kernel.shape[1:]
    taps = (side + 1) // 2
    # With a zero in front, odd rows of the result meet the taps 0, 2, ... and even rows 1, 3, ...
    phases = jnp.pad(kernel, ((1, 0), (1, 0), (0, 0), (0, 0)))
    phases = phases.reshape(taps, 2, taps, 2, inputs, outputs)[:, ::-1, :, ::-1]
    phases = phases.transpose(0, 2, 4, 1, 3, 5).reshape(taps, taps, inputs, 4 * outputs)
    y = conv2d(x, phases, padding=taps - 1)
    batch, height, width = y.shape[:3]
    y = y.reshape(batch, height, width, 2, 2, outputs).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(batch, 2 * height, 2 * width, outputs)


def nearest_upsampling_conv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Repeats every sample along both axes and correlates with a 3 x 3 kernel; zeros outside.

    The three taps along an axis meet two samples only, of which one is met twice. Their sums give
    a kernel of 2 x 2 taps for each of the four phases of the result: 16 instead of 36 products for
    every sample and pair of channels, on the coarse grid.

    Args:
      x: signal (N, H, W, I).
      kernel: taps (3, 3, I, O), of the dtype of `x`.

    Returns:
      (N, 2H, 2W, O): what `conv2d` with a padding of 1 makes of the repeated signal.

    Raises:
      ValueError: the kernel is not 3 x 3, or the shapes do not fit together.
    """
    if kernel.ndim != 4 or kernel.shape[:2] != (3, 3):
        raise ValueError(f"kernel must be (3, 3, I, O), got shape {kernel.shape}")
    # (row phase, row, 3, I, O), then (row, column, I, row phase, column phase, O)
    rows = jnp.stack([_tap_sums(kernel, 0, odd) for odd in (0, 1)])
    phases = jnp.stack([_tap_sums(rows, 2, odd) for odd in (0, 1)])
    phases = phases.transpose(2, 3, 4, 1, 0, 5).reshape(2, 2, x.shape[-1], -1)
    y = conv2d(x, phases, padding=1)
    y = y.reshape(*y.shape[:3], 2, 2, kernel.shape[3])
    height, width = x.shape[1:3]
    parts = [y[:, a : a + height, b : b + width, a, b] for a in (0, 1) for b in (0, 1)]
    y = jnp.stack(parts, -2).reshape(*x.shape[:3], 2, 2, kernel.shape[3])
    return y.transpose(0, 1, 3, 2, 4, 5).reshape(x.shape[0], 2 * height, 2 * width, -1)


def _tap_sums(kernel: jax.Array, axis: int, odd: int) -> jax.Array:
    """What two neighbouring samples are multiplied by at even or odd positions of an axis."""
    # At an even position the sample before meets tap 0 and its own taps 1 and 2; at an odd one its
    # own meets taps 0 and 1 and the next one tap 2.
    first, second, third = jnp.moveaxis(kernel, axis, 0)
    pair = (first + second, third) if odd else (first, second + third)
    return jnp.stack(pair, axis)
