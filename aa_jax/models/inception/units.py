"""What feature networks are made of: convolution, bias and ReLU; a mean over what is there.

These networks only ever run with published weights, so batch normalisation is part of the kernel
and bias, and there is no training mode. They are called under a stated precision of matrix
products (see `precise`): a GPU's default of ten bits moves a Fréchet distance in its third digit.
"""

import contextlib

import jax
import numpy as np
from flax import nnx
from jax import Array, lax, numpy as jnp

from aa_jax.nn.initializers import kaiming_normal_fan_in
from aa_jax.ops.convolution_form import convolution


class FeatureConv(nnx.Module):
    """Convolution of stated height and width, bias, ReLU.

    Attributes:
      kernel: taps (kh, kw, inputs, outputs).
      bias: (outputs,).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        taps: tuple[int, int],
        *,
        stride: int = 1,
        padding: tuple[int, int] = (0, 0),
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          inputs: channels in.
          outputs: channels out.
          taps: height and width of the kernel.
          stride: step between output positions.
          padding: zeros at the top and bottom, and at the left and right.
          param_dtype: dtype of weights and computation.
          rngs: random streams; "params" is used.
        """
        shape = (*taps, inputs, outputs)
        self.kernel = nnx.Param(kaiming_normal_fan_in(rngs.params(), shape, param_dtype))
        self.bias = nnx.Param(jnp.zeros((outputs,), param_dtype))
        self.stride, self.padding = stride, padding

    def __call__(self, x: Array) -> Array:
        """Maps (N, H, W, inputs) to (N, H', W', outputs)."""
        kernel = self.kernel[...]
        if kernel.shape[:2] == (1, 1) and self.stride == 1 and not any(self.padding):
            # XLA's matrix product is up to twice as fast on CPU as its 1 x 1 convolution.
            y = x @ kernel[0, 0]
        else:
            # Not `conv2d`: it computes at the precision in force when a function is lowered, this
            # at the one in force when it is called.
            sides = tuple((zeros, zeros) for zeros in self.padding)
            y = convolution(x, kernel, (self.stride, self.stride), sides)
        return jax.nn.relu(y + self.bias[...])


def precise(precision: str) -> contextlib.AbstractContextManager:
    """Within it products of matrices and convolutions are computed at this precision.

    Args:
      precision: "highest" (float32 on every device), "high" or "default".
    """
    return jax.default_matmul_precision(precision)


def mean_of_neighbours(x: Array) -> Array:
    """Mean over the 3 x 3 window around each sample, of those samples that are in the map.

    Args:
      x: signal (N, H, W, C).

    Returns:
      The same shape. A corner is a mean of four: what TensorFlow's average pool does with
      "SAME" padding, where PyTorch's divides by nine unless told otherwise.
    """
    total = lax.reduce_window(
        x,
        np.array(0, x.dtype),
        lax.add,
        window_dimensions=(1, 3, 3, 1),
        window_strides=(1, 1, 1, 1),
        padding=((0, 0), (1, 1), (1, 1), (0, 0)),
    )
    rows, columns = (_counts(size) for size in x.shape[1:3])
    return total / np.outer(rows, columns)[..., None].astype(x.dtype)


def _counts(size: int) -> np.ndarray:
    """How many of a sample, the one before and the one after are there."""
    index = np.arange(size)
    return 1 + (index > 0) + (index < size - 1)
