"""How close images are: mean absolute error, peak signal-to-noise ratio, structural similarity.

The measures return one number per image, and averaging is left to the caller: the mean of decibels
isn't the decibels of the mean error, and papers report either.

Images are floating, of any range: `data_range` is the difference between the largest and smallest
value that the format allows, 1 for [0, 1], 2 for [-1, 1], 255 for bytes. Sums are in float32 or
better, and the result has the dtype of the images.
"""

import functools
import math
from typing import Literal, get_args

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.filters import gaussian
from aa_jax.ops.resample import upfirdn2d

Window = Literal["gaussian", "uniform"]

GAUSSIAN_SIGMA = 1.5
GAUSSIAN_RADIUS = 5  # 3.5 standard deviations, rounded
UNIFORM_SIZE = 7

# Wang et al. call them K1 and K2: they keep the quotients finite where an image is dark or flat.
_LUMINANCE, _CONTRAST = 0.01, 0.03

# What luma_bt601 weights red, green and blue by, and adds.
_LUMA = (65.481, 128.553, 24.966)
_BLACK = 16.0


def mean_absolute_error(a: jax.Array, b: jax.Array) -> jax.Array:
    """Averages |a - b| over each image.

    The gradient at equal samples is zero.

    Args:
      a: images of shape (..., height, width, channels), floating.
      b: images of the same shape.

    Returns:
      Array of shape (...,), in the units of the images.

    Raises:
      ValueError: if an array isn't floating, or the shapes differ or aren't those of images.
    """
    a, b, dtype = _checked_pair(a, b)
    error = a - b
    # JAX's derivative of |0| is 1, which would push equal images apart.
    magnitude = jnp.where(error == 0, 0, jnp.abs(error))
    return jnp.mean(magnitude, axis=(-3, -2, -1)).astype(dtype)


def peak_signal_to_noise(a: jax.Array, b: jax.Array, *, data_range: float = 1.0) -> jax.Array:
    """Computes 10 log10(data_range² / mean squared error) of each image.

    For identical images it is +inf, and its gradient there is NaN: train on the error itself.

    Args:
      a: images of shape (..., height, width, channels), floating.
      b: images of the same shape.
      data_range: largest minus smallest possible value, static.

    Returns:
      Array of shape (...,), in decibels.

    Raises:
      ValueError: as `mean_absolute_error`, or if `data_range` isn't positive.

    Example:
      >>> float(peak_signal_to_noise(jnp.zeros((8, 8, 1)), jnp.full((8, 8, 1), 0.1)))
      20.0
    """
    a, b, dtype = _checked_pair(a, b)
    error = (a - b) / _checked_range(data_range)
    return (-10 * jnp.log10(jnp.mean(error**2, axis=(-3, -2, -1)))).astype(dtype)


def structural_similarity(
    a: jax.Array, b: jax.Array, *, data_range: float = 1.0, window: Window = "gaussian"
) -> jax.Array:
    """Compares the local means, variances and covariance of images; 1 for identical ones.

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity" (IEEE
    Transactions on Image Processing, 2004, section III.B): in a window around each pixel,

      (2 m_a m_b + C1) (2 cov + C2) / ((m_a² + m_b² + C1) (var_a + var_b + C2))

    with C1 = (0.01 data_range)² and C2 = (0.03 data_range)², averaged over all pixels whose window
    lies inside the image, and over the channels.

    Numbers of different windows can't be compared. Both equal scikit-image's:
      "gaussian": the paper's, 11 x 11 taps with a standard deviation of 1.5, as
        `gaussian_weights=True, use_sample_covariance=False` there. The border dropped is 5 pixels.
      "uniform": a box of 7 x 7 pixels with the sample covariance (divided by 48 rather than 49), as
        is the default there. The border dropped is 3 pixels.

    Args:
      a: images of shape (..., height, width, channels), floating.
      b: images of the same shape.
      data_range: largest minus smallest possible value, static.
      window: "gaussian" or "uniform".

    Returns:
      Array of shape (...,), at most 1. Finite, and so are its gradients, for identical images too.

    Raises:
      ValueError: as `peak_signal_to_noise`, or if there is no such window, or the images are
        smaller than it.
    """
    if window not in get_args(Window):
        raise ValueError(f"window must be one of {', '.join(get_args(Window))}, got {window!r}.")
    a, b, dtype = _checked_pair(a, b)
    size = len(_taps(window)[0])
    if min(a.shape[-3:-1]) < size:
        raise ValueError(
            f"a and b must have at least the {size} x {size} pixels of the {window} window, got "
            f"shape {a.shape}."
        )
    return _similarity(a, b, _checked_range(data_range), window).astype(dtype)


def luma_bt601(rgb: jax.Array) -> jax.Array:
    """Computes the luma Y of Rec. ITU-R BT.601 in its byte scale: black is 16, white is 235.

    Y is not rounded to a byte, which would change a ratio of 41 dB by 0.15. What the reference
    arrays call the PSNR of Y is `peak_signal_to_noise(luma_bt601(a), luma_bt601(b),
    data_range=255)`: 255, although Y spans 219 only, which would make 1.3 dB less.

    Args:
      rgb: images of shape (..., height, width, 3), floating, in [0, 1]. They are not clipped.

    Returns:
      Array of shape (..., height, width, 1): 16 + 65.481 R + 128.553 G + 24.966 B.

    Raises:
      ValueError: if `rgb` isn't floating or has another shape.
    """
    rgb = _checked("rgb", rgb)
    if rgb.shape[-1] != 3:
        raise ValueError(f"rgb must have shape (..., height, width, 3), got {rgb.shape}.")
    dtype = _accumulator(rgb.dtype)
    weighted = rgb.astype(dtype) * np.array(_LUMA, dtype)
    return (jnp.sum(weighted, axis=-1, keepdims=True) + _BLACK).astype(rgb.dtype)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _similarity(a, b, data_range: float, window: Window):
    taps, scale = _taps(window)
    # Variances don't depend on an offset, but their rounding does: that of E[x²] - E[x]² grows
    # with the square of the mean. They don't depend on it in the derivative, either.
    offset = jax.lax.stop_gradient(jnp.mean(a + b, axis=(-3, -2), keepdims=True) / 2)
    a, b = a - offset, b - offset
    # 2 cov = var_a + var_b - var(a - b): a filter less, and exactly 1 for identical images.
    moments = jnp.concatenate([a, b, a**2 + b**2, (a - b) ** 2], axis=-1)
    mean_a, mean_b, squares, squared_difference = jnp.split(upfirdn2d(moments, taps), 4, axis=-1)
    difference = mean_a - mean_b
    variances = scale * (squares - mean_a**2 - mean_b**2)
    variance_of_difference = scale * (squared_difference - difference**2)
    means = (mean_a + offset) ** 2 + (mean_b + offset) ** 2
    luminance = 1 - difference**2 / (means + (_LUMINANCE * data_range) ** 2)
    structure = 1 - variance_of_difference / (variances + (_CONTRAST * data_range) ** 2)
    return jnp.mean(luminance * structure, axis=(-3, -2, -1))


def _taps(window: Window) -> tuple[np.ndarray, float]:
    """The separable window, and what turns its biased variance into the one to use."""
    if window == "gaussian":
        return gaussian(GAUSSIAN_SIGMA, radius=GAUSSIAN_RADIUS), 1.0
    pixels = UNIFORM_SIZE**2
    return np.full(UNIFORM_SIZE, 1 / UNIFORM_SIZE), pixels / (pixels - 1)


def _accumulator(dtype):
    return jnp.promote_types(dtype, jnp.float32)


def _checked_pair(a, b):
    """Both images in float32 or better, and the dtype of the result."""
    a, b = _checked("a", a), _checked("b", b)
    if a.shape != b.shape:
        raise ValueError(f"b must have the shape of a, {a.shape}, got {b.shape}.")
    dtype = jnp.promote_types(a.dtype, b.dtype)
    return a.astype(_accumulator(dtype)), b.astype(_accumulator(dtype)), dtype


def _checked(name: str, images) -> jax.Array:
    images = jnp.asarray(images)
    if not jnp.issubdtype(images.dtype, jnp.floating):
        # Differences of bytes would wrap around.
        raise ValueError(
            f"{name} must be a floating-point array, got dtype {images.dtype}; cast it first, and "
            f"give the data range that goes with it: bytes are {name}.astype(jnp.float32) / 255 "
            "for a range of 1."
        )
    if images.ndim < 3 or 0 in images.shape[-3:]:
        raise ValueError(
            f"{name} must have shape (..., height, width, channels), none of them 0, got "
            f"{images.shape}."
        )
    return images


def _checked_range(data_range) -> float:
    try:
        value = float(data_range)
    except (TypeError, ValueError) as error:  # a traced number is a TypeError
        raise ValueError(
            f"data_range must be a number known before tracing, got {data_range!r}."
        ) from error
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"data_range must be positive and finite, got {data_range!r}.")
    return value
