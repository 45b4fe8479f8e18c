"""The photographs that ship inside the scikit-image wheel, found without importing it."""

import functools
import importlib.util
import pathlib

import numpy as np
from PIL import Image

from aa_jax.data.errors import DataError

# (class, file, width, height, reduction). The label is the position; the order never changes
# within a version. Reduced photographs are soft at native resolution.
CLASSES = (
    ("brick", "brick.png", 512, 512, 1),
    ("camera", "camera.png", 512, 512, 1),
    ("cat", "chelsea.png", 451, 300, 1),
    ("coins", "coins.png", 384, 303, 1),
    ("galaxies", "hubble_deep_field.jpg", 1000, 872, 2),
    ("grass", "grass.png", 512, 512, 1),
    ("gravel", "gravel.png", 512, 512, 1),
    ("handwriting", "text.png", 448, 172, 1),
    ("moon", "moon.png", 512, 512, 1),
    ("motorcycle", "motorcycle_left.png", 741, 500, 1),
    ("page", "page.png", 384, 191, 1),
    ("retina", "retina.jpg", 1411, 1411, 3),
    ("rocket", "rocket.jpg", 640, 427, 1),
    ("tissue", "ihc.png", 512, 512, 1),
)


def load_photograph(file: str, width: int, height: int, reduction: int) -> np.ndarray:
    """Reads one photograph of scikit-image's wheel, without importing scikit-image.

    Returns:
        uint8 (height // reduction, width // reduction, 3).

    Raises:
        DataError: scikit-image is not installed, or holds no such photograph of that size.
    """
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            "photographs: expected the scikit-image package, whose wheel holds the pictures, and "
            "found none; install it with: pip install scikit-image"
        )
    path = pathlib.Path(next(iter(spec.submodule_search_locations))) / "data" / file
    try:
        with Image.open(path) as image:
            image = image.convert("RGB")
    except OSError as error:
        raise DataError(
            f"photographs: cannot read {path} ({error}); reinstall scikit-image, whose 0.26 "
            "wheel has it: pip install --force-reinstall scikit-image==0.26"
        ) from error
    if image.size != (width, height):
        raise DataError(
            f"photographs: expected {path} to be {width} by {height} pixels, got {image.size[0]} "
            f"by {image.size[1]}; the embedded set is cut from the files of "
            "scikit-image 0.26: pip install scikit-image==0.26"
        )
    if reduction > 1:  # Lanczos with its support widened: antialiased, still sharp
        size = (width // reduction, height // reduction)
        image = image.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(image)


@functools.lru_cache(maxsize=2)
def canvas(color: str) -> tuple[np.ndarray, tuple[int, ...]]:
    """All photographs stacked in one array (H, W, channels), and each one's first row."""
    pictures = [load_photograph(*row[1:]) for row in CLASSES]
    if color == "grayscale":  # Rec. 601 luma, rounded, as PIL's mode "L"
        pictures = [np.asarray(Image.fromarray(p).convert("L"))[..., None] for p in pictures]
    tops = np.cumsum([0] + [picture.shape[0] for picture in pictures])
    width = max(picture.shape[1] for picture in pictures)
    canvas = np.zeros((tops[-1], width, pictures[0].shape[-1]), np.uint8)
    for top, picture in zip(tops, pictures, strict=False):
        canvas[top : top + picture.shape[0], : picture.shape[1]] = picture
    canvas.setflags(write=False)
    return canvas, tuple(int(top) for top in tops[:-1])
