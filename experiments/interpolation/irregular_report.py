"""The study of irregular samples, written down: numbers, tables, curves and pictures."""

import dataclasses
import json
import pathlib

import numpy as np

from aa_jax.figures import style

CURVES = (
    "SciPy nearest",
    "SciPy linear",
    "SciPy Clough-Tocher",
    "SciPy RBF, 16 neighbours",
    "mixture, one sigma",
    "mixture, adaptive, corrected",
    "local linear, steered, corrected",
)
STRIP = ("photograph", *CURVES[1:])
NOTES = """
L1, PSNR (dB) and SSIM to the photograph, [0, 1]; seconds are of the process, on all its threads
together. SciPy's linear and Clough-Tocher interpolations have no value outside the samples' hull:
the nearest sample stands there, or zero where it says so. The mixtures' constants are the same in
all rows. The first call of a mixture also compiles.
"""


def write(folder, headline: dict, results: dict, example, *, settings: dict, seconds: float) -> str:
    """Writes results.json, table.md, curves.png and examples.png; returns the tables.

    Args:
      folder: to write to.
      headline: reading of the colours -> method -> `irregular.Outcome`; may be empty.
      results: (layout, density) -> method -> `irregular.Outcome`.
      example: name -> (height, width, 3) of the headline; None for none.
      settings: of the command line.
      seconds: how long the study took.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = [NOTES.strip()]
    parts += [
        f"Headline: random samples, colours read {reading}.\n\n" + headline_table(outcomes)
        for reading, outcomes in headline.items()
    ]
    if results:
        photographs = f"{settings['count']} photographs, colours read {settings['reading']}."
        parts += [f"L1, {photographs}", density_table(results, lambda o: f"{o.l1:.4f}")]
        parts += ["PSNR (dB)", density_table(results, lambda o: f"{o.psnr:.2f}")]
        parts += ["SSIM", density_table(results, lambda o: f"{o.ssim:.3f}")]
        parts += ["CPU seconds", density_table(results, lambda o: f"{o.seconds:.2f}")]
        curves(results, folder / "curves.png")
    text = "\n\n".join(parts)
    (folder / "table.md").write_text(text + "\n")
    content = {
        "seconds": seconds,
        "settings": settings,
        "headline": {reading: _plain(row) for reading, row in headline.items()},
        "densities": [
            {"layout": layout, "density": density, "methods": _plain(row)}
            for (layout, density), row in results.items()
        ],
    }
    (folder / "results.json").write_text(json.dumps(content, indent=1, default=str) + "\n")
    if example:
        strip(example, folder / "examples.png")
    return text


def headline_table(outcomes: dict) -> str:
    """Markdown: a row for each method."""
    lines = ["| method | L1 | PSNR | SSIM | CPU s | first call |", "|---|--:|--:|--:|--:|--:|"]
    for name, o in outcomes.items():
        first = "" if o.first_seconds is None else f"{o.first_seconds:.2f}"
        lines.append(
            f"| {name} | {o.l1:.4f} | {o.psnr:.2f} | {o.ssim:.3f} | {o.seconds:.2f} | {first} |"
        )
    return "\n".join(lines)


def density_table(results: dict, cell) -> str:
    """Markdown: methods by layouts and densities; a dash where one was left out."""
    methods = list(dict.fromkeys(name for row in results.values() for name in row))
    heads = [f"{layout} {100 * density:g} %" for layout, density in results]
    lines = ["| method | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(heads)]
    for method in methods:
        cells = [cell(row[method]) if method in row else "-" for row in results.values()]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def curves(results: dict, path) -> None:
    """L1 over density, a panel for each layout."""
    layouts = list(dict.fromkeys(layout for layout, _ in results))
    figure = style.new_figure(3.4 * len(layouts) + 2, 3.6)
    axes = figure.subplots(1, len(layouts), sharey=True, squeeze=False)[0]
    for axis, layout in zip(axes, layouts, strict=True):
        densities = [density for name, density in results if name == layout]
        for index, method in enumerate(CURVES):
            there = [d for d in densities if method in results[layout, d]]
            errors = [results[layout, d][method].l1 for d in there]
            axis.plot([100 * d for d in there], errors, label=method, **style.series_style(index))
        axis.set(xscale="log", yscale="log", title=layout, xlabel="samples per pixel (%)")
        axis.set_xticks([100 * d for d in densities], [f"{100 * d:g}" for d in densities])
        axis.minorticks_off()
        style.tidy(axis)
    axes[0].set_ylabel("L1")
    axes[-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    style.save(figure, path)


def strip(example: dict, path) -> None:
    """A part of the headline's photograph, and what each method makes of it."""
    names = [name for name in STRIP if name in example]
    figure = style.new_figure(1.9 * len(names), 2.8)
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    for axis, name in zip(axes, names, strict=True):
        height, width = example[name].shape[:2]
        part = example[name][height // 16 : height * 5 // 16, width * 5 // 16 : width * 9 // 16]
        axis.imshow(np.clip(part, 0, 1), interpolation="nearest")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_title(name.replace(", ", ",\n"), fontsize=8)
    style.save(figure, path)


def _plain(row: dict) -> dict:
    return {name: dataclasses.asdict(outcome) for name, outcome in row.items()}
