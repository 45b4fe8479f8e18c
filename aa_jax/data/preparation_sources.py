"""Where pictures to prepare come from: a folder, a zip, a TFDS data set, a film.

A source lists its pictures in an order that never changes, and hands out functions that read one:
those may run in any thread. Nothing that is wrong with one picture raises before it is read.
"""

import abc
import functools
import hashlib
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from aa_jax.data.errors import DataError
from aa_jax.data.folder import EXTENSIONS
from aa_jax.data.preparation_pictures import Rejected, decode
from aa_jax.data.tfds_source import tfds_source

Read = Callable[[], tuple[np.ndarray, int | None]]
VIDEO_EXTENSIONS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")
MAX_FILE_BYTES = 2**28  # of one entry of a zip, decompressed
_READ_STEP = 2**20


class Pictures(Protocol):
    """A source of pictures to prepare.

    Attributes:
        kind: "folder", "zip", "tfds" or "video".
        digest: of the listing; changes when pictures come, go or change their size.
        total: how many pictures, or None if only reading tells.
        names: of all pictures, if they are known.
        class_names: of the labels that reading a picture gives with it; empty if it gives none.
        num_others: files that are no pictures by their name.
    """

    kind: str
    digest: str
    total: int | None
    names: tuple[str, ...]
    class_names: tuple[str, ...]
    num_others: int

    def items(self, start: int) -> Iterator[tuple[str, Read]]:
        """Name and reader of the pictures from number `start` on."""
        ...

    def read_file(self, name: str) -> bytes | None:
        """What a file beside the pictures holds, None if there is none."""
        ...


class _Listed(abc.ABC):
    """A source whose pictures are known by name beforehand."""

    class_names: tuple[str, ...] = ()
    num_others = 0

    def __init__(self, kind: str, names, digest: str):
        self.kind, self.names, self.digest = kind, tuple(names), digest
        self.total = len(self.names)

    def items(self, start: int) -> Iterator[tuple[str, Read]]:
        for index in range(start, len(self.names)):
            yield self.names[index], functools.partial(self.read, index)

    @abc.abstractmethod
    def read(self, index: int) -> tuple[np.ndarray, int | None]:
        """A picture and its label."""

    def read_file(self, name: str) -> bytes | None:
        return None


class FolderPictures(_Listed):
    """All pictures below a folder, sorted by path; hidden names are left aside."""

    def __init__(self, root: pathlib.Path, max_pixels: int):
        files = sorted(_files_below(root))
        pictures = [file for file in files if file[0].lower().endswith(EXTENSIONS)]
        super().__init__("folder", [name for name, _ in pictures], _digest(pictures))
        self.num_others = len(files) - len(pictures)
        self._root, self._max_pixels = root, max_pixels

    def read(self, index: int) -> tuple[np.ndarray, None]:
        return decode(str(self._root / self.names[index]), max_pixels=self._max_pixels), None

    def read_file(self, name: str) -> bytes | None:
        path = self._root / name
        return path.read_bytes() if path.is_file() else None


def _files_below(root: pathlib.Path) -> Iterator[tuple[str, int]]:
    """Names, with slashes, and sizes; links are followed, but no folder is entered twice."""

    def stop(error: OSError):
        raise DataError(f"source: cannot list {error.filename}: {error.strerror}") from error

    seen = set()
    for parent, folders, files in os.walk(root, followlinks=True, onerror=stop):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith("."):
                path = pathlib.Path(parent, name)
                # A dangling link has no size, and is rejected when it is read.
                size = path.stat().st_size if path.exists() else -1
                yield path.relative_to(root).as_posix(), size


class ZipPictures(_Listed):
    """The pictures of a zip, sorted by name, read without unpacking it.

    Entries that are encrypted, that would be larger than `max_file_bytes`, or whose names lead out
    of the archive, are rejected.
    """

    def __init__(
        self, path: pathlib.Path, max_pixels: int, *, max_file_bytes: int = MAX_FILE_BYTES
    ):
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise DataError(f"source {path} is not a readable zip: {error}") from error
        entries = [info for info in self._archive.infolist() if not info.is_dir()]
        entries = [info for info in entries if not _is_hidden(info.filename)]
        bad = {id(info): _suspicious_name(info.filename) for info in entries}
        pictures = [i for i in entries if bad[id(i)] or i.filename.lower().endswith(EXTENSIONS)]
        # The sort is stable, so that the later of two entries of the same name comes second.
        pictures.sort(key=lambda info: info.filename)
        listing = [(info.filename, f"{info.file_size} {info.CRC}") for info in pictures]
        super().__init__("zip", [info.filename for info in pictures], _digest(listing))
        self.num_others = len(entries) - len(pictures)
        self._infos, self._max_pixels, self._max_bytes = pictures, max_pixels, max_file_bytes
        self._reasons = [bad[id(info)] or self._reason(n, info) for n, info in enumerate(pictures)]

    def _reason(self, number: int, info: zipfile.ZipInfo) -> str | None:
        if number and self.names[number - 1] == info.filename:
            return "another entry of the zip has the same name"
        if info.flag_bits & 0x1:
            return "the entry is encrypted"
        if info.file_size > self._max_bytes:
            return f"the entry claims {info.file_size} bytes, more than {self._max_bytes}"
        return None

    def read(self, index: int) -> tuple[np.ndarray, None]:
        if self._reasons[index]:
            raise Rejected(self._reasons[index])
        return decode(self._read(self._infos[index]), max_pixels=self._max_pixels), None

    def read_file(self, name: str) -> bytes | None:
        found = [info for info in self._archive.infolist() if info.filename == name]
        if not found:
            return None
        try:
            return self._read(found[0])
        except Rejected as error:
            raise DataError(f"source: cannot read {name} in the zip: {error}") from error

    def _read(self, info: zipfile.ZipInfo) -> bytes:
        content = bytearray()
        try:
            with self._archive.open(info) as stream:
                while part := stream.read(_READ_STEP):
                    content += part
                    if len(content) > self._max_bytes:  # whatever the entry claims
                        raise Rejected(f"the entry holds more than {self._max_bytes} bytes")
        except Rejected:
            raise
        except Exception as error:
            # The zip and its compressed streams come from anywhere and fail in many ways.
            raise Rejected(f"{type(error).__name__}: {error}") from error
        return bytes(content)


def _is_hidden(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return any(p == "__MACOSX" or (p.startswith(".") and p not in (".", "..")) for p in parts)


def _suspicious_name(name: str) -> str | None:
    """Nothing is unpacked; still, such names are signs of an attack, and no names for labels."""
    path = name.replace("\\", "/")
    if ".." in path.split("/"):
        return "the entry's name leads out of the zip (..)"
    if path.startswith("/") or path[1:2] == ":":
        return "the entry's name is an absolute path"
    return None


class TfdsPictures(_Listed):
    """A prepared TFDS data set with its class labels."""

    def __init__(self, name: str, split: str, data_dir: str | None):
        self._source = tfds_source(name, split, data_dir=data_dir)
        listing = [(self._source.name, len(self._source))]
        names = [f"{index:08d}" for index in range(len(self._source))]
        super().__init__("tfds", names, _digest(listing))
        self.class_names = self._source.class_names

    def read(self, index: int) -> tuple[np.ndarray, int]:
        try:
            sample = self._source[index]
        except Exception as error:  # whatever TFDS's readers and decoders raise
            raise Rejected(f"{type(error).__name__}: {error}") from error
        return sample["image"], sample["label"]


def open_pictures(
    source: str | os.PathLike,
    *,
    max_pixels: int,
    split: str = "train",
    data_dir: str | None = None,
    every: int = 1,
) -> Pictures:
    """Opens what pictures are to be prepared from.

    Args:
        source: a folder, a `.zip`, a film, or "tfds:name".
        max_pixels: larger pictures are rejected when they are read.
        split: of a TFDS data set.
        data_dir: of a TFDS data set.
        every: of a film, take every so many-th frame.

    Returns:
        The source.

    Raises:
        DataError: there is no such source, or nothing in it.
    """
    text = os.fspath(source)
    path = pathlib.Path(text).expanduser()
    if text.startswith("tfds:"):
        pictures = TfdsPictures(text.removeprefix("tfds:"), split, data_dir)
    elif path.is_dir():
        pictures = FolderPictures(path, max_pixels)
    elif not path.exists():
        raise DataError(
            f"source {text!r} does not exist; expected a folder, a zip, a film or tfds:"
        )
    elif path.suffix.lower() in VIDEO_EXTENSIONS:
        from aa_jax.data.preparation_video import VideoPictures

        return VideoPictures(path, every)
    elif zipfile.is_zipfile(path) or path.suffix.lower() == ".zip":
        pictures = ZipPictures(path, max_pixels)
    else:
        raise DataError(
            f"source {text!r} is neither a folder nor a zip nor a film "
            f"({', '.join(VIDEO_EXTENSIONS)})"
        )
    if not pictures.total:
        raise DataError(
            f"source {text!r} holds no pictures ({', '.join(EXTENSIONS)}), but "
            f"{pictures.num_others} other files"
        )
    return pictures


def _digest(listing) -> str:
    content = "".join(f"{name}\0{size}\n" for name, size in listing)
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()
