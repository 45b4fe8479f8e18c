"""The frames of a film, through the ffmpeg that `imageio[ffmpeg]` brings along."""

import pathlib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from aa_jax.data.errors import DataError

# Containers that hold their pictures themselves. Others, whatever a file's name says, are lists of
# further files to open.
_CONTAINERS = (
    *("apng", "asf", "avi", "flv", "gif", "h264", "hevc", "ivf", "m4v", "matroska", "mjpeg", "mov"),
    *("mpeg", "mpegts", "mpegvideo", "mxf", "nut", "obu", "ogg", "yuv4mpegpipe"),
)


def ffmpeg_frames(
    path: pathlib.Path,
    complaints: list[str],
    *,
    start: int = 0,
    every: int = 1,
    max_pixels: int | None = None,
) -> Iterator[np.ndarray]:
    """Frames of a film as ffmpeg decodes them.

    Args:
        path: the film.
        complaints: gets the lines that ffmpeg complains with, when all frames have been read.
        start: number of the first frame wanted.
        every: takes every so many-th frame.
        max_pixels: ffmpeg refuses films with frames of much more pixels, and complains of it.

    Yields:
        uint8 (H, W, 3).

    Raises:
        DataError: there is no ffmpeg.
    """
    # Frames follow each other as PPM files, which say their own size.
    select = f"select=gte(n\\,{start})*not(mod(n\\,{every}))"
    output = ["-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"]
    command = [*_reading(path, max_pixels), "-vf", select, "-fps_mode", "passthrough", *output]
    with (
        tempfile.TemporaryFile() as log,
        # A session of its own, so that ctrl-c reaches this program alone.
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            while (frame := _read_ppm(process.stdout)) is not None:
                yield frame
        except BaseException:  # also when nobody wants the rest
            process.kill()
            raise
        process.wait()
        log.seek(0)
        complaints += _without_addresses(log.read())


def ffmpeg_speed(path: pathlib.Path, *, max_pixels: int) -> tuple[float | None, str]:
    """Frames a second of a film; if ffmpeg reads no picture of it, None and what it says."""
    # The header of this raw form of film has them as a fraction.
    output = ["-frames:v", "1", "-vf", "scale=16:16", "-pix_fmt", "yuv420p"]
    command = [*_reading(path, max_pixels), *output, "-f", "yuv4mpegpipe", "-"]
    result = subprocess.run(command, capture_output=True, start_new_session=True)
    found = re.match(rb"YUV4MPEG2 [^\n]*\bF(\d+):(\d+)\b", result.stdout)
    if found:
        return int(found[1]) / max(1, int(found[2])), ""
    lines = _without_addresses(result.stderr)
    return None, lines[0] if lines else "found no picture"


def _reading(path: pathlib.Path, max_pixels: int | None) -> list[str]:
    """How ffmpeg is told to read the pictures of one file, and no other file."""
    limits = ["-protocol_whitelist", "file", "-format_whitelist", ",".join(_CONTAINERS)]
    if max_pixels is not None:
        # Decoders count what they round sizes up to, in blocks of up to 64 pixels a side.
        limits += ["-max_pixels", str(4 * max_pixels + 2**16)]
    # Without "file:" a colon in a name would be taken for a protocol.
    source = ["-i", f"file:{path}", "-map", "0:v:0"]
    return [_program(), "-v", "error", "-nostdin", *limits, *source]


def _without_addresses(text: bytes) -> list[str]:
    """Lines without addresses in memory, which differ from run to run."""
    return re.sub(rb" @ 0x[0-9a-f]+", b"", text).decode(errors="replace").strip().splitlines()


def _program() -> str:
    import imageio_ffmpeg

    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise DataError(f"films need ffmpeg, which imageio[ffmpeg] brings: {error}") from error


def _read_ppm(stream: BinaryIO) -> np.ndarray | None:
    """Reads one PPM as ffmpeg writes it; None at the end, or within a frame that is cut off."""
    magic, size, depth = stream.readline(), stream.readline().split(), stream.readline()
    if magic != b"P6\n" or len(size) != 2 or depth != b"255\n":
        return None
    width, height = int(size[0]), int(size[1])
    content = stream.read(height * width * 3)
    if len(content) < height * width * 3:
        return None
    return np.frombuffer(content, np.uint8).reshape(height, width, 3)
