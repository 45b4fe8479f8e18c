"""One name for every way to make an image smaller, and the model's own rule for any scale."""

import functools

import jax
import numpy as np
from jax import lax, numpy as jnp

from aa_jax.filters import downsampling_sigma
from aa_jax.ops.bilateral import bilateral_filter
from aa_jax.ops.downsample.adaptive import adaptive
from aa_jax.ops.downsample.checks import Phase, check_call, check_images
from aa_jax.ops.downsample.designs import PILLOW, cells, kept
from aa_jax.ops.downsample.low_pass import ideal, jinc
from aa_jax.ops.downsample.separable import reduce_images
from aa_jax.ops.order_filters import median_filter


def downsample(
    images: jax.Array, factor: float, *, method: str = "gaussian", phase: Phase = "native"
) -> jax.Array:
    """Makes images smaller by a factor, by any of the methods of the downsampling study.

    | method | filter | native centre | outside |
    |---|---|---|---|
    | gaussian | the motion model's rule, `antialias_interpolate` | pixel f i | zeros |
    | subsample, nearest | none | f i | |
    | bicubic, bilinear, lanczos | Pillow's, stretched by the factor | cell | renormalised |
    | area | mean of f x f pixels | cell | |
    | average_pool | mean of k x k pixels, k odd, f or f + 1 | f i | left out |
    | median | of 3 x 3 pixels | f i | zeros |
    | bilateral | 5 x 5 pixels, sigma 1.5 px, 0.1 in colour | f i | reflected |
    | kaiser_sinc, jinc | 6 f taps, -6 dB at the new Nyquist frequency | cell | edge |
    | ideal | cosines below the new Nyquist frequency | cell | reflected |
    | adaptive | see `adaptive` (ours) | f i | edge |

    The centre of a cell lies (f - 1) / 2 pixels beyond its first one, f i: such methods give a
    picture that is shifted against the others', by 1.5 pixels for f = 4. With `phase="aligned"`
    they, too, are centred on f i. It changes nothing in the others.

    Sides: methods centred on f i, and all aligned ones, give ceil(size / f) samples, which is where
    they lie in the image; the others floor(size / f). Bicubic, bilinear, lanczos and ideal then
    stretch by size / floor(size / f), as resizing does; of the rest, an incomplete cell is left
    out. For a factor that is not whole, gaussian keeps every floor(f)-th sample, as published, and
    nearest sample floor(f i).

    Differentiable with respect to the images, bilateral and median almost everywhere.

    Args:
      images: array of shape (height, width, channels) or (batch, height, width, channels),
        floating; any range, though bilateral's colour width means [0, 1].
      factor: f, at least 1. Not whole only for gaussian, nearest, bicubic, bilinear, lanczos and
        ideal.
      method: one of `METHODS`.
      phase: "native" or "aligned".

    Returns:
      Smaller images of the same dtype; computed in float32 or better.

    Raises:
      ValueError: if an argument has another shape or type, there is no such method or phase, the
        method needs a whole factor, or an image is smaller than the factor.

    Example:
      >>> downsample(np.ones((64, 48, 3), np.float32), 4, method="lanczos").shape
      (16, 12, 3)
    """
    if not hasattr(images, "dtype"):  # quicker to ask than whether it is an array
        images = np.asarray(images)
    check_call(images.shape, images.dtype, factor, method, phase)
    return _downsample(images, factor, method, phase)


def antialias_interpolate(images: jax.Array, scale: float) -> jax.Array:
    """Blurs by a Gaussian that suits a scale, and keeps every floor(1 / scale)-th sample from 0 on.

    The rule of Siarohin et al., "First Order Motion Model for Image Animation" (NeurIPS 2019):
    sigma = (1 / scale - 1) / 2, 2 round(4 sigma) + 1 taps, zeros outside, so that borders darken.
    A scale whose inverse is not whole gives more samples than it says.

    Args:
      images: array of shape (height, width, channels) or (batch, height, width, channels),
        floating.
      scale: size of the result relative to the images, in (0, 1]; 1 returns them untouched.

    Returns:
      Array of the dtype of `images` with ceil(size / floor(1 / scale)) samples a side.

    Raises:
      ValueError: if the scale is out of range, or the images have another shape or type.
    """
    if not hasattr(images, "dtype"):
        images = np.asarray(images)
    check_images(images.shape, images.dtype)
    downsampling_sigma(scale)  # raises for a scale out of range
    return jnp.asarray(images) if scale == 1 else _gaussian(images, float(scale))


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _downsample(images, factor, method: str, phase: Phase):
    whole = int(factor) if factor == int(factor) else None
    if method == "gaussian":
        return images if factor == 1 else reduce_images(images, "gaussian", factor, "native")
    if method in PILLOW or method in ("area", "kaiser_sinc"):
        return reduce_images(images, method, whole or factor, phase)
    if method == "average_pool":
        size = whole + 1 - whole % 2
        return reduce_images(images, "average", whole, "native", (size, size // 2, "renormalised"))
    if method == "median":
        return median_filter(images, stride=whole)
    if method == "bilateral":
        return bilateral_filter(images, stride=whole)
    if method == "subsample":
        return _every(images, whole)
    if method == "nearest":
        return _nearest(images, factor, phase)
    function = {"jinc": jinc, "ideal": ideal, "adaptive": adaptive}[method]
    y = function(images if images.ndim == 4 else images[None], whole or factor, phase)
    return y if images.ndim == 4 else y[0]


@functools.partial(jax.jit, static_argnums=1)
def _gaussian(images, scale: float):
    return reduce_images(images, "gaussian", 1 / scale, "native")


def _nearest(images, factor, phase: Phase):
    counts = [(cells if phase == "native" else kept)(s, factor) for s in images.shape[-3:-1]]
    if factor == int(factor):
        height, width = (
            min(c * int(factor), s) for c, s in zip(counts, images.shape[-3:-1], strict=True)
        )
        return _every(images[..., :height, :width, :], int(factor))
    for axis, count in zip((-3, -2), counts, strict=True):
        places = np.floor(np.arange(count) * factor + 1e-9).astype(int)
        images = jnp.take(images, places, axis=axis)
    return images


def _every(images, factor: int):
    height, width, channels = images.shape[-3:]
    if height % factor or width % factor:
        return images[..., ::factor, ::factor, :]
    # The same samples; but XLA copies the channels of one together.
    cut = images.reshape(-1, height // factor, factor, width // factor, factor * channels)
    kept = lax.slice_in_dim(cut[:, :, 0], 0, channels, axis=3)
    return kept.reshape(*images.shape[:-3], *kept.shape[1:])
