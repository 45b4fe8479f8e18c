"""Image pyramids: Gaussian and Laplacian by octaves, and the motion model's by scales."""

from collections.abc import Sequence

import jax
from jax import numpy as jnp

from aa_jax.filters import binomial
from aa_jax.ops.downsample import antialias_interpolate
from aa_jax.ops.resample import upfirdn2d

SCALES = (1, 0.5, 0.25, 0.125)


def gaussian_pyramid(images: jax.Array, levels: int) -> tuple[jax.Array, ...]:
    """Blurs by the binomial row [1, 4, 6, 4, 1] / 16 and halves, again and again.

    Burt and Adelson, "The Laplacian pyramid as a compact image code" (1983), with a = 3/8. Sample i
    of a level lies on sample 2 i of the one before; outside lies the mirror image.

    Args:
      images: (height, width, channels) or (batch, height, width, channels), floating.
      levels: how many images, the given one among them.

    Returns:
      The images, largest first; each has ceil(side / 2) samples of the one before.

    Raises:
      ValueError: if an argument is malformed, or a level is too small to be halved.
    """
    _check(images, levels)
    pyramid = [jnp.asarray(images)]
    for _ in range(levels - 1):
        pyramid.append(_halved(pyramid[-1]))
    return tuple(pyramid)


def laplacian_pyramid(images: jax.Array, levels: int) -> tuple[jax.Array, ...]:
    """What each level of `gaussian_pyramid` has beyond the next one, and the last level itself.

    Args:
      images: (height, width, channels) or (batch, height, width, channels), floating.
      levels: how many images come out.

    Returns:
      The bands, finest first, of the sides of `gaussian_pyramid`; see `reconstruct`.

    Raises:
      ValueError: as `gaussian_pyramid`.
    """
    levels = gaussian_pyramid(images, levels)
    bands = [
        fine - _doubled(coarse, fine.shape)
        for fine, coarse in zip(levels, levels[1:], strict=False)
    ]
    return (*bands, levels[-1])


def reconstruct(pyramid: Sequence[jax.Array]) -> jax.Array:
    """Puts the images of a `laplacian_pyramid` together again, exactly up to rounding.

    Args:
      pyramid: the bands, finest first.

    Returns:
      The images.

    Raises:
      ValueError: if there are none, or a level has not half the sides of the one before.
    """
    if not pyramid:
        raise ValueError("pyramid must hold one image at least, got none.")
    images = pyramid[-1]
    for level in range(len(pyramid) - 2, -1, -1):
        shape = pyramid[level].shape
        half = tuple(-(-side // 2) for side in shape[-3:-1])
        if images.shape != (*shape[:-3], *half, shape[-1]):
            raise ValueError(
                f"pyramid must have ceil(side / 2) samples in level {level + 1} for shape {shape} "
                f"in level {level}, got shape {images.shape}."
            )
        images = pyramid[level] + _doubled(images, shape)
    return images


def image_pyramid(images: jax.Array, scales: Sequence[float] = SCALES) -> dict[float, jax.Array]:
    """The images at several scales, each made of the given ones by the motion model's rule.

    Siarohin et al., "First Order Motion Model for Image Animation" (NeurIPS 2019), whose perceptual
    loss and discriminator look at these; see `aa_jax.ops.downsample.antialias_interpolate`.

    Args:
      images: (height, width, channels) or (batch, height, width, channels), floating.
      scales: in (0, 1].

    Returns:
      Images by scale, as given.

    Raises:
      ValueError: if a scale is out of range or the images have another shape or type.
    """
    return {scale: antialias_interpolate(images, float(scale)) for scale in scales}


def _halved(images):
    return upfirdn2d(images, binomial(5), down=2, padding=2, mode="reflect")


def _doubled(images, shape):
    """Twice the size, less a row or column where that is odd; zeros in between, then the blur."""
    height, width = shape[-3:-1]
    # Upsampled, the axis ends in a zero; the last sample of an odd one does not want it.
    padding = (2, 2 - height % 2, 2, 2 - width % 2)
    return upfirdn2d(images, binomial(5), up=2, padding=padding, gain=4.0, mode="edge")


def _check(images, levels: int) -> None:
    shape, dtype = jnp.shape(images), jnp.result_type(images)
    if len(shape) not in (3, 4) or 0 in shape or not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(
            "images must be floats of shape ([batch,] height, width, channels), got "
            f"{dtype} of shape {shape}."
        )
    if isinstance(levels, bool) or not isinstance(levels, int) or levels < 1:
        raise ValueError(f"levels must be a positive integer, got {levels!r}.")
    side = min(shape[-3:-1])
    for level in range(levels - 1):
        if side < 3:
            raise ValueError(
                f"levels={levels} are too many for images of shape {shape}: level {level} would "
                f"have a side of {side}, and only 3 samples or more can be halved."
            )
        side = -(-side // 2)
