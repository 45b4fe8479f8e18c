"""Files of a prepared data set, each written whole or not at all.

A part of the pictures becomes one shard of records, or so many PNG files. Writing a part again,
after a run that was cut off in the middle of it, gives the same bytes under the same names.
"""

import dataclasses
import json
import os
import pathlib

from aa_jax.data.errors import DataError
from aa_jax.data.record import ENCODINGS, pack_record

MANIFEST = "prepared.json"
REJECTED = "rejected.jsonl"
LABELS = "labels.npy"
FORMATS = ("array_record", "folder")
_PER_FOLDER = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Output:
    """How a data set is written.

    Attributes:
        format: "array_record" (shards of records) or "folder" (PNG files and a `dataset.json`).
        encoding: of records, "png" or "raw": raw ones are read several times faster, and larger.
        shard_size: pictures of the source that make one shard. What was done of the last one is
            done again after an interruption.

    Raises:
        DataError: an attribute is out of range.
    """

    format: str = "array_record"
    encoding: str = "png"
    shard_size: int = 4096

    def __post_init__(self):
        if self.format not in FORMATS:
            raise DataError(f"format must be one of {', '.join(FORMATS)}, got {self.format!r}")
        if self.encoding not in ENCODINGS:
            raise DataError(
                f"encoding must be one of {', '.join(ENCODINGS)}, got {self.encoding!r}"
            )
        if self.format == "folder" and self.encoding != "png":
            raise DataError('encoding must be "png" for the format "folder"')
        if self.shard_size < 1:
            raise DataError(f"shard_size must be at least 1, got {self.shard_size}")


def write_whole(path: pathlib.Path, content: bytes) -> None:
    """Writes a file under another name first, so that `path` never holds half of it."""
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def json_bytes(value) -> bytes:
    """JSON with a newline at its end; the same value gives the same bytes."""
    return (json.dumps(value, indent=1) + "\n").encode()


def picture_name(index: int) -> str:
    """Of picture `index` in a prepared folder: 00000/img00000000.png, a thousand to a folder."""
    return f"{index // _PER_FOLDER:05d}/img{index:08d}.png"


def shard_name(part: int) -> str:
    """Of the records of one part."""
    return f"images-{part:05d}.array_record"


class RecordWriter:
    """Writes the pictures of one part as one ArrayRecord file.

    Args:
        root: of the data set.
        part: number of the part.
        encoding: "png" or "raw".
    """

    def __init__(self, root: pathlib.Path, part: int, encoding: str):
        self._path, self._encoding = root / shard_name(part), encoding
        self._temporary = root / f".{shard_name(part)}.tmp"
        self._writer = None

    def add(self, index: int, shape, pixels: bytes, label) -> None:
        """Appends a picture; `pixels` in the writer's encoding."""
        del index  # its place in the file says so
        if self._writer is None:
            from array_record.python.array_record_module import ArrayRecordWriter

            # One record to a chunk, for random access. PNG holds nothing more to compress.
            packing = "uncompressed" if self._encoding == "png" else "zstd:1"
            self._writer = ArrayRecordWriter(str(self._temporary), f"group_size:1,{packing}")
        self._writer.write(pack_record(shape, pixels, self._encoding, label))

    def commit(self) -> None:
        """Puts the file in its place; there is none if there were no pictures."""
        if self._writer is None:
            return
        self._writer.close()
        with open(self._temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(self._temporary, self._path)

    def abandon(self) -> None:
        """Stops in the middle; the unfinished file will be overwritten by the next run."""
        if self._writer is not None:
            self._writer.close()


class FolderWriter:
    """Writes the pictures of one part as PNG files.

    Args:
        root: of the data set.
    """

    def __init__(self, root: pathlib.Path):
        self._root = root

    def add(self, index: int, shape, pixels: bytes, label) -> None:
        """Writes picture `index`, a PNG file's bytes."""
        del shape, label  # the one is in the file, the other in dataset.json
        path = self._root / picture_name(index)
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_bytes(pixels)
        os.replace(temporary, path)

    def commit(self) -> None:
        """Nothing is left to do: every picture is in its place."""

    def abandon(self) -> None:
        """Nothing to do either."""
