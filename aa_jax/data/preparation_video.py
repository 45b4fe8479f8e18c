"""The frames of a film as pictures to prepare."""

import hashlib
import pathlib
from collections.abc import Iterator

from aa_jax.data.ffmpeg import ffmpeg_frames
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
        number, complaints = start * self._every, []
        for frame in ffmpeg_frames(self._path, complaints, start=number, every=self._every):
            yield f"frame{number:08d}", lambda frame=frame: (frame, None)
            number += self._every
        if complaints:
            yield self._path.name, _rejection(f"ffmpeg: {complaints[0]}")

    def read_file(self, name: str) -> None:
        """Nothing lies beside a film."""
        return None


def _rejection(reason: str):
    def read():
        raise Rejected(reason)

    return read
