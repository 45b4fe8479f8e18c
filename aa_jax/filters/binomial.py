"""Binomial low-pass filters, the blur kernels of BlurPool."""

import math

import numpy as np

MAX_SIZE = 7


def binomial(size: int) -> np.ndarray:
    """Returns a row of Pascal's triangle, normalised to sum 1.

    These are the blur kernels of Zhang, "Making Convolutional Networks Shift-Invariant Again"
    (ICML 2019, section 3.2): size 2 is the box, 3 the triangle, 5 the "Bin-5" filter. Every tap
    is a dyadic fraction, hence exact in float32. The 2-D filter is the outer product.

    Args:
      size: number of taps, 1 to 7. Size 1 is the identity.

    Returns:
      Taps of shape (size,), float64.

    Raises:
      ValueError: if `size` is not an integer from 1 to 7.

    Example:
      >>> binomial(3)
      array([0.25, 0.5 , 0.25])
    """
    if not isinstance(size, (int, np.integer)) or not 1 <= size <= MAX_SIZE:
        raise ValueError(
            f"size must be an integer from 1 to {MAX_SIZE}, got {size!r}; for a wider blur "
            "design a filter with firwin_sinc or gaussian."
        )
    order = int(size) - 1
    row = np.array([math.comb(order, k) for k in range(order + 1)], dtype=np.float64)
    return row / 2.0**order
