"""H.264 in mp4, through the ffmpeg that `imageio[ffmpeg]` brings along."""

import contextlib
import itertools
import pathlib
import subprocess
import tempfile
from collections.abc import Iterable

import imageio_ffmpeg
import numpy as np

# Visually lossless, with the colours of HD television named in the file, so that players need not
# guess, and the index in front, so that browsers can start before they have all of it.
_NAMED_COLOURS = "setparams=colorspace=bt709:range=tv:color_primaries=bt709:color_trc=bt709"
_ENCODER = (
    *("-c:v", "libx264", "-crf", "16", "-pix_fmt", "yuv420p"),
    *("-vf", "scale=out_color_matrix=bt709:out_range=tv," + _NAMED_COLOURS),
    *("-movflags", "+faststart"),
)


def write_mp4(path: pathlib.Path, frames: Iterable[np.ndarray], fps: float) -> int:
    """Encodes frames as they come; odd sides get their last row or column once more.

    Args:
        path: the file to write.
        frames: uint8 (H, W, C) with one or three channels, all of one shape.
        fps: frames a second.

    Returns:
        How many frames there were; no file is written for none.

    Raises:
        OSError: there is no encoder, or it could not write.
    """
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        return 0
    sent = 0
    command = _command(path, first.shape[:2], fps)
    # The pipes of imageio itself fork the process in the old way, which JAX's threads may not
    # survive, and never look at the encoder's exit code. A session of its own keeps ctrl-c from it.
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            for frame in itertools.chain([first], stream):
                process.stdin.write(_prepared(frame).tobytes())
                sent += 1
        except BrokenPipeError:
            pass  # The exit code and the log say why.
        except BaseException:
            process.kill()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        code = process.wait()
        if code:
            log.seek(0)
            lines = log.read().decode(errors="replace").strip().splitlines()
            raise OSError(f"ffmpeg ended with code {code}: {lines[0] if lines else 'no reason'}")
    return sent


def _command(path: pathlib.Path, size: tuple[int, int], fps: float) -> list[str]:
    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise OSError(f"mp4 needs ffmpeg, choose .gif or install it: {error}") from error
    height, width = (side + side % 2 for side in size)
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps)]
    # Without "file:" a colon in a name would be taken for a protocol.
    return [program, "-y", "-v", "error", *source, "-i", "-", "-an", *_ENCODER, f"file:{path}"]


def _prepared(frame: np.ndarray) -> np.ndarray:
    """RGB with even sides, which the encoder needs for its half-size colours."""
    odd = [(0, size % 2) for size in frame.shape[:2]]
    frame = np.pad(frame, [*odd, (0, 0)], mode="edge")
    return np.broadcast_to(frame, (*frame.shape[:2], 3))
