"""Picture and film files that appear whole or not at all: PNG, GIF, and H.264 in mp4."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from aa_jax.training.gif import write_gif
from aa_jax.training.h264 import write_mp4
from aa_jax.training.pictures import save_png
from aa_jax.training.whole_file import replacing

FILMS = {".mp4": write_mp4, ".gif": write_gif}


def is_folder(output: str) -> bool:
    """Whether an output names a folder: one that exists, or anything that ends in a slash."""
    return output.endswith(("/", os.sep)) or pathlib.Path(output).is_dir()


def check_output(output: str, suffixes: Sequence[str], *, folder: bool = False) -> pathlib.Path:
    """Makes sure that an output can be written, before anything is computed for it.

    Args:
        output: as written by the user.
        suffixes: of files that are allowed, in lower case.
        folder: whether a folder is allowed too; one that is missing will be made.

    Returns:
        The path.

    Raises:
        ValueError: it is of another kind, or nothing can be written there.
    """
    path = pathlib.Path(output)
    expected = " or ".join(suffixes) + (", or in / for a folder" if folder else "")
    if is_folder(output):
        if not folder:
            raise ValueError(f"output must end in {expected}, got the folder {output!r}")
        target = path if path.is_dir() else path.parent
    elif path.suffix.lower() in suffixes:
        target = path.parent
    else:
        raise ValueError(f"output must end in {expected}, got {output!r}")
    if not target.is_dir():
        raise ValueError(f"output: there is no folder {target}; make it first")
    try:
        with tempfile.TemporaryDirectory(dir=target, prefix=".aa_jax.") as trial:
            film = FILMS.get(path.suffix.lower())
            if film:  # Also proves that there is an encoder.
                film(pathlib.Path(trial) / path.name, [np.zeros((2, 2, 3), np.uint8)], 1)
    except OSError as error:
        raise ValueError(f"output: can't write into {target}: {_reason(error)}") from error
    return path


def write_png(path: pathlib.Path, picture: np.ndarray) -> None:
    """Writes one picture, uint8 (H, W, C) with one, three or four channels.

    Raises:
        OSError: the file can't be written; an earlier one is intact.
    """
    with _explaining(path):
        save_png(path, picture)


def write_film(path: pathlib.Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Writes a film, frame by frame as they come; transparent places become white.

    Args:
        path: ending in `.mp4` or `.gif`.
        frames: uint8 (H, W, C) with one, three or four channels, all of one shape.
        fps: frames a second, from 1 to 240.

    Raises:
        OSError: the file can't be written; an earlier one is intact.
        ValueError: the suffix or the rate is another, there is no frame, or one has another shape.
    """
    write = FILMS.get(path.suffix.lower())
    if write is None:
        raise ValueError(f"path must end in {' or '.join(FILMS)}, got {path}")
    check_rate(fps)
    with _explaining(path), replacing(path) as temporary:
        if not write(temporary, _prepared(frames), fps):
            raise ValueError("frames must not be empty")


def check_rate(fps: float) -> None:
    """Raises ValueError unless `fps` is a rate that films can have."""
    if not 1 <= fps <= 240:
        raise ValueError(f"fps must lie from 1 to 240, got {fps}")


@contextlib.contextmanager
def _explaining(path: pathlib.Path) -> Iterator[None]:
    """Says of an error in writing `path` what it means for the user."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"output: could not write {path}, an earlier file is intact: {_reason(error)}"
        ) from error


def _prepared(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Frames without transparency, laid on white."""
    shape = None
    for frame in frames:
        shape = shape or frame.shape
        if frame.shape != shape:
            raise ValueError(f"frames must all have the shape {shape}, got {frame.shape}")
        if frame.shape[-1] == 4:
            alpha = frame[..., 3:].astype(np.float32) / 255
            frame = np.round(frame[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
        yield frame


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
