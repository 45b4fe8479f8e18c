"""Photographs that lie directly in a folder, without classes, as square float images."""

import os
import pathlib

import numpy as np
from PIL import Image

from aa_jax.data.folder import EXTENSIONS, read_image


def image_paths(folder: str | os.PathLike, *, count: int | None = None) -> list[pathlib.Path]:
    """Lists the photographs directly in a folder, sorted by name.

    Args:
      folder: holds the images; other files and hidden ones are ignored.
      count: of images, from the first on; None for all.

    Returns:
      At least one path.

    Raises:
      ValueError: there is no such folder, or it has no images.
    """
    folder = pathlib.Path(folder).expanduser()
    if not folder.is_dir():
        raise ValueError(f"images must be a folder of photographs, got {folder}.")
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
    return paths


def read_crops(
    folder: str | os.PathLike, *, crop_size: int = 256, count: int | None = None
) -> np.ndarray:
    """Reads a folder's photographs and cuts out their centres, whose pixels stay as they are.

    Args:
      folder: see `image_paths`.
      crop_size: side of the square that is kept, in pixels.
      count: see `image_paths`.

    Returns:
      float32 (images, crop_size, crop_size, 3) in [0, 1].

    Raises:
      ValueError: as `image_paths`, or one of the images is smaller than the crop or can't be read;
        the message names the file.
    """
    _check_size("crop_size", crop_size)
    paths = image_paths(folder, count=count)
    return np.stack([centre_crop(read_image(path), crop_size, path) for path in paths])


def read_squares(
    folder: str | os.PathLike, *, size: int = 256, count: int | None = None
) -> np.ndarray:
    """Reads a folder's photographs, or frames, of any sizes as squares of one size.

    Args:
      folder: see `image_paths`.
      size: side of the squares, in pixels.
      count: see `image_paths`.

    Returns:
      float32 (images, size, size, 3) in [0, 1]: see `centre_square`.

    Raises:
      ValueError: as `image_paths`, or one of the images can't be read; the message names the file.
    """
    _check_size("size", size)
    paths = image_paths(folder, count=count)
    return np.stack([centre_square(read_image(path), size) for path in paths])


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


def centre_square(image: np.ndarray, size: int) -> np.ndarray:
    """Cuts the largest square out of the centre and resizes it by Pillow's Lanczos filter.

    Args:
      image: uint8 (height, width, 3).
      size: side of the result, in pixels.

    Returns:
      float32 (size, size, 3) in [0, 1]. A square of that size already comes out as it was.
    """
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    square = image[top : top + side, left : left + side]
    if side != size:
        square = np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.LANCZOS))
    return square.astype(np.float32) / 255


def _check_size(name: str, size: int) -> None:
    if size < 1:
        raise ValueError(f"{name} must be positive, got {size}.")
