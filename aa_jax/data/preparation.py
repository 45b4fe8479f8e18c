"""Prepares a data set: any pictures in, pictures of one size and their labels out.

Whatever is wrong with a picture, it is left out, listed with the reason and counted. A run that was
killed goes on where it was when it is started again, and gives the same bytes as one that was not.
"""

import dataclasses
import json
import os
import pathlib
import time

import PIL

from aa_jax.data.errors import DataError
from aa_jax.data.preparation_files import MANIFEST, REJECTED, Output
from aa_jax.data.preparation_journal import Journal
from aa_jax.data.preparation_labels import load_labels
from aa_jax.data.preparation_pictures import Fit
from aa_jax.data.preparation_run import Preparation
from aa_jax.data.preparation_sources import open_pictures

__all__ = ["Fit", "Output", "Report", "prepare"]

VERSION = 1  # of the files; raised whenever the same arguments would give other bytes


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
        return _report(root, json.loads((root / MANIFEST).read_bytes()), 0, 0.0)
    preparation = Preparation(root, pictures, found, fit, output, max_images, journal)
    began = time.monotonic()
    with journal.opened():
        manifest, made = preparation.run(
            arguments,
            os.fspath(source),
            num_threads=num_threads or os.cpu_count() or 1,
            show_progress=show_progress,
        )
    return _report(root, manifest, made, time.monotonic() - began)


def _report(root: pathlib.Path, manifest: dict, made: int, seconds: float) -> Report:
    counts = (manifest[key] for key in ("count", "rejected", "others"))
    return Report(root, *counts, made, seconds)


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
