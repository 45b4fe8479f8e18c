"""A run folder, read for its report: what is there, within bounds, and what was left out."""

import dataclasses
import json
import os
import pathlib
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from aa_jax.training.report_series import Metrics, read_curves

LARGEST_JSON = 4 * 2**20
MOST_FIELDS = 2000  # of a config
MOST_PICTURES = 2000
MOST_LAYERS = 200
_PNG_START = b"\x89PNG\r\n\x1a\n"
_FAKES = re.compile(r"fakes_?(\d{1,12})\.png")


@dataclasses.dataclass(frozen=True)
class Picture:
    """A PNG of a run: its path, (width, height) and size in bytes."""

    path: pathlib.Path
    size: tuple[int, int]
    bytes: int


@dataclasses.dataclass
class Run:
    """One run folder.

    Attributes:
        folder: where it is.
        name: short, told apart from the other runs of a report.
        metrics: of metrics.jsonl, empty if there is none.
        modified: when metrics.jsonl was last written, seconds since 1970.
        config: values by dotted name, as text.
        versions: the same, of versions.json.
        reals, first: the grids reals.png and fakes_init.png.
        fakes: (kimg, picture) of the grids fakes_<kimg>.png, in order.
        pictures: all others.
        layers: metric -> layer -> number (None: not finite), of equivariance.json.
        single: metric -> number, the numbers of equivariance.json that belong to no layer.
        notes: what was left out, for the reader.
    """

    folder: pathlib.Path
    name: str
    metrics: Metrics = dataclasses.field(default_factory=Metrics)
    modified: float | None = None
    config: dict[str, str] = dataclasses.field(default_factory=dict)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    reals: Picture | None = None
    first: Picture | None = None
    fakes: list[tuple[int, Picture]] = dataclasses.field(default_factory=list)
    pictures: list[Picture] = dataclasses.field(default_factory=list)
    layers: dict[str, dict[str, float | None]] = dataclasses.field(default_factory=dict)
    single: dict[str, float | None] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)


def read_runs(folders: Sequence[str | os.PathLike]) -> list[Run]:
    """Reads run folders.

    Raises:
        ValueError: none is given, one is given twice, one is not a run folder, or its
            metrics.jsonl cannot be used.
    """
    paths = [pathlib.Path(folder) for folder in folders]
    if not paths:
        raise ValueError("folders must name at least one run folder, got none")
    for path in paths:
        check_run_folder(path)
    resolved = [path.resolve() for path in paths]
    if len(set(resolved)) < len(resolved):
        raise ValueError(f"folders must differ, got {', '.join(map(str, paths))}")
    return [read_run(path, name) for path, name in zip(paths, _names(resolved), strict=True)]


def check_run_folder(path: pathlib.Path) -> None:
    """Raises ValueError unless there is a folder with metrics.jsonl or config.json in it."""
    expected = "expected a folder with metrics.jsonl or config.json"
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise ValueError(f"{path} is not a run folder: {expected}, found {found} there")
    if any((path / name).is_file() for name in ("metrics.jsonl", "config.json")):
        return
    inside = sorted(entry.name for entry in path.iterdir())
    shown = ", ".join(inside[:8]) + (f" and {len(inside) - 8} more" if len(inside) > 8 else "")
    raise ValueError(f"{path} is not a run folder: {expected}, found {shown or 'an empty folder'}")


def read_run(path: pathlib.Path, name: str) -> Run:
    """Reads one run folder; files that are missing leave their part empty."""
    run = Run(path, name)
    metrics = path / "metrics.jsonl"
    if metrics.is_file():
        run.metrics, run.modified = read_curves(metrics), metrics.stat().st_mtime
        run.notes += run.metrics.notes
    for file, attribute in (("config.json", "config"), ("versions.json", "versions")):
        content = _read_json(path / file, run.notes)
        if content is not None:
            setattr(run, attribute, _flatten(content, file, run.notes))
    run.layers, run.single = read_layers(_read_json(path / "equivariance.json", run.notes))
    _read_pictures(run)
    return run


def read_layers(
    content: Any,
) -> tuple[dict[str, dict[str, float | None]], dict[str, float | None]]:
    """Numbers of layers from the content of an `equivariance.json`.

    The format is {metric: {layer: number}}, such as {"eqt_frac": {"L0": 61.2, "L1": 58.9}},
    numbers in decibels; null is a layer without a number. Tables may lie deeper, and then their
    names begin with where they lie; numbers elsewhere are single ones ({"eqt_frac": 55.1}). A
    table the other way round, {layer: {metric: number}}, is recognised by being longer than it is
    wide. Anything else is left out.

    Returns:
        metric -> layer -> number, of two layers at least, and metric -> number.
    """
    layers: dict[str, dict[str, float | None]] = {}
    single: dict[str, float | None] = {}

    def visit(node: dict, place: str, depth: int) -> None:
        tables = {key: value for key, value in node.items() if _is_table(value)}
        inner = {key for table in tables.values() for key in table}
        transposed = len(tables) > max(len(inner), 1)
        for key, value in node.items():
            name = f"{place} {key}".strip()
            if key in tables and transposed:
                for metric, number in value.items():
                    layers.setdefault(f"{place} {metric}".strip(), {})[key] = _decibels(number)
            elif key in tables and len(value) > 1:
                layers[name] = {layer: _decibels(number) for layer, number in value.items()}
            elif isinstance(value, dict) and depth < 8:
                visit(value, name, depth + 1)
            elif _is_number(value):
                single[name] = _decibels(value)

    if isinstance(content, dict):
        visit(content, "", 0)
    short = {
        name: dict(list(table.items())[:MOST_LAYERS])
        for name, table in list(layers.items())[:MOST_LAYERS]
    }
    return short, dict(list(single.items())[:MOST_LAYERS])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_table(value: Any) -> bool:
    """Whether it is {name: number or null, ...} with a number in it."""
    if not isinstance(value, dict):
        return False
    kinds = [_is_number(item) for item in value.values()]
    return any(kinds) and all(
        kind or item is None for kind, item in zip(kinds, value.values(), strict=True)
    )


def _decibels(value: Any) -> float | None:
    return float(value) if _is_number(value) and abs(value) < 1e6 else None


def _names(folders: list[pathlib.Path]) -> list[str]:
    """As many last parts of the paths as tell them apart."""
    deepest = max(len(folder.parts) for folder in folders)
    for count in range(1, deepest + 1):
        names = ["/".join(folder.parts[-count:]) for folder in folders]
        if len(set(names)) == len(names):
            break
    return names


def _read_json(path: pathlib.Path, notes: list[str]) -> Any:
    """The content of an optional file; None, with a note, if it can't be used."""
    if not path.is_file():
        return None
    if path.stat().st_size > LARGEST_JSON:
        notes.append(f"{path.name} is larger than {LARGEST_JSON // 2**20} MiB and was left out.")
        return None
    try:
        content = json.loads(path.read_bytes())
        json.dumps(content)  # As deep as it is here, it may be too deep to write again.
        return content
    except (ValueError, RecursionError) as error:
        notes.append(f"{path.name} is not JSON and was left out ({error}).")
        return None


def _flatten(content: Any, name: str, notes: list[str]) -> dict[str, str]:
    """{"a": {"b": 1}} as {"a.b": "1"}, at most `MOST_FIELDS`."""
    fields: dict[str, str] = {}
    for field, value in _leaves(content, ""):
        if len(fields) >= MOST_FIELDS:
            notes.append(f"Only the first {MOST_FIELDS} fields of {name} are shown.")
            break
        fields[field] = value
    return fields


def _leaves(node: Any, place: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict) and (node or not place) and depth < 32:
        for key, value in node.items():
            yield from _leaves(value, f"{place}.{key}" if place else key, depth + 1)
    elif isinstance(node, str):
        yield place, node
    else:
        yield place or "value", json.dumps(node, ensure_ascii=False)


def _read_pictures(run: Run) -> None:
    folder = run.folder / "pictures"
    if not folder.is_dir():
        return
    names = sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() == ".png")
    if len(names) > MOST_PICTURES:
        run.notes.append(f"Only {MOST_PICTURES} of {len(names)} pictures were looked at.")
    for name in names[:MOST_PICTURES]:
        picture = _read_picture(folder / name)
        fakes = _FAKES.fullmatch(name)
        if picture is None:
            run.notes.append(f"pictures/{name} is not a PNG and was left out.")
        elif name == "reals.png":
            run.reals = picture
        elif name == "fakes_init.png":
            run.first = picture
        elif fakes:
            run.fakes.append((int(fakes[1]), picture))
        else:
            run.pictures.append(picture)
    run.fakes.sort(key=lambda entry: entry[0])


def _read_picture(path: pathlib.Path) -> Picture | None:
    """Only its header: 8 bytes that begin every PNG, then a chunk with its width and height."""
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        start = file.read(24)
    if len(start) < 24 or not start.startswith(_PNG_START) or start[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", start[16:24])
    if not (0 < width < 2**31 and 0 < height < 2**31):
        return None
    return Picture(path, (width, height), path.stat().st_size)
