"""Convolution whose kernel a style scales for every sample of the batch."""

import math

import jax
from jax import lax, numpy as jnp

from aa_jax.ops.conv import conv2d
from aa_jax.ops.upsampling_conv import upsampling_conv2d


def modulated_conv2d(
    x: jax.Array,
    kernel: jax.Array,
    styles: jax.Array,
    *,
    padding: int | tuple[int, ...] = 0,
    demodulate: bool = True,
    up: int = 1,
    input_gain: jax.Array | None = None,
) -> jax.Array:
    """Correlates every sample with its own kernel, `kernel * styles`, brought to unit norm.

    The kernel's channels and the styles are first brought to unit power, the styles by one number
    for the whole batch; then the kernel of every sample and output channel is divided by its norm
    (demodulation), so that unit noise leaves as unit noise. No kernels are made: scaling a
    kernel's inputs and outputs is scaling the signal in front of and behind a shared convolution.
    Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR 2020), section 2.2.

    Args:
      x: signal (N, H, W, I).
      kernel: taps (kh, kw, I, O), at least float32.
      styles: (N, I), at least float32.
      padding: zeros around the signal: one number, (vertical, horizontal), or (top, bottom, left,
        right).
      demodulate: whether to normalise; without it, the kernel is `kernel * styles`.
      up: 1, or 2 to put a zero behind every sample of the signal first, along both axes. Padding
        is then counted on the finer grid, and must be that of a full convolution, `kw - 1`.
      input_gain: (), (I,) or (N, I), a factor on the input that demodulation does not undo.

    Returns:
      (N, H', W', O), dtype of `x`.

    Raises:
      ValueError: shapes do not fit together.
    """
    inputs, outputs = kernel.shape[-2:]
    if x.ndim != 4 or x.shape[-1] != inputs:
        raise ValueError(f"x must be (N, H, W, {inputs}), got shape {x.shape}")
    if styles.shape != (x.shape[0], inputs):
        raise ValueError(f"styles must be ({x.shape[0]}, {inputs}), got shape {styles.shape}")
    if input_gain is not None and jnp.shape(input_gain) not in ((), (inputs,), styles.shape):
        raise ValueError(
            f"input_gain must be (), ({inputs},) or {styles.shape}, got {jnp.shape(input_gain)}"
        )
    if up not in (1, 2):
        raise ValueError(f"up must be 1 or 2, got {up!r}")
    if up == 2 and padding != kernel.shape[1] - 1:
        raise ValueError(f"padding must be {kernel.shape[1] - 1} with up=2, got {padding!r}")
    output_scale = None
    if demodulate:
        # Both before any cast: what follows is then of order one, as 16 bits need it.
        kernel = kernel * lax.rsqrt(jnp.mean(kernel**2, axis=(0, 1, 2)))
        styles = styles * lax.rsqrt(jnp.mean(styles**2))
        power = jnp.matmul(styles**2, jnp.sum(kernel**2, axis=(0, 1)))
        # A convolution of unit inputs, too, stays of order one if its taps have unit norm.
        norm = math.sqrt(math.prod(kernel.shape[:3]))
        kernel = kernel / norm
        output_scale = norm * lax.rsqrt(power + 1e-8)
    scale = styles if input_gain is None else styles * input_gain
    x = x * scale[:, None, None].astype(x.dtype)
    kernel = kernel.astype(x.dtype)
    y = conv2d(x, kernel, padding=padding) if up == 1 else upsampling_conv2d(x, kernel)
    return y if output_scale is None else y * output_scale[:, None, None].astype(y.dtype)
