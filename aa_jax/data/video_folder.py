"""A folder of films as users have it on disk: root/train/film.mp4, root/test/film.mp4."""

import collections
import operator
import os
import pathlib
import threading
from collections.abc import Sequence

import numpy as np

from aa_jax.data.errors import DataError
from aa_jax.data.folder import EXTENSIONS, MAX_PIXELS
from aa_jax.data.preparation_pictures import Fit, fit_picture
from aa_jax.data.preparation_sources import VIDEO_EXTENSIONS
from aa_jax.data.video import open_video

# A lone .png is rather a picture than a film.
_FILMS = (*VIDEO_EXTENSIONS, ".apng", ".gif", ".webp")
GROUPINGS = ("video", "identity")


class VideoFolder:
    """Random-access source of films on disk, in the form of `MovingPhotographs`.

    `source[i]` is {"frames": uint8 (T, size, size, 3), "landmarks": float32 (T, 0, 2), "visible":
    bool (T, 0)}: films on disk know no landmarks. A film is a file or a folder of numbered
    pictures; they are sorted by name, and hidden names are left aside. Frames are cropped to the
    middle square and resized by Lanczos' antialiased filter.

    Args:
        root: the folder.
        split: the folder in it that holds the films, "train" or "test"; None if `root` does.
        size: height and width of the frames in pixels.
        grouping: "identity" puts films into one group whose names are the same up to the first
            "#" (VoxCeleb's files are called person#film#part), so that pairs of frames are drawn
            from every person equally often. "video" leaves every film alone.
        max_frames: longer films are refused.
        max_pixels: films with larger frames are refused.
        held_bytes: what the films read last may take in memory.

    Attributes:
        paths: of the films.
        groups: see `Videos`.

    Raises:
        ValueError: an option is out of range.
        DataError: there is no such folder, or no film in it.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        split: str | None = "train",
        *,
        size: int,
        grouping: str = "video",
        max_frames: int = 10_000,
        max_pixels: int = MAX_PIXELS,
        held_bytes: int = 2**30,
    ):
        if grouping not in GROUPINGS:
            raise ValueError(f"grouping must be one of {', '.join(GROUPINGS)}, got {grouping!r}")
        self._fit = Fit(resolution=(size, size))
        self._max_frames, self._max_pixels = max_frames, max_pixels
        self.paths = _films(pathlib.Path(root).expanduser(), split)
        self.name = str(root) if split is None else f"{root}/{split}"
        keys = [p.stem.split("#")[0] if grouping == "identity" else p.name for p in self.paths]
        found = collections.defaultdict(list)
        for index, key in enumerate(keys):
            found[key].append(index)
        self.groups = tuple(tuple(indices) for indices in found.values())
        self._held: collections.OrderedDict[int, np.ndarray] = collections.OrderedDict()
        self._held_bytes, self._lock = held_bytes, threading.Lock()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        frames = self._read(index)
        landmarks = np.zeros((len(frames), 0, 2), np.float32)
        return {"frames": frames, "landmarks": landmarks, "visible": landmarks[..., 0] > 0}

    def num_frames(self, index: int) -> int:
        """How many frames a film has, which takes reading it."""
        return len(self._read(index))

    def frames(self, index: int, times: Sequence[int]) -> np.ndarray:
        """Some frames of a film: uint8 (len(times), size, size, 3)."""
        return self._read(index)[list(times)]

    def _read(self, index: int) -> np.ndarray:
        index = operator.index(index)
        if not 0 <= index < len(self):
            raise IndexError(f"index must lie in [0, {len(self)}), got {index}")
        with self._lock:
            if index in self._held:
                self._held.move_to_end(index)
                return self._held[index]
        path = self.paths[index]
        video = open_video(path, max_frames=self._max_frames, max_pixels=self._max_pixels)
        # One frame at a time: films are often much larger on disk than what is kept of them.
        frames = np.stack([fit_picture(frame, self._fit) for frame in video.frames])
        frames.setflags(write=False)
        with self._lock:
            self._held[index] = frames
            while sum(f.nbytes for f in self._held.values()) > self._held_bytes:
                self._held.popitem(last=False)
        return frames


def _films(root: pathlib.Path, split: str | None) -> tuple[pathlib.Path, ...]:
    folder = root if split is None else root / split
    if not folder.is_dir():
        raise DataError(
            f"video folder: {folder} is no folder; expected {root}/train and {root}/test with "
            "films in them (split=None reads films directly below the root)"
        )
    entries = sorted(e for e in folder.iterdir() if not e.name.startswith("."))
    films = tuple(e for e in entries if e.suffix.lower() in _FILMS or _holds_pictures(e))
    if not films:
        raise DataError(
            f"video folder: {folder} holds no films; expected files ({', '.join(_FILMS)}) or "
            "folders of numbered pictures"
        )
    return films


def _holds_pictures(entry: pathlib.Path) -> bool:
    return entry.is_dir() and any(p.suffix.lower() in EXTENSIONS for p in entry.iterdir())
