"""The study's files: report.md, report.json and three pictures."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping

from aa_jax.training.whole_file import replacing
from experiments.downsampling import figures, tables
from experiments.downsampling.published import ROWS
from experiments.downsampling.strips import Example, draw_strips
from experiments.downsampling.study import Outcome


@dataclasses.dataclass(frozen=True)
class Results:
    """What the study found.

    Attributes:
      outcomes: by key, in the order of the table, the baseline first.
      baseline_shifted: of the baseline read 1.5 pixels further right and down.
      mean_of_four: of means of 2 x 2 pixels.
      predicted_shift_error: E if all keypoints moved exactly with the image by that.
      images: how many.
      detector: its name.
      times: CPU milliseconds by key; empty if they weren't measured.
      device_times: of another default device, or None.
      examples: to be shown; may be empty.
    """

    outcomes: Mapping[str, Outcome]
    baseline_shifted: Outcome
    mean_of_four: Outcome
    predicted_shift_error: float
    images: int
    detector: str
    times: Mapping[str, float]
    device_times: Mapping[str, float] | None
    examples: list[Example]


def write(folder: pathlib.Path, results: Results) -> str:
    """Writes report.md, report.json and phase.png; of times also time.png, of examples methods.png.

    Returns:
      The text of report.md.
    """
    pictures = {"phase": lambda path: figures.phase(results, path)}
    if results.times:
        pictures["time"] = lambda path: figures.error_against_time(results, path)
    if results.examples:
        pictures["methods"] = lambda path: draw_strips(results.examples, path)
    for name, draw in pictures.items():
        with replacing(folder / f"{name}.png") as path:
            draw(path)
    text = as_text(results, tuple(pictures))
    with replacing(folder / "report.json") as path:
        path.write_text(json.dumps(as_plain_data(results), indent=1, allow_nan=False) + "\n")
    with replacing(folder / "report.md") as path:
        path.write_text(text)
    return text


def as_text(results: Results, pictures: tuple[str, ...] = ()) -> str:
    """The report in Markdown."""
    baseline, *others = results.outcomes.values()
    rows = [baseline, results.baseline_shifted, results.mean_of_four, *others]
    parts = [
        "# Downsampling in front of a keypoint detector",
        f"{results.images} images, 256 x 256 to 64 x 64 pixels. Detector: {results.detector}.",
        "## As published",
        tables.beside_published(results.outcomes, results.times),
        *_sentences(results),
        "## Every method",
        tables.everything(rows, results.times, results.device_times),
        tables.NOTES.strip(),
    ]
    captions = {
        "phase": "Error of each method in its own phase, without the common shift, and aligned",
        "time": "Error against CPU time",
        "methods": "Every method's small image, a detail, and its difference from the baseline",
    }
    parts += [f"![{captions[name]}]({name}.png)" for name in pictures]
    return "\n\n".join(parts) + "\n"


def _sentences(results: Results) -> list[str]:
    shifted = results.baseline_shifted
    parts = [
        f"The baseline itself, read {shifted.offset:g} pixels further right and down, has an error "
        f"of {shifted.error:.4f} ± {shifted.error_standard_error:.4f} (median "
        f"{shifted.error_median:.4f}). If every keypoint moved exactly with its image, it would be "
        f"{results.predicted_shift_error:.4f}.",
        "The publication does not say over which window its average pooling goes; here over "
        f"2 x 2 pixels, half a pixel beside the baseline: {results.mean_of_four.error:.4f}.",
    ]
    shares = tables.phase_shares(results.outcomes)
    if shares:
        listed = "; ".join(
            f"{method.replace('_', ' ')} {100 * s['mean']:.0f} % ({100 * s['median']:.0f} %)"
            for method, s in shares.items()
        )
        parts.append(f"Of the error (of its median) this much is phase: {listed}.")
    orders = tables.orders(results.outcomes, results.times)
    if orders:
        listed = ", ".join(f"{value:.2f} for the {name}" for name, value in orders.items())
        parts.append(f"Rank correlation with the published columns (Kendall's tau): {listed}.")
    return parts


def as_plain_data(results: Results) -> dict:
    """The same for programs."""
    rows = [
        _without_nan(dataclasses.asdict(outcome))
        | {"cpu_milliseconds": results.times.get(outcome.key)}
        | {"device_milliseconds": (results.device_times or {}).get(outcome.key)}
        for outcome in results.outcomes.values()
    ]
    return {
        "detector": results.detector,
        "images": results.images,
        "rows": rows,
        "baseline_shifted": _without_nan(dataclasses.asdict(results.baseline_shifted)),
        "mean_of_four": _without_nan(dataclasses.asdict(results.mean_of_four)),
        "predicted_shift_error": results.predicted_shift_error,
        "phase_shares": {
            m: _without_nan(s) for m, s in tables.phase_shares(results.outcomes).items()
        },
        "rank_correlations": _without_nan(tables.orders(results.outcomes, results.times)),
        "published": {method: dataclasses.asdict(row) for method, row in ROWS.items()},
    }


def _without_nan(values: Mapping) -> dict:
    """JSON has no word for not-a-number."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
