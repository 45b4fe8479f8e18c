"""What a preparation has done so far, on disk: how it goes on after it was killed.

The pictures of a source are worked through in parts of fixed length. When the files of a part are
in place, a note of it is written: how many pictures it took and gave, labels, hashes, rejections.
A run that finds notes goes on behind the last one. When all is done the notes are removed.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil

from aa_jax.data.errors import DataError
from aa_jax.data.preparation_files import MANIFEST, json_bytes, write_whole

FOLDER = ".preparing"
_ARGUMENTS = "arguments.json"


@dataclasses.dataclass
class Part:
    """The note of one part.

    Attributes:
        taken: pictures that were read from the source.
        shape: (height, width) of all pictures so far; None before the first.
        digests: of the pixels of each picture that was accepted.
        labels: of the same; None where there are none.
        rejected: (name, reason) of the others.
        last: the source has no more.
    """

    taken: int = 0
    shape: tuple[int, int] | None = None
    digests: list[str] = dataclasses.field(default_factory=list)
    labels: list = dataclasses.field(default_factory=list)
    rejected: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    last: bool = False


class Journal:
    """The notes of the preparation of one data set.

    Args:
        root: of the data set.
        arguments: all that its content depends on, as plain data.
    """

    def __init__(self, root: pathlib.Path, arguments: dict):
        self._root, self._folder = root, root / FOLDER
        self._arguments = json.loads(json.dumps(arguments))

    def is_complete(self) -> bool:
        """Whether the data set was prepared already, with the same arguments.

        Raises:
            DataError: it was prepared with others.
        """
        manifest = self._root / MANIFEST
        if not manifest.is_file():
            return False
        # Another version of Pillow may give other pixels, but what is complete stays good.
        self._compare(_read_json(manifest).get("arguments", {}), ignored=("pillow",))
        if self._folder.is_dir():  # killed between its last two deeds
            self.remove()
        return True

    @contextlib.contextmanager
    def opened(self):
        """Makes or reopens the notes, and keeps other runs away from them.

        Raises:
            DataError: the folder holds something else, belongs to a preparation with other
                arguments, or another run is at work on it.
        """
        own = self._folder / _ARGUMENTS
        strangers = [] if not self._root.exists() else list(self._root.iterdir())
        if strangers and not self._folder.is_dir():
            raise DataError(
                f"destination {self._root} is not empty and was not begun by this program; give a "
                "new folder"
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        with open(self._folder / "lock", "wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DataError(
                    f"destination {self._root}: another run is preparing it; wait for its end"
                ) from error
            if own.is_file():
                self._compare(_read_json(own))
            else:
                write_whole(own, json_bytes(self._arguments))
            yield self

    def parts(self) -> list[Part]:
        """Notes of the parts that are done, in order."""
        found = []
        while (path := self._path(len(found))).is_file():
            fields = _read_json(path)
            fields["shape"] = fields["shape"] and tuple(fields["shape"])
            found.append(Part(**fields))
        return found

    def note(self, number: int, part: Part) -> None:
        """Notes that the files of a part are in place."""
        write_whole(self._path(number), json.dumps(dataclasses.asdict(part)).encode())

    def remove(self) -> None:
        """Removes the notes."""
        shutil.rmtree(self._folder)

    def _path(self, number: int) -> pathlib.Path:
        return self._folder / f"part-{number:05d}.json"

    def _compare(self, others: dict, *, ignored: tuple[str, ...] = ()) -> None:
        keys = [k for k in {**others, **self._arguments} if k not in ignored]
        differences = [
            f"{key} is {others.get(key)!r} there and {self._arguments.get(key)!r} now"
            for key in keys
            if others.get(key) != self._arguments.get(key)
        ]
        if differences:
            raise DataError(
                f"destination {self._root} belongs to a preparation with other arguments: "
                f"{'; '.join(differences)}. Give the same, or another destination"
            )


def _read_json(path: pathlib.Path) -> dict:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {os.fspath(path)}: {error}; remove its folder") from error
