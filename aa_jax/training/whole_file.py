"""Files that appear whole or not at all."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A file to write in the folder of `path`, which takes its place once it is complete.

    Args:
        path: of the file; whatever was there stays until the end, or for good after an error.

    Yields:
        The path of a file, not there yet, of the same name in a temporary folder.

    Raises:
        OSError: nothing can be written there.
    """
    path = pathlib.Path(path)
    # A folder rather than a file: a file from `tempfile` only its owner could read.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".aa_jax.") as folder:
        temporary = pathlib.Path(folder) / path.name
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
