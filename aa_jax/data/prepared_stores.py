"""Where the samples of a prepared data set are: in records, in numbered files, in any folder."""

import abc
import hashlib
import json
import pathlib
import struct
import threading
from typing import Protocol

import numpy as np
from PIL import Image

from aa_jax.data.errors import DataError, UnreadableImageError
from aa_jax.data.folder import EXTENSIONS, read_image
from aa_jax.data.preparation_files import LABELS, MANIFEST, picture_name
from aa_jax.data.preparation_labels import LISTING, read_listing
from aa_jax.data.record import unpack_record

Sample = tuple[np.ndarray, int | np.ndarray]


class Store(Protocol):
    """Where the samples of a data set are.

    Attributes:
        resolution: (height, width).
        channels: 1 or 3.
        label_kind: "none", "class" or "vector".
        label_dim: classes there are, or length of the vectors.
        class_names: of the classes, if they have names.
        labels: of all samples, or None.
        digest: of the whole set.
    """

    resolution: tuple[int, int]
    channels: int
    label_kind: str
    label_dim: int
    class_names: tuple[str, ...]
    labels: np.ndarray | None
    digest: str

    def __len__(self) -> int: ...

    def read(self, index: int) -> Sample:
        """One sample; raises UnreadableImageError."""
        ...


def open_store(root: pathlib.Path) -> Store:
    """Opens what is in a folder.

    Raises:
        DataError: there is nothing, or it is incomplete or malformed.
    """
    if not (root / MANIFEST).is_file():
        return _PlainFolder(root)
    try:
        manifest = json.loads((root / MANIFEST).read_bytes())
        kind = manifest["arguments"]["format"]
        return _Records(root, manifest) if kind == "array_record" else _Pngs(root, manifest)
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{root / MANIFEST} is malformed: {type(error).__name__} {error}"
        ) from error


class _Described(abc.ABC):
    """A store with a manifest."""

    def __init__(self, root: pathlib.Path, manifest: dict):
        self._root = root
        self._count = int(manifest["count"])
        self.resolution, self.channels = tuple(manifest["resolution"]), manifest["channels"]
        self.label_kind, self.label_dim = manifest["label_kind"], manifest["label_dim"]
        self.class_names = tuple(manifest["class_names"])
        self.digest = manifest["digest"]
        self.labels = self._read_labels() if self.label_kind != "none" else None
        if self.labels is not None and len(self.labels) != self._count:
            raise DataError(
                f"{root} has {len(self.labels)} labels for {self._count} pictures; prepare it again"
            )

    def __len__(self) -> int:
        return self._count

    @abc.abstractmethod
    def _read_labels(self) -> np.ndarray:
        """Labels of all pictures; called where there are any."""

    def _checked(self, place: str, image: np.ndarray) -> np.ndarray:
        return _of_shape(place, image, (*self.resolution, self.channels))


def _of_shape(place: str, image: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    if image.shape != shape:
        raise UnreadableImageError(
            place, f"its shape is {image.shape}, but that of the data set {shape}"
        )
    return image


class _Records(_Described):
    """ArrayRecord shards. Readers are opened when they are first needed, and serve all threads."""

    def __init__(self, root: pathlib.Path, manifest: dict):
        super().__init__(root, manifest)
        self._names = [name for name, _ in manifest["shards"]]
        self._sizes = [size for _, size in manifest["shards"]]
        self._ends = np.cumsum(self._sizes)
        self._readers: dict[int, object] = {}
        self._lock = threading.Lock()
        missing = [name for name in self._names if not (root / name).is_file()]
        if missing:
            raise DataError(f"{root} lacks {', '.join(missing)}; copy or prepare it again")
        if self._ends[-1] != self._count:
            raise DataError(f"{root / MANIFEST}: its shards do not add up to {self._count}")

    def _read_labels(self) -> np.ndarray:
        return np.load(self._root / LABELS, allow_pickle=False)

    def read(self, index: int) -> Sample:
        shard = int(np.searchsorted(self._ends, index, side="right"))
        place = index - int(self._ends[shard]) + self._sizes[shard]
        file = f"{self._root / self._names[shard]}[{place}] (picture {index})"
        reader = self._reader(shard)
        try:
            image, label = unpack_record(reader.read([place])[0])
        # ArrayRecord reports damage, which its hashes show, as RuntimeError or IndexError.
        except (RuntimeError, IndexError, ValueError, OSError, SyntaxError, struct.error) as error:
            raise UnreadableImageError(file, f"{type(error).__name__}: {error}") from error
        return self._checked(file, image), label

    def _reader(self, shard: int):
        from array_record.python.array_record_module import ArrayRecordReader

        with self._lock:
            if shard not in self._readers:
                # Nothing is read ahead: pictures come in random order.
                options = "readahead_buffer_size:0,max_parallelism:0"
                path = self._root / self._names[shard]
                reader = ArrayRecordReader(str(path), options)
                # A file that was cut off opens as an empty one.
                if reader.num_records() != self._sizes[shard]:
                    raise DataError(
                        f"{path} holds {reader.num_records()} of {self._sizes[shard]} records; "
                        "it was damaged, copy or prepare it again"
                    )
                self._readers[shard] = reader
            return self._readers[shard]


class _Pngs(_Described):
    """PNG files by number."""

    def _read_labels(self) -> np.ndarray:
        return _label_array(self._root, [picture_name(index) for index in range(self._count)])[0]

    def read(self, index: int) -> Sample:
        path = self._root / picture_name(index)
        image = _read_channels(path, self.channels)
        return self._checked(path, image), _label(self.labels, index)


class _PlainFolder:
    """Pictures in a folder that somebody made by hand."""

    def __init__(self, root: pathlib.Path):
        self._root = root
        found = sorted(
            (path.relative_to(root).as_posix(), path)
            for path in root.rglob("*")
            if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")
        )
        if not found:
            raise DataError(
                f"{root} holds neither {MANIFEST} nor pictures ({', '.join(EXTENSIONS)})"
            )
        self._paths = [path for _, path in found]
        names = [name for name, _ in found]
        with _opened(self._paths[0]) as first:
            self.channels = 1 if first.mode in ("1", "L", "I;16") else 3
        self.resolution = read_image(self._paths[0]).shape[:2]
        self.labels, labels = None, None
        if (root / LISTING).is_file():
            self.labels, labels = _label_array(root, names)
        self.label_kind = labels.kind if labels else "none"
        self.label_dim = labels.dim if labels else 0
        self.class_names = labels.class_names if labels else ()
        self.digest = self._identify(names)

    def _identify(self, names: list[str]) -> str:
        """By names, sizes, times and labels: reading all of it would take too long."""
        content = hashlib.sha256()
        for name, path in zip(names, self._paths, strict=True):
            status = path.stat()
            line = f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n"
            content.update(line.encode("utf-8", "surrogateescape"))
        content.update(b"" if self.labels is None else self.labels.tobytes())
        return content.hexdigest()

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, index: int) -> Sample:
        path = self._paths[index]
        image = _read_channels(path, self.channels)
        shape = (*self.resolution, self.channels)
        return _of_shape(path, image, shape), _label(self.labels, index)


def _opened(path: pathlib.Path) -> Image.Image:
    try:
        return Image.open(path)
    except OSError as error:
        raise UnreadableImageError(path, f"{type(error).__name__}: {error}") from error


def _read_channels(path: pathlib.Path, channels: int) -> np.ndarray:
    image = read_image(path)
    if channels == 3:
        return image
    if (image != image[..., :1]).any():
        raise UnreadableImageError(path, "it is coloured, but the data set is grey")
    return image[..., :1]


def _label_array(root: pathlib.Path, names: list[str]):
    """The labels in `dataset.json`, as an array in the order of `names`, and as they are."""
    labels = read_listing((root / LISTING).read_bytes(), str(root / LISTING))
    if labels.table is None:
        return None, None
    missing = [name for name in names if name not in labels.table]
    if missing:
        raise DataError(
            f"{root / LISTING} has no label for {len(missing)} of {len(names)} pictures, such as "
            f"{missing[0]}; expected one for each, or null for none"
        )
    dtype = np.int32 if labels.kind == "class" else np.float32
    return np.asarray([labels.table[name] for name in names], dtype), labels


def _label(labels: np.ndarray | None, index: int) -> int | np.ndarray:
    if labels is None:
        return 0
    return int(labels[index]) if labels.ndim == 1 else labels[index]
