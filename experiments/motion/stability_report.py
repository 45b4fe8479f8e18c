"""The comparison's files: report.md, report.json and two pictures."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from aa_jax.training.whole_file import replacing
from experiments.motion.stability import REDUCTION, Tracks
from experiments.motion.stability_pan import KINDS, Smoothness
from experiments.motion.stability_pictures import PLACES, STEPS, draw_keypoints, draw_strips


@dataclasses.dataclass(frozen=True)
class Row:
    """What was measured of one run, or of several networks of a kind.

    Attributes:
        name: of the run.
        source: where the networks come from.
        tracks: of keypoints, by "frame, fine", "frame, whole", "field, fine" and "field, whole".
        pans: of "driving" and of every kind of `KINDS`.
        strips: space-time pictures (T, W, 3) in [0, 1], by the same.
        reconstruction: means of `reconstruction.evaluate`; empty where it wasn't.
        detector_ms, generator_ms: CPU time per frame.
        detector_parameters, generator_parameters: counts.
    """

    name: str
    source: str
    tracks: Mapping[str, Tracks]
    pans: Mapping[str, Smoothness]
    strips: Mapping[str, np.ndarray]
    reconstruction: Mapping[str, float] = dataclasses.field(default_factory=dict)
    detector_ms: float = math.nan
    generator_ms: float = math.nan
    detector_parameters: int = 0
    generator_parameters: int = 0


_RECONSTRUCTION = {
    "l1": "L1",
    "l1_still": "L1 of a source that stays still",
    "flow_error": "flow error at known landmarks (half sides)",
    "akd": "AKD, the model's own keypoints (half sides)",
    "aed": "AED",
}


def write(
    folder: pathlib.Path, rows: Sequence[Row], *, pictures: int, images: str | None = None
) -> str:
    """Writes report.md, report.json, keypoints.png and strips.png; returns the first's text."""
    for name, draw in {"keypoints": draw_keypoints, "strips": draw_strips}.items():
        with replacing(folder / f"{name}.png") as path:
            draw(rows, path)
    text = as_text(rows, pictures=pictures, images=images)
    plain = {"pictures": pictures, "images": images, "runs": [as_plain_data(row) for row in rows]}
    with replacing(folder / "report.json") as path:
        path.write_text(json.dumps(_finite(plain), indent=1, allow_nan=False) + "\n")
    with replacing(folder / "report.md") as path:
        path.write_text(text, encoding="utf-8")
    return text


def numbers(row: Row) -> dict[str, dict[str, float]]:
    """What the tables show, by title and by the words of the line."""
    found: dict[str, dict[str, float]] = {}
    for place, words in PLACES.items():
        for kind, steps in STEPS.items():
            tracks = row.tracks[f"{place}, {kind}"]
            found[f"Keypoints {words}: {steps}"] = _of_tracks(tracks, place)
    for kind, words in KINDS.items():
        pan = row.pans[kind]
        found[f"Generated frames of a slow pan: {words}"] = {
            "contrast over error, mean over shifts (dB)": pan.decibels.mean(),
            "PSNR, mean over shifts (dB)": pan.psnr.mean(),
            "flicker, share of contrast": pan.flicker,
            "energy of second differences over the ideal pan's": pan.acceleration,
        }
    found["Reconstruction of films"] = {
        words: row.reconstruction[name]
        for name, words in _RECONSTRUCTION.items()
        if name in row.reconstruction
    }
    found["Cost"] = {
        f"{part}, {words}": getattr(row, f"{part}_{name}")
        for part in ("detector", "generator")
        for name, words in (("ms", "CPU time per frame (ms)"), ("parameters", "parameters"))
    }
    return {
        title: {words: float(value) for words, value in lines.items()}
        for title, lines in found.items()
    }


def _of_tracks(tracks: Tracks, place: str) -> dict[str, float]:
    # Shift 0 has no deviation by definition.
    found = {
        "mean deviation (px)": tracks.mean_by_shift()[1:].mean(),
        "largest deviation (px)": tracks.largest_by_shift().max(),
    }
    periods = tracks.by_period()
    if periods:
        found["wobble (px)"] = tracks.wobble()
    if place == "field":  # elsewhere a drift has all periods
        found |= {f"of period {period} px (px)": amount for period, amount in periods.items()}
        if periods:
            label = f"mean deviation after {tracks.shifts[-1]:g} px (px)"
            found[label] = tracks.mean_by_shift()[-1]
    change = tracks.jacobian_by_shift()
    if change is not None:
        found["mean relative change of Jacobians"] = change[1:].mean()
    return found


def as_text(rows: Sequence[Row], *, pictures: int, images: str | None = None) -> str:
    """The report in Markdown."""
    columns = [numbers(row) for row in rows]
    driving = rows[0].pans["driving"]
    shown = "from films drawn for this" if images is None else f"from {images}"
    parts = [
        "# Motion models on pictures that move",
        f"{pictures} pictures {shown}. A picture moves on a grid {REDUCTION} times as fine as a "
        "frame's, and is then reduced by the motion model's Gaussian; beyond its borders it is "
        "mirrored. All pixels are a frame's.",
        "\n".join(f"- {row.name}: {row.source}" for row in rows),
    ]
    for title in columns[0]:
        lines = dict.fromkeys(words for column in columns for words in column[title])
        if lines:
            parts += [f"## {title}", _table(rows, [column[title] for column in columns], lines)]
    parts += [
        "In the frame, content that leaves and enters moves keypoints too, and borders do: wobble "
        "is what a polynomial of degree 3 along each path leaves. In the field only aliasing "
        "remains: none after 32 pixels, if resolution is halved five times or less and no keypoint "
        "looks at the field's border, as those of untrained networks may. Root mean squares by "
        "period say which stride it comes from.",
        "Frames of a pan are compared with the first one, moved. The driving frames themselves "
        f"have a flicker of {driving.flicker:.4f} and {driving.acceleration:.2f} times the energy "
        "of the ideal's second differences. That ratio is one to the model's own first frame: "
        "grids and blocks in it make it small, a soft frame makes it large.",
        "![Deviation of keypoints against shift](keypoints.png)",
        "![One row of pixels over the time of a slow pan](strips.png)",
    ]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Row], columns: Sequence[Mapping[str, float]], lines) -> str:
    text = ["| | " + " | ".join(row.name for row in rows) + " |", "|---" * (1 + len(rows)) + "|"]
    for words in lines:
        cells = [_shown(column.get(words), words) for column in columns]
        text.append(f"| {words} | " + " | ".join(cells) + " |")
    return "\n".join(text)


def as_plain_data(row: Row) -> dict:
    """The same for programs, with every curve."""
    tracks = {}
    for key, found in row.tracks.items():
        jacobian = found.jacobian_by_shift()
        tracks[key] = {
            "shifts": found.shifts.tolist(),
            "mean": found.mean_by_shift().tolist(),
            "largest": found.largest_by_shift().tolist(),
            "jacobian_change": None if jacobian is None else jacobian.tolist(),
            "wobble": found.wobble(),
            "by_period": {str(k): v for k, v in found.by_period().items()},
        }
    pans = {
        kind: {
            "shifts": pan.shifts.tolist(),
            "decibels": pan.decibels.tolist(),
            "psnr": pan.psnr.tolist(),
            "acceleration": pan.acceleration,
            "flicker": pan.flicker,
        }
        for kind, pan in row.pans.items()
    }
    names = ("name", "source", "detector_ms", "generator_ms")
    names += ("detector_parameters", "generator_parameters")
    plain = {name: getattr(row, name) for name in names}
    reconstruction = dict(row.reconstruction)
    return plain | {"reconstruction": reconstruction, "tracks": tracks, "pans": pans}


def _shown(value: float | None, label: str) -> str:
    if value is None or not math.isfinite(value):
        return ""
    if label.endswith("parameters"):
        return f"{value:,.0f}"
    return f"{value:.2f}" if "dB" in label or "(ms)" in label else f"{value:.4f}"


def _finite(value):
    """JSON has no word for infinity and not-a-number."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
