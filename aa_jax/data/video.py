"""Films in: through ffmpeg, through Pillow, or as numbered pictures.

Files may be hostile: sizes are checked before anything large is held, nothing but the named file is
opened (a film may be a playlist that names others), and errors name the file and what is wrong.
"""

import dataclasses
import itertools
import logging
import os
import pathlib
import re
from collections.abc import Iterator

import numpy as np
from PIL import Image

from aa_jax.data.errors import DataError
from aa_jax.data.ffmpeg import ffmpeg_frames, ffmpeg_speed
from aa_jax.data.folder import EXTENSIONS, MAX_PIXELS, read_image
from aa_jax.data.preparation_sources import VIDEO_EXTENSIONS

ANIMATION_EXTENSIONS = (".apng", ".gif", ".png", ".webp")
MAX_FRAMES = 100_000
MAX_BYTES = 2**32  # of all frames of a film together
_FRAMES_PER_SECOND = 25.0  # of numbered pictures, which do not say
_ANIMATION_SPEED = 10.0  # of animations without durations, as browsers show them
_logger = logging.getLogger("aa_jax.data")


class UnreadableVideoError(DataError):
    """A film is missing, corrupt, too large or none at all.

    Attributes:
        path: the film.
    """

    def __init__(self, path, reason: str):
        kinds = ", ".join(dict.fromkeys((*VIDEO_EXTENSIONS, *ANIMATION_EXTENSIONS)))
        super().__init__(
            f"cannot read the film {path}: {reason}; expected a file that ffmpeg or Pillow reads "
            f"({kinds}) or a folder of numbered pictures of one size"
        )
        self.path = path


@dataclasses.dataclass(frozen=True)
class Video:
    """A film that is read as its frames are asked for.

    Attributes:
        fps: frames a second; of animations, what the first frame's duration says.
        frames: of uint8 (H, W, 3), all of one size, at least one; raises `UnreadableVideoError`
            where the film turns out to be unreadable or beyond its limits.
    """

    fps: float
    frames: Iterator[np.ndarray]


def open_video(
    path: str | os.PathLike, *, max_frames: int = MAX_FRAMES, max_pixels: int = MAX_PIXELS
) -> Video:
    """Opens a film, an animated picture, or a folder of numbered pictures.

    Args:
        path: the file or folder. Pictures of a folder are sorted by the numbers in their names.
        max_frames: films with more are refused when that many were read.
        max_pixels: films with larger frames are refused.

    Returns:
        The film, whose first frame has been read.

    Raises:
        UnreadableVideoError: there is no such film, or its first frame cannot be read.
    """
    path = pathlib.Path(path).expanduser()
    if path.is_dir():
        fps, frames = _FRAMES_PER_SECOND, _numbered_frames(path, max_pixels)
    elif not path.is_file():
        raise UnreadableVideoError(path, "there is no such file or folder")
    elif path.suffix.lower() in ANIMATION_EXTENSIONS:
        fps, frames = _animation_speed(path, max_pixels), _animation_frames(path)
    else:
        fps, complaint = ffmpeg_speed(path, max_pixels=max_pixels)
        if fps is None:
            raise UnreadableVideoError(path, f"ffmpeg: {complaint}")
        frames = _film_frames(path, max_pixels)
    first = next(frames, None)
    if first is None:
        raise UnreadableVideoError(path, "it holds no frame")
    return Video(fps, _checked(path, itertools.chain([first], frames), max_frames))


def read_video(
    path: str | os.PathLike,
    *,
    max_frames: int = MAX_FRAMES,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
) -> tuple[np.ndarray, float]:
    """Reads all of a film; see `open_video`.

    Args:
        path: the file or folder.
        max_frames: films with more are refused.
        max_pixels: films with larger frames are refused.
        max_bytes: films of which all frames together take more are refused.

    Returns:
        uint8 (T, H, W, 3), and frames a second.

    Raises:
        UnreadableVideoError: the film is unreadable or too large.
    """
    video = open_video(path, max_frames=max_frames, max_pixels=max_pixels)
    frames, taken = [], 0
    for frame in video.frames:
        taken += frame.nbytes
        if taken > max_bytes:
            raise UnreadableVideoError(
                path,
                f"its first {len(frames) + 1} frames take {taken} bytes, more than max_bytes = "
                f"{max_bytes} (open_video reads one frame at a time)",
            )
        frames.append(frame)
    return np.stack(frames), video.fps


def _checked(path, frames: Iterator[np.ndarray], max_frames: int) -> Iterator[np.ndarray]:
    shape = None
    for number, frame in enumerate(frames):
        if number == max_frames:
            raise UnreadableVideoError(path, f"it has more than max_frames = {max_frames} frames")
        shape = shape or frame.shape
        if frame.shape != shape:
            raise UnreadableVideoError(
                path,
                f"frame {number} has {frame.shape[1]} x {frame.shape[0]} pixels, the first one "
                f"{shape[1]} x {shape[0]}",
            )
        yield frame


def _numbered_frames(folder: pathlib.Path, max_pixels: int) -> Iterator[np.ndarray]:
    def order(path):
        # Odd places hold the numbers of a name: 2.png comes before 10.png.
        parts = re.split(r"(\d+)", path.name)
        return [int(part) if place % 2 else part for place, part in enumerate(parts)]

    pictures = [p for p in folder.iterdir() if p.suffix.lower() in EXTENSIONS]
    for path in sorted((p for p in pictures if not p.name.startswith(".")), key=order):
        try:
            yield read_image(path, max_pixels=max_pixels)
        except DataError as error:
            raise UnreadableVideoError(folder, str(error)) from error


def _check_size(path: pathlib.Path, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise UnreadableVideoError(
            path, f"it has {width} x {height} pixels, more than max_pixels = {max_pixels}"
        )


def _animation_speed(path: pathlib.Path, max_pixels: int) -> float:
    try:
        with Image.open(path) as image:
            _check_size(path, image.width, image.height, max_pixels)
            image.load()  # before which WebP's durations are not known
            return 1000 / (image.info.get("duration") or 1000 / _ANIMATION_SPEED)
    except UnreadableVideoError:
        raise
    except (
        Exception
    ) as error:  # Decoders fail on hostile files in ways that none of them documents.
        raise UnreadableVideoError(path, f"{type(error).__name__}: {error}") from error


def _animation_frames(path: pathlib.Path) -> Iterator[np.ndarray]:
    try:
        with Image.open(path) as image:
            for number in itertools.count():
                try:
                    image.seek(number)
                except EOFError:  # Pillow's word for "no more frames"
                    return
                yield np.array(image.convert("RGB"))
    except Exception as error:  # as above
        raise UnreadableVideoError(path, f"{type(error).__name__}: {error}") from error


def _film_frames(path: pathlib.Path, max_pixels: int) -> Iterator[np.ndarray]:
    complaints, count = [], 0
    for frame in ffmpeg_frames(path, complaints, max_pixels=max_pixels):
        _check_size(path, *frame.shape[1::-1], max_pixels)
        yield frame
        count += 1
    if complaints and not count:
        raise UnreadableVideoError(path, f"ffmpeg: {complaints[0]}")
    if complaints:
        _logger.warning(
            "%s: took the %d frames that could be read; ffmpeg complained: %s; repair or replace "
            "the file if frames are missing", path, count, complaints[0],
        )  # fmt: skip
