"""One run of a preparation: the parts that are left to do, then the files about all of them."""

import collections
import concurrent.futures
import dataclasses
import hashlib
import io
import itertools
import json
import pathlib
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from aa_jax.data.errors import DataError
from aa_jax.data.preparation_files import (
    LABELS,
    MANIFEST,
    REJECTED,
    FolderWriter,
    Output,
    RecordWriter,
    json_bytes,
    picture_name,
    shard_name,
    write_whole,
)
from aa_jax.data.preparation_journal import Journal, Part
from aa_jax.data.preparation_labels import LISTING, Label, Labels
from aa_jax.data.preparation_pictures import Fit, Rejected, encode_png, fit_picture
from aa_jax.data.preparation_progress import Progress
from aa_jax.data.preparation_sources import Pictures, Read

_AHEAD = 4  # pictures that each thread may be ahead of the writer


@dataclasses.dataclass(frozen=True)
class _Made:
    """A picture as it will be written."""

    shape: tuple[int, int, int]
    pixels: bytes
    digest: str
    label: Label | None


class Preparation:
    """Makes the files of a data set, where an earlier run may have made some.

    Args:
        root: folder of the data set.
        pictures: what it is made from.
        labels: of the pictures.
        fit: what every picture must become.
        output: how it is written.
        max_images: pictures of the source to take; None takes all.
        journal: what is done already.
    """

    def __init__(self, root: pathlib.Path, pictures: Pictures, labels: Labels, fit: Fit,
                 output: Output, max_images: int | None, journal: Journal):  # fmt: skip
        self._root, self._pictures, self._labels = root, pictures, labels
        self._fit, self._output, self._limit = fit, output, max_images
        self._journal = journal
        self._shape: tuple[int, int] | None = None

    def run(
        self, arguments: dict, source: str, *, num_threads: int, show_progress: bool
    ) -> tuple[dict, int]:
        """Does what is left.

        Args:
            arguments: all that the files depend on, for the manifest.
            source: as the user calls it, for the manifest.
            num_threads: that decode, resize and encode.
            show_progress: print how far it has come.

        Returns:
            The manifest, and how many pictures of the source were worked on.

        Raises:
            DataError: no picture could be used.
            OSError: a file could not be written.
        """
        parts = self._journal.parts()
        self._shape = parts[-1].shape if parts else None
        start = sum(part.taken for part in parts)
        if not parts or not parts[-1].last:
            progress = self._progress(start) if show_progress else None
            self._go_on(parts, start, num_threads, progress)
        manifest = self._finish(parts, arguments, source)
        return manifest, sum(part.taken for part in parts) - start

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
            name, reason = rejected[0] if rejected else (source, "there was nothing to read")
            raise DataError(
                f"none of the {len(rejected)} pictures could be used: {reason} ({name}); "
                f"{self._root / REJECTED} lists all reasons"
            )
        labels = None
        if self._labels.kind != "none":
            labels = [label for part in parts for label in part.labels]
        if self._output.format == "folder":
            names = map(picture_name, range(count))
            pairs = labels and [list(pair) for pair in zip(names, labels, strict=True)]
            write_whole(self._root / LISTING, json.dumps({"labels": pairs}).encode())
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
