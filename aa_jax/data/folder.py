"""A folder of class folders, as users have it on disk: root/class/.../image.jpg."""

import difflib
import logging
import operator
import os
import pathlib
import struct
import threading
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from aa_jax.data.errors import DataError, UnreadableImageError

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
MAX_PIXELS = 89_478_485  # where Pillow itself begins to warn of decompression bombs

_UNREADABLE = (
    OSError,  # includes truncated files and formats Pillow can't identify
    SyntaxError,  # Pillow's word for broken PNG chunks
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_logger = logging.getLogger("aa_jax.data")


def read_image(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decodes an image file to RGB.

    The EXIF orientation is applied, an alpha channel is dropped, grey becomes three equal
    channels and 16-bit greys keep their upper byte. The pixel count is read from the header and
    checked before anything is decoded.

    Args:
        path: the file, of any format that Pillow reads.
        max_pixels: larger images are refused.

    Returns:
        uint8 (H, W, 3).

    Raises:
        UnreadableImageError: the file is missing, corrupt, truncated, too large or not an image.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > max_pixels:
                raise ValueError(
                    f"its header announces {image.width} x {image.height} pixels, more than "
                    f"max_pixels = {max_pixels}"
                )
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I;16"):
                return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, -1)
            if image.mode in ("I", "F"):
                raise ValueError(f"its pixels are of mode {image.mode!r}, expected 8 or 16 bits")
            return np.array(image.convert("RGB"))
    except _UNREADABLE as error:
        raise UnreadableImageError(path, f"{type(error).__name__}: {error}") from error


class ImageFolder:
    """Random-access source of images on disk; build it with `image_folder`.

    `source[i]` is {"image": uint8 (H, W, 3), "label": int}, sizes as they are on disk.

    Attributes:
        paths: of the images, sorted by class and then by path below it.
        labels: int32, one per path.
        on_error: what a loader does about an unreadable image, "raise" or "skip".
    """

    def __init__(self, name, class_names, paths, labels, *, on_error, max_pixels):
        self.name, self.class_names = name, tuple(class_names)
        self.paths, self.labels = tuple(paths), np.asarray(labels, np.int32)
        self.on_error, self._max_pixels = on_error, max_pixels
        self._unreadable: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def skipped(self) -> dict[str, str]:
        """Unreadable files met so far with on_error="skip": path -> reason."""
        with self._lock:
            return dict(self._unreadable)

    @property
    def num_skipped(self) -> int:
        return len(self._unreadable)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict:
        index = operator.index(index)
        try:
            image = read_image(self.paths[index], max_pixels=self._max_pixels)
        except UnreadableImageError as error:
            if self.on_error == "skip":
                self._note(error)
            raise
        return {"image": image, "label": int(self.labels[index])}

    def _note(self, error: UnreadableImageError) -> None:
        path = os.fspath(error.path)
        with self._lock:
            known = path in self._unreadable
            self._unreadable[path] = str(error)
            count = len(self._unreadable)
        if not known:
            _logger.warning("%s: skipped image %d: %s", self.name, count, error)


def image_folder(
    root: str | os.PathLike,
    *,
    class_names: Sequence[str] | None = None,
    on_error: str = "raise",
    max_pixels: int = MAX_PIXELS,
) -> ImageFolder:
    """Opens a folder whose sub-folders are classes.

    Classes are the sub-folders sorted by name; images are found below them at any depth, by
    extension (`EXTENSIONS`, case does not matter), sorted by path. Hidden names are ignored.

    Args:
        root: the folder.
        class_names: classes in label order, to give a test folder the labels of its training
            folder; None takes the sub-folders' names.
        on_error: "raise" stops at the first unreadable image with an error that names it. "skip"
            goes on without it, logs a line and counts it in `num_skipped` and `skipped`: training
            batches take the next readable image instead, evaluation batches get shorter.
        max_pixels: larger images count as unreadable.

    Returns:
        A source: `len`, `[i]`, `num_classes`, `class_names`, `name`.

    Raises:
        DataError: there is no such folder, it holds no images, a class is empty or unknown, or
            there are fewer than two classes.
    """
    root = pathlib.Path(root).expanduser()
    if on_error not in ("raise", "skip"):
        raise DataError(f'on_error must be "raise" or "skip", got {on_error!r}')
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise DataError(f"image folder {root} {what}; expected a folder with one folder per class")
    found = {
        entry.name: _images_below(entry)
        for entry in sorted(root.iterdir())
        if entry.is_dir() and not entry.name.startswith(".")
    }
    names = tuple(found) if class_names is None else tuple(class_names)
    _check_classes(root, found, names)
    paths = [path for name in names for path in found.get(name, ())]
    labels = [label for label, name in enumerate(names) for _ in found.get(name, ())]
    return ImageFolder(str(root), names, paths, labels, on_error=on_error, max_pixels=max_pixels)


def _images_below(folder: pathlib.Path) -> list[str]:
    paths = []
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths += [
            os.path.join(parent, name)
            for name in files
            if name.lower().endswith(EXTENSIONS) and not name.startswith(".")
        ]
    return sorted(paths)


def _check_classes(root: pathlib.Path, found: dict[str, list[str]], names: tuple[str, ...]):
    layout = f"expected {root}/<class>/<image> with at least two classes"
    kinds = ", ".join(EXTENSIONS)
    if not any(found.values()):
        raise DataError(f"image folder {root} holds no images ({kinds}) in class folders; {layout}")
    empty = [name for name, paths in found.items() if not paths]
    if empty:
        raise DataError(
            f"image folder {root}: no images ({kinds}) in the class folders {', '.join(empty)}; "
            "add images or remove the folders"
        )
    if len(names) < 2:
        raise DataError(
            f"image folder {root} has only one class, {names[0] if names else 'none'}: nothing to "
            f"tell apart; {layout}"
        )
    unknown = [name for name in found if name not in names]
    if unknown:
        near = difflib.get_close_matches(unknown[0], names, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise DataError(
            f"image folder {root}: the class folders {', '.join(unknown)} are not among the "
            f"{len(names)} classes given in class_names{hint}; rename or remove them"
        )
