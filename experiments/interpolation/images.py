"""A folder of photographs as square float images, and samples of an image between its pixels."""

import os
import pathlib

import numpy as np

from aa_jax.data.folder import EXTENSIONS, read_image


def read_folder(
    folder: str | os.PathLike, *, crop_size: int = 256, count: int | None = None
) -> np.ndarray:
    """Reads the photographs directly in a folder, sorted by name, and cuts out their centres.

    Args:
      folder: holds the images; other files and hidden ones are ignored.
      crop_size: side of the square that is kept, in pixels.
      count: of images, from the first on; None for all.

    Returns:
      float32 (images, crop_size, crop_size, 3) in [0, 1].

    Raises:
      ValueError: there is no such folder, it has no images, or one of them is smaller than the
        crop or can't be read; the message names the file.
    """
    folder = pathlib.Path(folder).expanduser()
    if not folder.is_dir():
        raise ValueError(f"images must be a folder of photographs, got {folder}.")
    if crop_size < 1:
        raise ValueError(f"crop_size must be positive, got {crop_size}.")
    if count is not None and count < 1:
        raise ValueError(f"count must be positive or None, got {count}.")
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")
    )[:count]
    if not paths:
        kinds = ", ".join(EXTENSIONS)
        raise ValueError(f"images must be a folder with files of {kinds}, got {folder} without.")
    return np.stack([centre_crop(read_image(path), crop_size, path) for path in paths])


def centre_crop(image: np.ndarray, size: int, name="image") -> np.ndarray:
    """Cuts the centre out of a uint8 (height, width, 3), as float32 in [0, 1].

    Raises:
      ValueError: the image is smaller; the message begins with `name`.
    """
    height, width = image.shape[:2]
    if min(height, width) < size:
        raise ValueError(
            f"{name} must have at least {size} x {size} pixels, got {width} x {height}."
        )
    top, left = (height - size) // 2, (width - size) // 2
    return image[top : top + size, left : left + size].astype(np.float32) / 255


def sample_bilinear(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Reads an image between its pixels; positions outside read the border.

    Args:
      image: (height, width, channels).
      points: (N, 2), x and y; pixel centres are whole numbers.

    Returns:
      (N, channels) of the dtype of `image`.
    """
    height, width = image.shape[:2]
    x, y = np.clip(np.asarray(points, np.float64), 0, [width - 1, height - 1]).T
    left = np.minimum(x.astype(int), max(width - 2, 0))
    top = np.minimum(y.astype(int), max(height - 2, 0))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    upper = (1 - fx) * image[top, left] + fx * image[top, right]
    lower = (1 - fx) * image[bottom, left] + fx * image[bottom, right]
    return ((1 - fy) * upper + fy * lower).astype(image.dtype)
