"""Pictures of the comparison: deviations of keypoints, and pans in space and time."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from aa_jax.figures import style
from experiments.motion.stability_pan import KINDS

PLACES = {"frame": "in the frame", "field": "in a field, through a window that moves along"}
STEPS = {"fine": "quarters of a pixel up to 2", "whole": "whole pixels up to 32"}


def strips(films: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The row of pixels with the most contrast in the driving film, over time.

    Args:
        films: frames (T, H, W, 3) in [0, 1], by name, "driving" among them.

    Returns:
        (T, W, 3) by name.
    """
    first = films["driving"][0]
    inner = slice(len(first) // 4, len(first) - len(first) // 4)
    row = inner.start + int(np.abs(np.diff(first[inner], axis=1)).sum((1, 2)).argmax())
    return {name: np.asarray(frames[:, row]) for name, frames in films.items()}


def draw_keypoints(rows: Sequence, path: pathlib.Path) -> None:
    """Draws deviations against shifts, one panel for each place and kind of shift."""
    figure = style.new_figure(11, 7)
    for axis, (place, kind) in zip(
        figure.subplots(2, 2).flat, [(p, k) for p in PLACES for k in STEPS], strict=True
    ):
        for index, row in enumerate(rows):
            tracks = row.tracks[f"{place}, {kind}"]
            color = style.series_style(index + 1)["color"]
            axis.plot(tracks.shifts, tracks.mean_by_shift(), color=color, label=row.name)
            axis.plot(tracks.shifts, tracks.largest_by_shift(), ":", color=color)
        style.tidy(axis)
        axis.set_title(f"{PLACES[place]}, {STEPS[kind]}", fontsize=10)
        axis.set(xlabel="shift (px)", ylabel="deviation (px)", xlim=(0, tracks.shifts[-1]))
        axis.set_ylim(bottom=0)
        if kind == "whole":
            axis.set_xticks(np.arange(0, tracks.shifts[-1] + 1, 8))
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside upper center", ncols=min(4, len(rows)), frameon=False,
        title="mean over pictures, directions and keypoints; dotted: largest",
    )  # fmt: skip
    style.save(figure, path)


def draw_strips(rows: Sequence, path: pathlib.Path) -> None:
    """Draws one row of pixels over time: the driving film, then what each run makes of it.

    Panels are stretched to the same contrast: straight slanted lines are a smooth pan.
    """
    kinds = ("driving", *KINDS)
    figure = style.new_figure(2.7 * len(kinds), 2.75 * len(rows) + 0.4)
    axes = figure.subplots(len(rows), len(kinds), squeeze=False, sharex=True, sharey=True)
    for row, line in zip(rows, axes, strict=True):
        for kind, axis in zip(kinds, line, strict=True):
            axis.imshow(_stretched(row.strips[kind]), interpolation="nearest", aspect="auto")
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(f"{row.name}\n← time", fontsize=9)
    titles = (
        "driving film",
        *("generated:\n" + words.replace(", ", ",\n") for words in KINDS.values()),
    )
    for title, axis in zip(titles, axes[0], strict=True):
        axis.set_title(title, fontsize=8.5)
    for axis in axes[-1]:
        axis.set_xlabel("along one row →", fontsize=9)
    style.save(figure, path)


def _stretched(strip: np.ndarray) -> np.ndarray:
    low, high = np.percentile(strip, (1, 99))
    return np.clip((strip - low) / max(high - low, 1e-6), 0, 1)
