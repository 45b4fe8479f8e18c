"""Labels of pictures to prepare: from dataset.json, from class folders, or from a file."""

import csv
import dataclasses
import hashlib
import io
import json
import math
import os
import pathlib

import numpy as np

from aa_jax.data.errors import DataError
from aa_jax.data.preparation_pictures import Rejected
from aa_jax.data.preparation_sources import Pictures

Label = int | tuple[float, ...]
LISTING = "dataset.json"


@dataclasses.dataclass(frozen=True)
class Labels:
    """The labels of a source.

    Attributes:
        kind: "none", "class" (an integer) or "vector" (numbers).
        dim: classes there are, or length of the vectors; 0 for none.
        class_names: of the classes, if they have any.
        table: label by name of the picture; None if reading a picture gives its label, or if there
            are none.
        origin: where they come from, for messages.
    """

    kind: str = "none"
    dim: int = 0
    class_names: tuple[str, ...] = ()
    table: dict[str, Label] | None = None
    origin: str = "none"

    def of(self, name: str, own: int | None) -> Label | None:
        """The label of a picture.

        Raises:
            Rejected: it has none, although others have.
        """
        if self.kind == "none":
            return None
        if self.table is None:
            return own
        if name not in self.table:
            raise Rejected(f"no label in {self.origin}")
        return self.table[name]

    @property
    def digest(self) -> str:
        """Changes with any label."""
        table = None if self.table is None else sorted(self.table.items())
        content = json.dumps([self.kind, self.dim, self.class_names, table])
        return hashlib.sha256(content.encode()).hexdigest()


def load_labels(choice: str | os.PathLike, pictures: Pictures) -> Labels:
    """Finds the labels of a source.

    Args:
        choice: "auto" takes those of a TFDS data set, or of a `dataset.json` in the source, or
            none; "none"; "folders" makes the outermost folder of each picture its class; otherwise
            a `.json` or `.csv` file. Such JSON is `{"labels": [[name, label], ...]}` or
            `{name: label}`; a row of CSV is a name and a label, or a name and the numbers of a
            vector. Labels that are words become classes in alphabetical order.
        pictures: the source.

    Returns:
        The labels.

    Raises:
        DataError: there is no such file, it is malformed, labels are of several kinds, or none
            belongs to a picture.
    """
    if choice == "none":
        return Labels()
    if choice == "folders":
        return _of_folders(pictures)
    if choice != "auto":
        return _of_file(pathlib.Path(choice).expanduser(), pictures)
    if pictures.class_names:
        return Labels("class", len(pictures.class_names), tuple(pictures.class_names), None, "TFDS")
    listing = pictures.read_file(LISTING)
    if listing is None:
        return Labels()
    return _checked(_pairs_of_json(listing, LISTING), LISTING, pictures)


def read_listing(content: bytes, origin: str) -> Labels:
    """The labels in a `dataset.json`, whatever pictures there are.

    Raises:
        DataError: it is malformed.
    """
    return _checked(_pairs_of_json(content, origin), origin, None)


def _of_folders(pictures: Pictures) -> Labels:
    table = {name: name.split("/")[0] for name in pictures.names if "/" in name}
    if not table:
        raise DataError('labels "folders": no picture of the source lies in a folder')
    return _checked(list(table.items()), "class folders", pictures)


def _of_file(path: pathlib.Path, pictures: Pictures) -> Labels:
    if path.suffix.lower() not in (".json", ".csv") or not path.is_file():
        raise DataError(
            f'labels must be "auto", "none", "folders" or an existing .json or .csv file, got '
            f"{os.fspath(path)!r}"
        )
    content = path.read_bytes()
    if path.suffix.lower() == ".json":
        pairs = _pairs_of_json(content, path.name)
    else:
        pairs = _pairs_of_csv(content, path.name, pictures)
    if not pairs:
        raise DataError(f"labels: {path} holds none")
    return _checked(pairs, path.name, pictures)


def _pairs_of_json(content: bytes, origin: str) -> list[tuple[str, object]]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"labels: {origin} is not valid JSON: {error}") from error
    listed = document.get("labels") if isinstance(document, dict) else document
    if isinstance(document, dict) and "labels" not in document:
        listed = list(document.items())
    if listed is None:
        return []
    well_formed = isinstance(listed, list) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)
        for pair in listed
    )
    if not well_formed:
        raise DataError(
            f'labels: {origin} must hold {{"labels": [[name, label], ...]}} or {{name: label}}'
        )
    return [tuple(pair) for pair in listed]


def _pairs_of_csv(content: bytes, origin: str, pictures: Pictures) -> list[tuple[str, object]]:
    try:
        rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"))) if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"labels: {origin} is not valid CSV: {error}") from error
    if rows and pictures.names and rows[0][0] not in set(pictures.names):
        rows = rows[1:]  # a heading
    if len({len(row) for row in rows}) > 1 or any(len(row) < 2 for row in rows):
        raise DataError(f"labels: the rows of {origin} must all be a name and as many labels")
    columns = [[cell.strip() for cell in row[1:]] for row in rows]
    try:
        if all(len(cells) == 1 for cells in columns):
            values = [int(cells[0]) for cells in columns]
        else:
            values = [[float(cell) for cell in cells] for cells in columns]
    except ValueError:
        if any(len(cells) > 1 for cells in columns):
            raise DataError(f"labels: {origin} has several columns that are not numbers") from None
        values = [cells[0] for cells in columns]
    return [(row[0], value) for row, value in zip(rows, values, strict=True)]


def _checked(pairs, origin: str, pictures: Pictures | None) -> Labels:
    """Labels of one kind, for pictures that there are."""
    if not pairs:
        return Labels()
    names = {name for name, _ in pairs}
    if len(names) < len(pairs):
        raise DataError(f"labels: {origin} names a picture twice")
    if pictures is not None and pictures.names and names.isdisjoint(pictures.names):
        raise DataError(
            f"labels: {origin} has none of the pictures; it names {pairs[0][0]!r}, the source has "
            f"{pictures.names[0]!r}"
        )
    kinds = {_kind(value) for _, value in pairs}
    if len(kinds) != 1 or None in kinds:
        raise DataError(
            f"labels: those in {origin} must all be integers from 0 on, all words, or all vectors "
            f"of finite numbers of one length"
        )
    kind, dim = kinds.pop()
    if kind == "word":
        words = tuple(sorted({word for _, word in pairs}))
        numbers = {word: number for number, word in enumerate(words)}
        table = {name: numbers[word] for name, word in pairs}
        return Labels("class", len(words), words, table, origin)
    if kind == "class":
        table = {name: int(value) for name, value in pairs}
        return Labels("class", 1 + max(table.values()), (), table, origin)
    # Rounded as they will be read, so that nothing depends on how they were written.
    table = {name: tuple(np.float32(value).tolist()) for name, value in pairs}
    return Labels("vector", dim, (), table, origin)


def _kind(value) -> tuple[str, int] | None:
    if isinstance(value, str):
        return "word", 0
    if isinstance(value, int) and not isinstance(value, bool):
        return ("class", 0) if 0 <= value < 2**31 else None
    if isinstance(value, list) and value:
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
        if numbers and all(math.isfinite(v) and abs(v) < 1e38 for v in value):
            return "vector", len(value)
    return None
