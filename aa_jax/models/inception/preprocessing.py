"""Three ways to bring 8-bit images to the size and range of a feature network.

A Fréchet distance depends on how images were resized: the same pictures differ by whole units
between the ways below (Parmar et al., CVPR 2022), so that a number means nothing without its
dialect.
"""

import numpy as np
from jax import Array, numpy as jnp

from aa_jax.models.images import check_images
from aa_jax.ops.resize import resize

DIALECTS = ("clean", "pytorch", "tensorflow")


def inception_input(images: Array, *, dialect: str, size: int = 299) -> Array:
    """Resizes 8-bit images and scales them to what the Inception network takes.

    Args:
      images: uint8 (N, H, W, 3).
      dialect: one of

        "clean": Pillow's antialiased bicubic, each channel in float, clipped to [0, 255] and not
          rounded, then (x - 128) / 128. The one in which downscaling does not alias. Comparable
          with numbers of clean-fid (mode "clean"; its earliest versions did not clip).
        "pytorch": bilinear between the two nearest samples, pixel centres aligned, no
          antialiasing, then 2 x / 255 - 1. Comparable with numbers of pytorch-fid.
        "tensorflow": bilinear with TensorFlow 1's coordinates, sample i of the output taken at
          i * scale of the input, which moves the picture by (scale - 1) / 2 pixels; no
          antialiasing, then (x - 128) / 128. Comparable with the original (TTUR) program, with
          torch-fidelity, with clean-fid's mode "legacy_tensorflow", and with the numbers in
          papers of the StyleGAN family.

      size: side of the result, 299.

    Returns:
      (N, size, size, 3) float32, about [-1, 1].

    Raises:
      ValueError: there is no such dialect, or `images` are no 8-bit images.
    """
    x = resize_as(images, size=size, dialect=dialect)
    if dialect == "pytorch":
        return x * np.float32(2 / 255) - 1
    return (x - 128) / 128


def resize_as(images: Array, *, size: int, dialect: str) -> Array:
    """Resizes 8-bit images (N, H, W, 3) as a dialect of `inception_input` does.

    Returns:
      (N, size, size, 3) float32 on [0, 255].

    Raises:
      ValueError: there is no such dialect, or `images` are no 8-bit images.
    """
    check_dialect(dialect)
    check_images(images)
    if images.dtype != np.uint8:
        raise ValueError(
            f"images must be uint8 from 0 to 255, got {images.dtype}: metrics are defined on "
            "8-bit images; for images on [-1, 1] that is clip(round(127.5 x + 127.5), 0, 255)"
        )
    x = jnp.asarray(images, jnp.float32)
    if dialect == "clean":
        x = resize(x, (size, size), method="bicubic", antialias=True)
        return jnp.clip(x, 0, 255)
    for axis in (2, 1):  # in this order, as both programs interpolate
        below, above, share = _neighbours(x.shape[axis], size, dialect)
        lower, upper = jnp.take(x, below, axis=axis), jnp.take(x, above, axis=axis)
        # Not a product of matrices, which is twenty times slower on CPU: each row has two taps.
        x = lower + (upper - lower) * jnp.expand_dims(share, range(1, 4 - axis))
    return x


def check_dialect(dialect: str) -> None:
    """Raises ValueError unless there is such a dialect."""
    if dialect not in DIALECTS:
        raise ValueError(f"dialect must be one of {', '.join(DIALECTS)}, got {dialect!r}")


def _neighbours(length: int, size: int, dialect: str) -> tuple[np.ndarray, ...]:
    """Where an axis is sampled: index below and above, and the share (float32) of the latter.

    Positions are rounded to float32 as either program does; exact ones would differ by up to
    0.01 of 255 in an image of 1024 pixels.
    """
    scale = np.float32(length) / np.float32(size)
    index = np.arange(size, dtype=np.float64)
    if dialect == "pytorch":
        # Rounded once, as PyTorch's kernels do: they multiply and add in one step.
        position = np.maximum((scale * (index + 0.5) - 0.5).astype(np.float32), np.float32(0))
    else:
        position = (scale * index).astype(np.float32)
    below = np.minimum(position.astype(np.int32), length - 1)
    return below, np.minimum(below + 1, length - 1), position - below.astype(np.float32)
