"""Pictures side by side on one canvas."""

from collections.abc import Iterable

import numpy as np

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
