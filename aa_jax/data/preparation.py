"""Prepares a data set: any pictures in, pictures of one size and their labels out.

Whatever is wrong with a picture, it is left out, listed with the reason and counted. A run that was
killed goes on where it was when it is started again, and gives the same bytes as one that was not.
"""

import collections
import concurrent.futures
import dataclasses
import hashlib
import io
import itertools
import json
import os
import pathlib
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import PIL
from PIL import Image

from aa_jax.data.errors import DataError
from aa_jax.data.preparation_files import (
    FORMATS,
    LABELS,
    MANIFEST,
    REJECTED,
    FolderWriter,
    RecordWriter,
    json_bytes,
    picture_name,
    shard_name,
    write_whole,
)
from aa_jax.data.preparation_journal import Journal, Part
from aa_jax.data.preparation_labels import LISTING, Label, Labels, load_labels
from aa_jax.data.preparation_pictures import Fit, Rejected, encode_png, fit_picture
from aa_jax.data.preparation_progress import Progress
from aa_jax.data.preparation_sources import Pictures, Read, open_pictures
from aa_jax.data.record import ENCODINGS

VERSION = 1  # of the files; raised whenever the same arguments would give other bytes
_AHEAD = 4  # pictures that each thread may be ahead of the writer


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


@dataclasses.dataclass(frozen=True)
class Report:
    """What a preparation gave.

    Attributes:
        path: of the data set.
        count: pictures in it.
        rejected: pictures left out.
        num_others: files of the source that are no pictures by their name.
        made: pictures worked on by this run, rejected ones included.
        seconds: that this run took.
    """

    path: pathlib.Path
    count: int
    rejected: int
    num_others: int
    made: int
    seconds: float

    def __str__(self) -> str:
        text = f"{self.count} pictures in {self.path}"
        if self.rejected:
            text += f", {self.rejected} rejected (see {self.path / REJECTED})"
        if self.num_others:
            text += f", {self.num_others} other files ignored"
        if self.made:
            return f"{text}; {self.made / self.seconds:.1f} pictures a second"
        return f"{text}; it was complete"


def prepare(
    source: str | os.PathLike,
    destination: str | os.PathLike,
    *,
    fit: Fit,
    output: Output | None = None,
    labels: str | os.PathLike = "auto",
    split: str = "train",
    data_dir: str | None = None,
    every: int = 1,
    max_images: int | None = None,
    num_threads: int | None = None,
    show_progress: bool = False,
) -> Report:
    """Prepares a data set, or goes on with one.

    Args:
        source: a folder (also of folders), a `.zip`, a film, or "tfds:name".
        destination: folder of the data set; new, or one that an interrupted run has begun.
        fit: size, crop and channels of every picture.
        output: how it is written; None takes the defaults of `Output`.
        labels: "auto", "none", "folders", or a `.json` or `.csv` file; see `load_labels`.
        split: of a TFDS data set.
        data_dir: of a TFDS data set.
        every: of a film, take every so many-th frame.
        max_images: take the first pictures of the source only.
        num_threads: that decode, resize and encode; None takes one for each processor. The result
            does not depend on it.
        show_progress: print to standard error how far it has come.

    Returns:
        A report.

    Raises:
        DataError: an argument is wrong, no picture could be used, or the destination belongs to
            something else or to other arguments.
        OSError: the destination cannot be written.
    """
    output = output or Output()
    for name, value in (("every", every), ("max_images", max_images), ("num_threads", num_threads)):
        if value is not None and value < 1:
            raise DataError(f"{name} must be at least 1, got {value}")
    root = pathlib.Path(destination).expanduser()
    _check_apart(source, root)
    pictures = open_pictures(
        source, max_pixels=fit.max_pixels, split=split, data_dir=data_dir, every=every
    )
    found = load_labels(labels, pictures)
    arguments = {
        "version": VERSION,
        "pillow": PIL.__version__,
        "kind": pictures.kind,
        "source": pictures.digest,
        "labels": found.digest,
        **dataclasses.asdict(fit),
        **dataclasses.asdict(output),
        "every": every,
        "max_images": max_images,
    }
    journal = Journal(root, arguments)
    if journal.is_complete():
        manifest = json.loads((root / MANIFEST).read_bytes())
        return Report(root, manifest["count"], manifest["rejected"], manifest["others"], 0, 0.0)
    run = _Preparation(root, pictures, found, fit, output, max_images, journal)
    with journal.opened():
        return run(num_threads or os.cpu_count() or 1, show_progress, arguments, os.fspath(source))


def _check_apart(source: str | os.PathLike, root: pathlib.Path) -> None:
    text = os.fspath(source)
    if text.startswith("tfds:"):
        return
    inner, outer = root.resolve(), pathlib.Path(text).expanduser().resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise DataError(
            f"destination {root} and source {text} must not lie in each other: what is written "
            "would be read"
        )


@dataclasses.dataclass(frozen=True)
class _Made:
    """A picture as it will be written."""

    shape: tuple[int, int, int]
    pixels: bytes
    digest: str
    label: Label | None


class _Preparation:
    """One run: all parts that are still to be done, and the files about all of them."""

    def __init__(self, root, pictures: Pictures, labels: Labels, fit: Fit, output: Output,
                 max_images: int | None, journal: Journal):  # fmt: skip
        self._root, self._pictures, self._labels = root, pictures, labels
        self._fit, self._output, self._limit = fit, output, max_images
        self._journal = journal
        self._shape: tuple[int, int] | None = None

    def __call__(self, num_threads, show_progress, arguments, source: str) -> Report:
        began = time.monotonic()
        parts = self._journal.parts()
        self._shape = parts[-1].shape if parts else None
        start = sum(part.taken for part in parts)
        if not parts or not parts[-1].last:
            progress = self._progress(start) if show_progress else None
            self._go_on(parts, start, num_threads, progress)
        manifest = self._finish(parts, arguments, source)
        made = sum(part.taken for part in parts) - start
        seconds = time.monotonic() - began
        return Report(
            self._root, manifest["count"], manifest["rejected"], manifest["others"], made, seconds
        )

    def _progress(self, start: int) -> Progress:
        total = self._pictures.total
        if self._limit is not None and total is not None:
            total = min(total, self._limit)
        return Progress(total, done=start)

    def _go_on(self, parts: list[Part], start: int, num_threads: int, progress) -> None:
        with (
            warnings.catch_warnings(),
            concurrent.futures.ThreadPoolExecutor(num_threads) as executor,
        ):
            # Large pictures are rejected by name; nobody needs a warning beside that.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            items = itertools.islice(
                self._pictures.items(start), None if self._limit is None else self._limit - start
            )
            made = _in_order(executor, self._make, items, _AHEAD * num_threads)
            while not parts or not parts[-1].last:
                parts.append(self._part(len(parts), parts, made, progress))
                self._journal.note(len(parts) - 1, parts[-1])
        if progress is not None:
            progress.close(sum(len(part.rejected) for part in parts))

    def _make(self, name: str, read: Read) -> _Made:
        """Runs in a thread."""
        pixels, own = read()
        label = self._labels.of(name, own)
        pixels = fit_picture(pixels, self._fit)
        content = pixels.tobytes()
        digest = hashlib.sha256(repr(pixels.shape).encode() + content).hexdigest()[:32]
        if self._output.encoding == "png":
            content = encode_png(pixels)
        return _Made(pixels.shape, content, digest, label)

    def _part(self, number: int, done: list[Part], made: Iterator, progress) -> Part:
        """Writes the files of one part."""
        index = sum(len(part.digests) for part in done)
        rejected_before = sum(len(part.rejected) for part in done)
        writer = (
            FolderWriter(self._root)
            if self._output.format == "folder"
            else RecordWriter(self._root, number, self._output.encoding)
        )
        part = Part()
        try:
            for name, result in itertools.islice(made, self._output.shard_size):
                part.taken += 1
                try:
                    picture = result()
                    self._check_shape(picture.shape)
                except Rejected as error:
                    part.rejected.append((name, str(error)))
                else:
                    writer.add(index, picture.shape, picture.pixels, picture.label)
                    index += 1
                    part.digests.append(picture.digest)
                    part.labels.append(picture.label)
                if progress is not None:
                    progress.advance(rejected_before + len(part.rejected))
        except BaseException:
            writer.abandon()
            raise
        writer.commit()
        part.shape = self._shape
        part.last = part.taken < self._output.shard_size
        return part

    def _check_shape(self, shape: tuple[int, int, int]) -> None:
        if self._shape is None:
            self._shape = shape[:2]
        elif shape[:2] != self._shape:
            height, width = self._shape
            raise Rejected(
                f"{shape[1]} x {shape[0]} pixels, but the first picture has {width} x {height}; "
                "give a resolution to resize them"
            )

    def _finish(self, parts: list[Part], arguments: dict, source: str) -> dict:
        """Writes what is said about all pictures; the manifest comes last."""
        rejected = [pair for part in parts for pair in part.rejected]
        lines = [json.dumps({"name": name, "reason": reason}) for name, reason in rejected]
        write_whole(self._root / REJECTED, "".join(f"{line}\n" for line in lines).encode())
        count = sum(len(part.digests) for part in parts)
        if not count:
            raise DataError(
                f"none of the {len(rejected)} pictures could be used: {rejected[0][1]} "
                f"({rejected[0][0]}); {self._root / REJECTED} lists all reasons"
            )
        labels = None
        if self._labels.kind != "none":
            labels = [label for part in parts for label in part.labels]
        if self._output.format == "folder":
            names = map(picture_name, range(count))
            pairs = labels and [list(pair) for pair in zip(names, labels, strict=True)]
            write_whole(self._root / LISTING, json_bytes({"labels": pairs}))
        elif labels is not None:
            dtype = np.int32 if self._labels.kind == "class" else np.float32
            stream = io.BytesIO()
            np.save(stream, np.asarray(labels, dtype), allow_pickle=False)
            write_whole(self._root / LABELS, stream.getvalue())
        manifest = self._manifest(parts, labels, len(rejected), arguments, source)
        write_whole(self._root / MANIFEST, json_bytes(manifest))
        self._journal.remove()
        return manifest

    def _manifest(self, parts, labels, rejected: int, arguments: dict, source: str) -> dict:
        digests = [digest for part in parts for digest in part.digests]
        # Of pixels and labels, not of files: the same in either format and any shards.
        content = hashlib.sha256("".join(digests).encode())
        content.update(json.dumps(labels).encode())
        height, width = self._shape
        manifest = {
            "resolution": [height, width],
            "channels": self._fit.channels,
            "count": len(digests),
            "label_kind": self._labels.kind,
            "label_dim": self._labels.dim,
            "class_names": list(self._labels.class_names),
            "digest": content.hexdigest(),
            "rejected": rejected,
            "others": self._pictures.num_others,
            "source": source,
            "arguments": arguments,
        }
        if self._output.format == "array_record":
            sizes = [(shard_name(n), len(part.digests)) for n, part in enumerate(parts)]
            manifest["shards"] = [[name, size] for name, size in sizes if size]
        return manifest


def _in_order(executor, work: Callable, items: Iterator, ahead: int) -> Iterator:
    """(name, function that gives the result) of each item, in order, some being computed ahead."""
    waiting = collections.deque()
    try:
        while True:
            for name, read in itertools.islice(items, ahead - len(waiting)):
                waiting.append((name, executor.submit(work, name, read)))
            if not waiting:
                return
            name, future = waiting.popleft()
            yield name, future.result
    finally:
        for _, future in waiting:
            future.cancel()
