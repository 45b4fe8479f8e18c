"""A report of one training run, or of several side by side: one HTML file that needs no other.

It reads of a run folder, each where it exists:

* `metrics.jsonl`: rows {"step": 1200, "kimg": 4.8, name: number or null, ...} (`report_series`);
* `config.json` and `versions.json`: nested fields, for versions flat ones such as "jax", "device"
  and "command";
* `equivariance.json`: {metric: {layer: decibels}} (`report_run.read_layers`);
* `pictures/*.png`: `reals.png`, `fakes_init.png`, `fakes_000004.png` (the number is kimg), others.

Everything in these files is text to be shown, never markup.
"""

import datetime
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from aa_jax.training.report_curves import draw_layers
from aa_jax.training.report_metrics import curve_sections, line_class, summary_table
from aa_jax.training.report_page import page, panel, row, section, table
from aa_jax.training.report_pictures import Album
from aa_jax.training.report_run import Run, read_runs
from aa_jax.training.report_text import escape, format_duration, format_number
from aa_jax.training.whole_file import replacing

_TOTALS = {"kimg": ("total_kimg", "kimg"), "step": ("total_steps", "steps")}


def write_report(
    folders: Sequence[str | os.PathLike] | str | os.PathLike, output: str | os.PathLike
) -> pathlib.Path:
    """Writes the report of runs.

    Args:
        folders: run folders, or one; curves of several are laid over each other.
        output: HTML file to write; an earlier one is replaced once the new one is complete.

    Returns:
        The path of the report.

    Raises:
        OSError: a file can't be read or written.
        ValueError: there is no folder for `output`, or `folders` is none, names one twice, or one
            that is not a run folder or whose metrics.jsonl is broken or too large.
    """
    output = pathlib.Path(output)
    if output.is_dir() or not output.parent.is_dir():
        raise ValueError(f"output must be a file in a folder that exists, got {output}")
    runs = read_runs([folders] if isinstance(folders, str | os.PathLike) else folders)
    names = [run.name for run in runs]
    title = names[0] if len(runs) == 1 else f"{len(runs)} runs: {', '.join(names)}"
    album = Album(output.parent)
    body = [
        f"<h1>{escape(title)}</h1>",
        *(_status(run, index, len(runs) > 1) for index, run in enumerate(runs)),
        section("Summary", summary_table(runs)),
        *curve_sections(runs),
        section("Pictures", *(_titled(run, album.of_run(run), len(runs) > 1) for run in runs)),
        section("Equivariance by layer", _layers(runs)),
        section("Config", *_config(runs)),
        section("Versions and command", *(_versions(run, len(runs) > 1) for run in runs)),
        f'<p class="soft">Written {_time(datetime.datetime.now(datetime.UTC))}.</p>',
    ]
    with replacing(output) as temporary:
        temporary.write_text(page(title, "\n".join(filter(None, body))), encoding="utf-8")
    return output


def _status(run: Run, index: int, several: bool) -> str:
    """How far a run is, and what was left out of the report."""
    metrics = run.metrics
    cards = []
    if metrics.kimg is not None:
        cards.append((format_number(metrics.kimg), "kimg"))
    if metrics.step is not None:
        cards.append((format_number(metrics.step), "steps"))
    share = _share_done(run)
    if share is not None:
        cards.append((f"{min(100 * share, 100):.0f} %", "of the run"))
    seconds = _training_seconds(run)
    if seconds is not None and 0 < seconds < 1e10:
        cards.append((f"≈ {format_duration(seconds)}", "of training"))
    if run.modified is not None:
        when = datetime.datetime.fromtimestamp(run.modified, datetime.UTC)
        cards.append((_time(when), "last written"))
    shown = "".join(f"<div><b>{escape(it)}</b><span>{what}</span></div>" for it, what in cards)
    heading = f'<p class="soft">{escape(run.folder, longest=1000)}</p>'
    if several:
        key = f'<i class="{line_class(index)}"></i>'
        heading = f'<h3><span class="key">{key}{escape(run.name)}</span></h3>{heading}'
    if not cards:
        shown = "<p>No row of metrics yet.</p>"
    notes = "".join(
        f'<p class="note">{escape(f"{run.name}: {note}" if several else note, longest=600)}</p>'
        for note in run.notes
    )
    return f'{heading}<div class="cards">{shown}</div>{notes}'


def _share_done(run: Run) -> float | None:
    """How much of the length that its config tells the run has done."""
    axis = "step" if run.metrics.kimg is None else "kimg"
    done = getattr(run.metrics, axis)
    for name in _TOTALS[axis]:
        for field, text in run.config.items():
            if done is not None and field.split(".")[-1] == name:
                total = _positive(text)
                if total:
                    return done / total
    return None


def _training_seconds(run: Run) -> float | None:
    """Time in training steps: seconds per kimg over the images seen, or images over images/s."""
    curves, metrics = run.metrics.curves, run.metrics
    batch = _positive(run.config.get("batch_size", ""))
    if metrics.kimg and "seconds_per_kimg" in curves:
        rate, done = curves["seconds_per_kimg"], metrics.kimg
        return done * float(np.average(rate.mean, weights=rate.count))
    if "images_per_second" in curves and (metrics.kimg or (metrics.step and batch)):
        speed = curves["images_per_second"]
        images = 1000 * metrics.kimg if metrics.kimg else metrics.step * batch
        usable = speed.mean > 1e-6
        if usable.any():
            per_image = np.average(1 / speed.mean[usable], weights=speed.count[usable])
            return images * float(per_image)
    return None


def _positive(text: str) -> float | None:
    """The number that a config's text is, if it is finite and above 0."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1e15 else None


def _titled(run: Run, content: str, several: bool) -> str:
    return f"<h3>{escape(run.name)}</h3>\n{content}" if several and content else content


def _layers(runs: Sequence[Run]) -> str:
    """Charts and a table of numbers per layer."""
    metrics = list(dict.fromkeys(metric for run in runs for metric in run.layers))
    panels, tables = [], []
    for metric in metrics:
        having = [(index, run) for index, run in enumerate(runs) if metric in run.layers]
        layers = list(dict.fromkeys(it for _, run in having for it in run.layers[metric]))
        series = [(run.name, [run.layers.get(metric, {}).get(it) for it in layers]) for run in runs]
        if all(value is None for _, values in series for value in values):
            continue
        svg = draw_layers(layers, series, label=f"{metric} by layer")
        keys = [(run.name, line_class(index)) for index, run in having] if len(runs) > 1 else ()
        panels.append(panel(metric, svg, keys=keys))
        rows = [
            row(
                layer,
                [format_number(values[index]) for _, values in series],
                cell_cls=["number"] * len(series),
            )
            for index, layer in enumerate(layers)
        ]
        head = [metric] + ([run.name for run in runs] if len(runs) > 1 else ["value"])
        tables.append(table(head, rows))
    parts = [_single(runs)]
    if panels:
        parts.append(f'<div class="panels">{"".join(panels)}</div>')
        parts.append(f"<details><summary>Numbers</summary>{''.join(tables)}</details>")
    return "\n".join(filter(None, parts))


def _single(runs: Sequence[Run]) -> str:
    names = list(dict.fromkeys(name for run in runs for name in run.single))
    rows = [
        row(
            name,
            [format_number(run.single.get(name)) for run in runs],
            cell_cls=["number"] * len(runs),
        )
        for name in names
    ]
    head = [""] + ([run.name for run in runs] if len(runs) > 1 else ["value"])
    return table(head, rows) if rows else ""


def _config(runs: Sequence[Run]) -> list[str]:
    """All fields, folded; of several runs first those that differ."""
    fields = list(dict.fromkeys(field for run in runs for field in run.config))
    if not fields:
        return []
    values = {field: [run.config.get(field, "absent") for run in runs] for field in fields}
    differing = [field for field in fields if len(set(values[field])) > 1]
    head = ["field"] + ([run.name for run in runs] if len(runs) > 1 else ["value"])
    parts = []
    if len(runs) > 1:
        rows = [row(field, values[field], cls="differs") for field in differing]
        parts.append("<h3>What differs</h3>")
        parts.append(
            table(head, rows, numbers_from=99) if rows else "<p>The configs are the same.</p>"
        )
    marks = dict.fromkeys(differing, "differs")
    rows = [row(field, values[field], cls=marks.get(field, "")) for field in fields]
    everything = table(head, rows, numbers_from=len(head))
    return [
        *parts,
        f"<details><summary>All {len(fields)} fields</summary>\n{everything}\n</details>",
    ]


def _versions(run: Run, several: bool) -> str:
    """What the run was made with, and its command."""
    versions = dict(run.versions)
    command = versions.pop("command", None)
    rows = [row(name, [value]) for name, value in versions.items()]
    content = table(["", "version"], rows, numbers_from=2) if rows else ""
    if command is not None:
        content += f"<pre>{escape(command, longest=4000)}</pre>"
    return _titled(run, content, several)


def _time(when: datetime.datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
