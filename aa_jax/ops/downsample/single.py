"""Single filters with all of their options: windows of any size, interpolation that aliases."""

from typing import Literal

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.ops.downsample.checks import check_call, check_images
from aa_jax.ops.downsample.designs import cells
from aa_jax.ops.downsample.separable import reduce_images


def average_pool(
    images: jax.Array,
    factor: int,
    *,
    size: int,
    padding: int | None = None,
    outside: Literal["excluded", "zero"] = "excluded",
) -> jax.Array:
    """Means of square windows at every `factor`-th place.

    Args:
      images: array of shape (height, width, channels) or (batch, height, width, channels),
        floating.
      factor: step of the windows.
      size: their side.
      padding: how far the first window reaches beyond the border; None is size // 2 for an odd
        size, which centres window i on pixel i * factor, and 0 for an even one.
      outside: "excluded" divides by the pixels that are inside, "zero" by all.

    Returns:
      Array of the dtype of `images`, of floor((side + 2 padding - size) / factor) + 1 samples a
      side.

    Raises:
      ValueError: if an argument is malformed or the window does not fit.
    """
    check_images(jnp.shape(images), jnp.result_type(images))
    if padding is None:
        padding = size // 2 if size % 2 else 0
    for name, value, least in (("factor", factor, 1), ("size", size, 1), ("padding", padding, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be an integer, at least {least}, got {value!r}.")
    if outside not in ("excluded", "zero"):
        raise ValueError(f"outside must be 'excluded' or 'zero', got {outside!r}.")
    if 2 * padding > size or min(images.shape[-3:-1]) + 2 * padding < size:
        raise ValueError(
            f"size={size} must fit the images of shape {images.shape} with padding={padding}, "
            "which may be half of it at most."
        )
    border = {"excluded": "renormalised", "zero": "zero"}[outside]
    return reduce_images(images, "average", factor, "native", (size, padding, border))


def interpolate_cells(
    images: jax.Array,
    factor: float,
    *,
    method: Literal["bilinear", "bicubic", "nearest"] = "bilinear",
    slope: float = -0.75,
) -> jax.Array:
    """Interpolates at the centres of the cells without any low-pass filter, so that it aliases.

    What resizing without `antialias` does in PyTorch, and in OpenCV.

    Args:
      images: array of shape (height, width, channels) or (batch, height, width, channels),
        floating.
      factor: at least 1.
      method: "bilinear"; "bicubic", Keys' kernel (1981); or "nearest", the sample whose cell the
        centre lies in ("nearest-exact" in PyTorch).
      slope: the free parameter of Keys' kernel, there called a; -0.5 is Pillow's.

    Returns:
      Array of the dtype of `images`, of floor(side / factor) samples a side.

    Raises:
      ValueError: as `downsample`.
    """
    images = jnp.asarray(images)
    known = {"bilinear": (None,), "bicubic": (float(slope),), "nearest": ()}
    if method not in known:
        raise ValueError(f"method must be one of {', '.join(known)}, got {method!r}.")
    check_call(images.shape, images.dtype, factor, "nearest", "native")
    if method != "nearest":
        return reduce_images(images, "interpolated", factor, "native", known[method])
    for axis in (-3, -2):
        size = images.shape[axis]
        count = cells(size, factor)
        places = np.floor((np.arange(count) + 0.5) * (size / count)).astype(int)
        images = jnp.take(images, places, axis=axis)
    return images
