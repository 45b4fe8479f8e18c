"""Writes what was measured: Markdown, JSON and figures, each put in place when it is whole."""

import functools
import json
import os
import pathlib
from collections.abc import Mapping

from aa_jax import figures, metrics

# Decibels at the top of the curves over layers: rounding alone limits complete generators to it.
CEILING = 90.0
TITLES = {"eqt_int": "EQ-T, whole pixels", "eqt_frac": "EQ-T, fractional", "eqr": "EQ-R"}


def prepare(folder: str | pathlib.Path) -> pathlib.Path:
    """Makes the folder, and makes sure that something can be written there, before any work.

    Raises:
      ValueError: it can't be made or written to.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / ".writable"
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise ValueError(f"output must be a folder that can be written to: {error}") from error
    return folder


def table(results: Mapping[str, Mapping[str, metrics.Equivariance]]) -> str:
    """Markdown: a row for every network, a column for every metric, in dB."""
    names = list(next(iter(results.values())))
    lines = ["| network | " + " | ".join(TITLES[name] for name in names) + " |"]
    lines.append("|---|" + "--:|" * len(names))
    for network, measured in results.items():
        cells = [f"{m.decibels:.2f} ± {m.standard_error:.2f}" for m in measured.values()]
        lines.append(f"| {network} | " + " | ".join(cells) + " |")
    any_metric = next(iter(next(iter(results.values())).values()))
    lines += [
        "",
        f"{any_metric.samples} pictures each, seed {any_metric.seed}; dB, ± standard error.",
    ]
    return "\n".join(lines)


def as_json(results: Mapping[str, Mapping[str, metrics.Equivariance]]) -> str:
    """The same as JSON."""
    fields = ("decibels", "standard_error", "mse", "samples", "draws", "seed")
    return json.dumps(
        {
            network: {
                name: {field: getattr(m, field) for field in fields} for name, m in measured.items()
            }
            for network, measured in results.items()
        },
        indent=2,
    )


def write(
    folder: pathlib.Path,
    *,
    results: Mapping[str, Mapping[str, metrics.Equivariance]],
    audits: Mapping[str, metrics.AliasAudit],
    spectra: Mapping[str, metrics.Spectrum],
) -> str:
    """Writes report.md, its figures and equivariance.json; returns the report's text."""
    _put(folder / "equivariance.json", as_json(results).encode())
    text = ["# Equivariance", "", table(results)]
    if audits:
        draw = functools.partial(figures.draw_audit, ceiling=CEILING)
        _draw(folder / "layers.png", draw, audits)
        text += ["", "## Layer by layer", "", "![decibels of every layer](layers.png)"]
        for name, audit in audits.items():
            text += ["", f"{name}:", "", audit.table()]
    if spectra:
        _draw(folder / "spectrum.png", figures.draw_spectra, spectra)
        text += ["", "## Average power spectrum", "", "![average power spectra](spectrum.png)"]
    text = "\n".join(text) + "\n"
    _put(folder / "report.md", text.encode())
    return text


def write_audit(folder: pathlib.Path, audits: Mapping[str, metrics.AliasAudit], name: str) -> str:
    """Writes <name>.png and <name>.md; returns the text."""
    _draw(folder / f"{name}.png", figures.draw_audit, audits)
    parts = [f"{network}:\n\n{audit.table()}" for network, audit in audits.items()]
    text = "\n\n".join([f"![{name}]({name}.png)", *parts]) + "\n"
    _put(folder / f"{name}.md", text.encode())
    return text


def _draw(path: pathlib.Path, draw, what) -> None:
    part = path.with_name(f".{path.name}")
    draw(what, part)
    os.replace(part, path)


def _put(path: pathlib.Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}")
    part.write_bytes(content)
    os.replace(part, path)
