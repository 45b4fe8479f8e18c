"""The frames of a film, through the ffmpeg that `imageio[ffmpeg]` brings along."""

import hashlib
import pathlib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from aa_jax.data.errors import DataError
from aa_jax.data.preparation_pictures import Rejected

_HEAD = 2**20  # bytes of a film that go into its digest, beside its size


class VideoPictures:
    """Every so many-th frame of a film; see `Pictures`."""

    kind = "video"
    total = None
    names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    num_others = 0

    def __init__(self, path: pathlib.Path, every: int):
        self._path, self._every = path, every
        with open(path, "rb") as file:
            head = file.read(_HEAD)
        self.digest = hashlib.sha256(f"{path.stat().st_size}\n".encode() + head).hexdigest()

    def items(self, start: int) -> Iterator[tuple[str, object]]:
        """Frame `start * every` and what follows it; what ffmpeg complains of is a last item."""
        number = start * self._every
        # Frames follow each other as PPM files, which say their own size.
        select = f"select=gte(n\\,{number})*not(mod(n\\,{self._every}))"
        output = ["-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"]
        command = [_program(), "-v", "error", "-nostdin", "-i", f"file:{self._path}"]
        command += ["-map", "0:v:0", "-vf", select, "-fps_mode", "passthrough", *output]
        with (
            tempfile.TemporaryFile() as log,
            # A session of its own, so that ctrl-c reaches this program alone.
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            ) as process,
        ):
            try:
                while (frame := _read_ppm(process.stdout)) is not None:
                    yield f"frame{number:08d}", lambda frame=frame: (frame, None)
                    number += self._every
            except BaseException:  # also when nobody wants the rest
                process.kill()
                raise
            process.wait()
            log.seek(0)
            # Without addresses in memory, which differ from run to run.
            complaints = re.sub(rb" @ 0x[0-9a-f]+", b"", log.read()).decode(errors="replace")
        if complaints.strip():
            yield self._path.name, _rejection(f"ffmpeg: {complaints.strip().splitlines()[0]}")

    def read_file(self, name: str) -> None:
        """Nothing lies beside a film."""
        return None


def _rejection(reason: str):
    def read():
        raise Rejected(reason)

    return read


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
