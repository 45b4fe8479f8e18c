"""Grids of pictures on one canvas, and PNG files that appear whole or not at all."""

import math
import operator
import os
from collections.abc import Iterable

import numpy as np

from aa_jax.training.whole_file import replacing

LARGEST_SIDE = 16384
_WHITE = 255


def canvas_size(
    rows: int, columns: int, picture: tuple[int, int], *, gap: int = 0, name: str = "grid"
) -> tuple[int, int]:
    """(height, width) of a canvas, in pixels.

    Args:
        rows, columns: of pictures.
        picture: (height, width) of one.
        gap: pixels between neighbours.
        name: of the argument that a message should name.

    Raises:
        ValueError: there is no cell, or a side is beyond `LARGEST_SIDE`.
    """
    if rows < 1 or columns < 1:
        raise ValueError(f"{name} must have at least one cell, got {rows} rows of {columns}")
    height, width = (
        count * size + (count - 1) * gap
        for count, size in zip((rows, columns), picture, strict=True)
    )
    if max(height, width) > LARGEST_SIDE:
        raise ValueError(
            f"{name} must give a picture of at most {LARGEST_SIDE} pixels a side, got "
            f"{rows} x {columns} pictures of {picture[0]} x {picture[1]} pixels, together "
            f"{height} x {width}"
        )
    return height, width


def tile(
    pictures: Iterable[np.ndarray], rows: int, columns: int, *, gap: int = 0, name: str = "grid"
) -> np.ndarray:
    """Lays out pictures row by row; what they leave free is white.

    Args:
        pictures: uint8 (H, W, C), all of one shape; at most `rows * columns` are taken, one after
            another, so that a generator function needs to hold no more than one.
        rows, columns: of the canvas.
        gap: white pixels between neighbours.
        name: of the argument that a message should name.

    Returns:
        uint8 (height, width, C).

    Raises:
        ValueError: there is no picture, one has another shape, or the canvas is too large.
    """
    canvas = shape = None
    for cell, picture in zip(range(rows * columns), pictures, strict=False):
        if canvas is None:
            shape = picture.shape
            size = canvas_size(rows, columns, shape[:2], gap=gap, name=name)
            canvas = np.full((*size, shape[2]), _WHITE, np.uint8)
        if picture.shape != shape:
            raise ValueError(f"pictures must all have the shape {shape}, got {picture.shape}")
        row, column = divmod(cell, columns)
        top, left = row * (shape[0] + gap), column * (shape[1] + gap)
        canvas[top : top + shape[0], left : left + shape[1]] = picture
    if canvas is None:
        raise ValueError("pictures must not be empty")
    return canvas


def image_grid(images: np.ndarray, columns: int, *, drange: tuple[float, float]) -> np.ndarray:
    """Lays out a batch of images row by row as bytes, for `save_png`.

    Args:
        images: (N, H, W, C), numbers; beyond `drange` they are clipped, NaN becomes its lower end.
        columns: pictures in a row; the last row may be shorter and ends in white.
        drange: (black, white), such as (-1, 1) for generators, (0, 1) or (0, 255).

    Returns:
        uint8 (rows * H, columns * W, C), rounded to the nearest, halves up, as published
        generators' pictures are.

    Raises:
        ValueError: an argument is of another shape or range, or the grid is too large.
    """
    images = np.asarray(images)
    if images.ndim != 4 or 0 in images.shape or images.shape[-1] not in (1, 3, 4):
        raise ValueError(
            "images must be (N, H, W, C) with 1, 3 or 4 channels and none of them empty, got shape "
            f"{images.shape}"
        )
    if images.dtype.kind not in "fiu" and images.dtype.name != "bfloat16":
        raise ValueError(f"images must be real numbers, got {images.dtype}")
    columns = operator.index(columns)
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    low, high = drange
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"drange must be (black, white), finite and rising, got {drange}")
    rows = -(-len(images) // columns)
    canvas_size(rows, columns, images.shape[1:3], name="images")
    return tile((_as_bytes(image, low, high) for image in images), rows, columns, name="images")


def save_png(path: str | os.PathLike, array: np.ndarray) -> None:
    """Writes a picture, which appears whole or not at all.

    Args:
        path: of the file; it is a PNG whatever its ending.
        array: uint8 (H, W, C) with one, three or four channels, or (H, W).

    Raises:
        OSError: the file can't be written; an earlier one is intact.
        ValueError: the array is none of these.
    """
    from PIL import Image

    array = np.asarray(array)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    wanted = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (3, 4))
    if array.dtype != np.uint8 or not wanted or 0 in array.shape:
        raise ValueError(
            "array must be uint8 (H, W) or (H, W, C) with 1, 3 or 4 channels, got "
            f"{array.dtype} {array.shape}"
        )
    with replacing(path) as temporary:
        Image.fromarray(np.ascontiguousarray(array)).save(temporary, format="PNG")


def _as_bytes(image: np.ndarray, low: float, high: float) -> np.ndarray:
    # float64 keeps bytes of (0, 255) and the halves of (-1, 1) exact.
    scaled = (image.astype(np.float64) - low) * (255 / (high - low))
    return np.floor(np.clip(np.nan_to_num(scaled, posinf=255, neginf=0), 0, 255) + 0.5).astype(
        np.uint8
    )
