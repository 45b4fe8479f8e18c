"""Real pictures to compare with: views of the embedded photographs, or of a user's folder."""

import pathlib

import numpy as np

from aa_jax.data.folder import read_image
from aa_jax.data.photograph_files import CLASSES, load_photograph
from aa_jax.data.transforms import CenterCrop, ResizeShorterSide

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def photograph_views(size: int, count: int, *, seed: int = 0) -> np.ndarray:
    """Square views at random places of the photographs that are large enough, in turn.

    Args:
      size: side in pixels.
      count: how many.
      seed: of the places.

    Returns:
      (count, size, size, 3), float32 in [0, 1].

    Raises:
      ValueError: no photograph is that large.
    """
    chosen = [row for row in CLASSES if min(row[2], row[3]) // row[4] >= size]
    if not chosen:
        raise ValueError(f"size must be at most that of the largest photograph, 512, got {size}")
    photographs = [load_photograph(*row[1:]) for row in chosen]
    rng = np.random.default_rng(seed)
    views = []
    for index in range(count):
        photograph = photographs[index % len(photographs)]
        top, left = (int(rng.integers(side - size + 1)) for side in photograph.shape[:2])
        views.append(photograph[top : top + size, left : left + size])
    return np.asarray(views, np.float32) / 255


def folder_views(folder: str | pathlib.Path, size: int, count: int) -> np.ndarray:
    """The first pictures of a folder, resized by the shorter side and cropped to the centre.

    Returns:
      (at most count, size, size, 3), float32 in [0, 1].

    Raises:
      ValueError: the folder is missing or holds no pictures.
    """
    folder = pathlib.Path(folder)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)[:count]
    if not paths:
        raise ValueError(f"data must be a folder with pictures ({', '.join(SUFFIXES)}): {folder}")
    resize, crop = ResizeShorterSide(size), CenterCrop(size)
    return np.asarray([crop(resize(read_image(path))) for path in paths], np.float32) / 255
