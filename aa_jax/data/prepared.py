"""Reading prepared data sets: pictures of one size, in records or as files in a folder."""

import hashlib
import logging
import operator
import os
import pathlib
import threading

import numpy as np

from aa_jax.data.errors import DataError, UnreadableImageError
from aa_jax.data.preparation_journal import FOLDER
from aa_jax.data.prepared_stores import Store, open_store

_logger = logging.getLogger("aa_jax.data")


class PreparedSource:
    """Random-access source over a prepared data set; build it with `prepared_source`.

    `source[i]` is {"image": uint8 (height, width, channels), "label": int or float32 (label_dim,)};
    the label is 0 where there are none.

    Attributes:
        name: for messages.
        digest: a hash that identifies pictures, labels and options, for cached statistics.
        resolution: (height, width).
        channels: 1 or 3.
        label_kind: "none", "class" or "vector".
        label_dim: length of the vector that says a label: the number of classes (one-hot), or that
            of the vectors; 0 without labels.
        class_names: of the classes; their numbers if they have no names.
        labels: of all samples, int32 (n,) or float32 (n, label_dim); None if there are none.
        on_error: what a loader does about an unreadable picture, "raise" or "skip".
    """

    def __init__(self, name: str, store: Store, indices: np.ndarray, *, mirror: bool,
                 on_error: str):  # fmt: skip
        self.name, self.on_error = name, on_error
        self.resolution, self.channels = store.resolution, store.channels
        self.label_kind, self.label_dim = store.label_kind, store.label_dim
        numbers = map(str, range(store.label_dim)) if store.label_kind == "class" else ()
        self.class_names = tuple(store.class_names) or tuple(numbers)
        self._store, self._indices, self._mirror = store, indices, mirror
        self.labels = None
        if store.labels is not None:
            self.labels = np.tile(
                store.labels[indices], (1 + mirror,) + (1,) * (store.labels.ndim - 1)
            )
        self.digest = _digest(store, indices, mirror)
        self._unreadable: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 if labels are none or vectors."""
        return len(self.class_names)

    @property
    def skipped(self) -> dict[str, str]:
        """Unreadable pictures met so far with on_error="skip": file -> reason."""
        with self._lock:
            return dict(self._unreadable)

    @property
    def num_skipped(self) -> int:
        return len(self._unreadable)

    def __len__(self) -> int:
        return len(self._indices) * (1 + self._mirror)

    def __getitem__(self, index: int) -> dict:
        index = range(len(self))[operator.index(index)]
        flipped, place = divmod(index, len(self._indices))
        try:
            image, label = self._store.read(int(self._indices[place]))
        except UnreadableImageError as error:
            if self.on_error == "skip":
                self._note(error)
            raise
        return {"image": image[:, ::-1] if flipped else image, "label": label}

    def _note(self, error: UnreadableImageError) -> None:
        path = os.fspath(error.path)
        with self._lock:
            known = path in self._unreadable
            self._unreadable[path] = str(error)
            count = len(self._unreadable)
        if not known:
            _logger.warning("%s: skipped picture %d: %s", self.name, count, error)


def prepared_source(
    path: str | os.PathLike,
    *,
    mirror: bool = False,
    max_images: int | None = None,
    seed: int = 0,
    on_error: str = "raise",
) -> PreparedSource:
    """Opens a data set made by `scripts/prepare_data.py`, or a folder of pictures made by hand.

    A folder made by hand holds pictures of one size at any depth, in the order of their paths, and
    may have labels in a `dataset.json`: {"labels": [[path, label], ...]} with integers or vectors.
    If one picture has a label all must.

    Args:
        path: the folder.
        mirror: appends every picture once more, flipped from left to right.
        max_images: takes a random subset of so many pictures (before they are mirrored).
        seed: of the subset.
        on_error: "raise" stops at the first unreadable picture with an error that names it; "skip"
            lets a loader go on without it, logged and counted.

    Returns:
        A source: `len`, `[i]`, `name`, `digest`, `resolution`, `channels`, `labels`, ....

    Raises:
        DataError: there is no such data set, it is incomplete or inconsistent, or an argument is
            out of range.
    """
    root = pathlib.Path(path).expanduser()
    if on_error not in ("raise", "skip"):
        raise DataError(f'on_error must be "raise" or "skip", got {on_error!r}')
    if not root.is_dir():
        raise DataError(f"prepared data set {root} is no folder; make it with prepare_data.py")
    if (root / FOLDER).is_dir():
        raise DataError(f"{root} is not complete; run prepare_data.py again as before to go on")
    store = open_store(root)
    indices = np.arange(len(store))
    name = str(root)
    if max_images is not None:
        if max_images < 1:
            raise DataError(f"max_images must be at least 1, got {max_images}")
        if max_images < len(store):
            indices = np.sort(np.random.default_rng(seed).permutation(len(store))[:max_images])
            name += f"[{max_images} of {len(store)}, seed {seed}]"
    return PreparedSource(
        name + ("+mirrored" if mirror else ""), store, indices, mirror=mirror, on_error=on_error
    )


def _digest(store: Store, indices: np.ndarray, mirror: bool) -> str:
    if len(indices) == len(store) and not mirror:
        return store.digest
    content = store.digest.encode() + indices.astype("<i8").tobytes() + bytes([mirror])
    return hashlib.sha256(content).hexdigest()
