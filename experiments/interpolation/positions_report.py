"""Tables and figures of the positions study."""

import json
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from aa_jax.figures import style

_PUBLISHED, _SAFE, _EXACT = "published", "published, no overflow", "exact"
_POINTS = "points"
_SHOWN_SIGMAS = (0.25, 0.5, 2.0)  # whose curves are drawn
_STRIP_SIGMA = 0.5  # of the strips and scatters


def write(folder, scenes: dict, runs: Sequence, *, seconds: float, seed: int) -> str:
    """Writes positions.json, positions.md and four figures; returns the Markdown.

    Args:
      folder: made if it isn't there.
      scenes: by photograph, `positions.Scene`.
      runs: `positions.Run`, their rows with the photograph.
      seconds: the study took.
      seed: of the points.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [run.row | {"curve": run.curve} for run in runs]
    _put(folder / "positions.json", json.dumps({"seed": seed, "seconds": seconds, "runs": rows}))
    text = _text(rows, seconds=seconds, seed=seed)
    figures: dict[str, Callable] = {
        "positions_curves": lambda: curves(rows),
        "positions_sweep": lambda: sweep(rows),
        "positions_points": lambda: scatter(scenes, runs),
        "positions_strips": lambda: strips(scenes, runs),
    }
    for name, draw in figures.items():
        part = folder / f".{name}.png"
        style.save(draw(), part)
        os.replace(part, folder / f"{name}.png")
        text += f"\n![{name.replace('_', ', ')}]({name}.png)\n"
    _put(folder / "positions.md", text)
    return text


def published_table(rows: Sequence[dict]) -> str:
    """Markdown: what became of the published descent."""
    head = (
        "photograph | sigma | gradient | L1 before | after | RMS move, px | points not finite, "
        "first step | most | 1/Z overflows, pixels | most | on the border | lost | holes | cosine"
    )
    lines = []
    for row in rows:
        if row["gradient"] == _EXACT:
            continue
        cells = [
            row["photograph"],
            f"{row['sigma']:g}",
            row["gradient"],
            f"{row['before']:.4f}",
            f"{row['after']:.4f}",
            "" if row["moved"] is None else f"{row['moved']:.3f}",
            row["wrong"][0],
            max(row["wrong"]),
            row["overflowing"][0],
            max(row["overflowing"]),
            f"{row['border']:.1%}",
            row["lost"],
            f"{row['holes']:.1%}",
            f"{row['cosine']:.2f}",
        ]
        lines.append(cells)
    return _markdown(head, lines, left=(0, 2))


def exact_table(rows: Sequence[dict]) -> str:
    """Markdown: a row for a width and what was trained, columns for the photographs."""
    exact = [row for row in rows if row["gradient"] == _EXACT]
    photographs = list(dict.fromkeys(row["photograph"] for row in exact))
    head = "trained | sigma | window | " + " | ".join(f"{name}, L1 | ratio" for name in photographs)
    head += " | RMS move, px | gradients not finite"
    lines = []
    keys = ("trained", "sigma", "window")
    kinds = dict.fromkeys(tuple(row[key] for key in keys) for row in exact)
    for kind in sorted(kinds, key=lambda kind: (kind[0].count(","), kind[0], kind[1])):
        same = [row for row in exact if tuple(row[key] for key in keys) == kind]
        cells = [kind[0], f"{kind[1]:g}", kind[2]]
        for row in same:
            cells += [
                f"{row['before']:.4f} → {row['after']:.4f}",
                f"{row['after'] / row['before']:.2f}",
            ]
        moves = [row["moved"] for row in same]
        cells += [f"{min(moves):.1f} to {max(moves):.1f}", sum(sum(row["wrong"]) for row in same)]
        lines.append(cells)
    return _markdown(head, lines, left=(0, 2))


def curves(rows: Sequence[dict]):
    """L1 over the steps: a row for a photograph, a column for a width."""
    photographs = list(dict.fromkeys(row["photograph"] for row in rows))
    there = sorted({row["sigma"] for row in rows if row["gradient"] == _PUBLISHED})
    sigmas = [sigma for sigma in _SHOWN_SIGMAS if sigma in there] or there[:1]
    figure = style.new_figure(4 * len(sigmas), 2.8 * len(photographs))
    axes = figure.subplots(len(photographs), len(sigmas), squeeze=False)
    for line, photograph in zip(axes, photographs, strict=True):
        for axis, sigma in zip(line, sigmas, strict=True):
            for index, gradient in enumerate((_EXACT, _PUBLISHED, _SAFE)):
                row = _find(rows, photograph, gradient, sigma)
                if row is not None:
                    kind = style.series_style(index)
                    every = max(len(row["curve"]) // 8, 1)
                    axis.plot(row["curve"], label=gradient, markevery=every, markersize=4, **kind)
            axis.set_ylim(bottom=0)
            axis.set_title(f"{photograph}, sigma {sigma:g} px", fontsize=10)
            axis.set_xlabel("step")
            axis.set_ylabel("L1")
            style.tidy(axis)
            axis.legend(frameon=False, fontsize=8)
    return figure


def sweep(rows: Sequence[dict]):
    """L1 before and after against the width, for both gradients: the paper's Fig. 4."""
    photographs = list(dict.fromkeys(row["photograph"] for row in rows))
    figure = style.new_figure(4.4 * len(photographs), 3.6)
    axes = figure.subplots(1, len(photographs), squeeze=False)[0]
    series = (
        (_PUBLISHED, "before", "published, before", "--"),
        (_PUBLISHED, "after", "published, after", "-"),
        (_EXACT, "before", "exact, before", "--"),
        (_EXACT, "after", "exact, after", "-"),
    )
    for axis, photograph in zip(axes, photographs, strict=True):
        for index, (gradient, key, label, line) in enumerate(series):
            own = [
                row
                for row in rows
                if (row["photograph"], row["gradient"], row["trained"], row["window"])
                == (photograph, gradient, _POINTS, "square")
            ]
            own.sort(key=lambda row: row["sigma"])
            kind = style.series_style((2, 2, 1, 1)[index])
            filled = {"markerfacecolor": "white"} if key == "before" else {}
            x, y = [row["sigma"] for row in own], [row[key] for row in own]
            axis.plot(x, y, label=label, linestyle=line, markersize=5, **kind, **filled)
        axis.set(xscale="log", yscale="log", xlabel="sigma, px", ylabel="L1", title=photograph)
        style.tidy(axis)
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def scatter(scenes: dict, runs: Sequence):
    """Positions before and after on the photographs: the paper's Fig. 5."""
    found = [run.row for run in runs]
    sigma = _strip_sigma(found)
    panels = (
        ("at random", None),
        (f"published, sigma {sigma:g}", _PUBLISHED),
        (f"exact, sigma {sigma:g}", _EXACT),
    )
    figure = style.new_figure(4.2 * len(panels), 3.0 * len(scenes))
    axes = figure.subplots(len(scenes), len(panels), squeeze=False)
    for line, (photograph, view) in zip(axes, scenes.items(), strict=True):
        height, width, _ = view.picture.shape
        for axis, (title, gradient) in zip(line, panels, strict=True):
            axis.imshow(0.5 + 0.5 * view.picture)
            points = view.points
            if gradient is not None:
                points = _find(runs, photograph, gradient, sigma).points
            color = style.COLORS[1] if gradient is None else style.COLORS[2]
            axis.plot(*points.T, ".", color=color, markersize=2.5, clip_on=False)
            axis.set(xlim=(-3, width + 2), ylim=(height + 2, -3))
            axis.set_title(f"{photograph}: {title}", fontsize=9)
            axis.set_axis_off()
    return figure


def strips(scenes: dict, runs: Sequence):
    """What the mixtures look like."""
    sigma = _strip_sigma([run.row for run in runs])
    figure = style.new_figure(3.2 * 4, 2.5 * len(scenes))
    axes = figure.subplots(len(scenes), 4, squeeze=False)
    for line, (photograph, view) in zip(axes, scenes.items(), strict=True):
        best = [
            run
            for run in runs
            if run.row["photograph"] == photograph and "covariances" in run.row["trained"]
        ][0]
        images = {
            "photograph": (view.picture, None),
            f"published, sigma {sigma:g}": _shown(_find(runs, photograph, _PUBLISHED, sigma)),
            f"exact, sigma {sigma:g}": _shown(_find(runs, photograph, _EXACT, sigma)),
            "exact, covariances and colours too": _shown(best),
        }
        for axis, (title, (image, error)) in zip(line, images.items(), strict=True):
            axis.imshow(np.clip(image, 0, 1))
            axis.set_title(title if error is None else f"{title}: L1 {error:.4f}", fontsize=8)
            axis.set_axis_off()
    return figure


def _text(rows, *, seconds: float, seed: int) -> str:
    steps = {row["steps"] for row in rows if row["gradient"] == _EXACT}
    few = {row["steps"] for row in rows if row["gradient"] != _EXACT}
    return "\n\n".join(
        [
            "# Positions of the samples",
            f"About {rows[0]['number']} uniformly random points, seed {seed}. L1 is the mean "
            "absolute error on [0, 1], at the width given, before and after. Windows: square as "
            "published, 10 px to each side; smooth, fading to zero 10 px away. "
            f"The whole took {seconds / 60:.1f} minutes.",
            f"## The published gradient, {min(few)} steps",
            "SGD, momentum 0.9, only points trained, colours follow the photograph. Holes, "
            "points on the border or lost (NaN): at the end. Holes are pixels that no weight is "
            "left for; 1/Z is counted where Z is not zero. "
            "Cosine: of the published formula, free of overflow, with the exact gradient, at the "
            "start.",
            published_table(rows),
            f"## The exact gradient, {min(steps)} steps",
            "Adam. Unless trained, colours follow the photograph and all widths are sigma.",
            exact_table(rows),
            "",
        ]
    )


def _strip_sigma(rows) -> float:
    sigmas = sorted({row["sigma"] for row in rows if row["gradient"] == _PUBLISHED})
    return min(sigmas, key=lambda sigma: abs(sigma - _STRIP_SIGMA))


def _find(items, photograph: str, gradient: str, sigma: float):
    """The run, or row, in which only points were trained, in the published window."""
    for item in items:
        row = getattr(item, "row", item)
        key = (row["photograph"], row["gradient"], row["sigma"], row["trained"], row["window"])
        if key == (photograph, gradient, sigma, _POINTS, "square"):
            return item
    return None


def _shown(run):
    return run.image, run.row["after"]


def _markdown(head: str, lines, *, left) -> str:
    columns = head.count("|") + 1
    rule = "|".join("---" if column in left else "--:" for column in range(columns))
    body = ["| " + " | ".join(map(str, cells)) + " |" for cells in lines]
    return "\n".join([f"| {head} |", f"|{rule}|", *body])


def _put(path: pathlib.Path, content: str) -> None:
    part = path.with_name(f".{path.name}")
    part.write_text(content, encoding="utf-8")
    os.replace(part, path)
