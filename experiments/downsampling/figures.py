"""Two plots: error against time, and how much of each error is phase."""

import numpy as np
from matplotlib.lines import Line2D

from aa_jax.figures import style
from experiments.downsampling.labels import Label, place_labels
from experiments.downsampling.published import ROWS

_PUBLISHED, _OURS, _NEUTRAL = style.COLORS[1], style.COLORS[2], "0.4"


def error_against_time(results, path) -> None:
    """Draws E over CPU time: full marks for the native phase, hollow ones for the aligned.

    Args:
      results: `report.Results`, with times.
      path: of the PNG.
    """
    figure = style.new_figure(9.5, 6)
    axis = figure.subplots()
    labels, marks, lines = [], [], []
    for outcome in results.outcomes.values():
        color = _PUBLISHED if outcome.method in ROWS else _OURS
        place = results.times[outcome.key], outcome.error
        marks.append(place)
        if outcome.phase == "native":
            labels.append(Label(*place, outcome.method.replace("_", " "), color))
            axis.plot(*place, "o", color=color, zorder=3)
            aligned = results.outcomes.get(f"{outcome.method}/aligned")
            if aligned is not None:
                lines.append((place, (results.times[aligned.key], aligned.error)))
                axis.plot(*zip(*lines[-1], strict=True), color=color, linewidth=0.8, alpha=0.5)
        else:
            axis.plot(*place, "s", color=color, markerfacecolor="white", zorder=3)
    axis.set_xscale("log")
    axis.margins(0.12)
    axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
    axis.set(xlabel="CPU time, one image, one thread (ms)", ylabel="error in keypoints")
    shifted = results.baseline_shifted
    axis.axhline(shifted.error, color=_NEUTRAL, linestyle="--", linewidth=1)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=_PUBLISHED, label="published methods"),
        Line2D([], [], marker="o", linestyle="", color=_OURS, label="further methods"),
        Line2D([], [], marker="s", linestyle="", color="0.2", markerfacecolor="white",
               label="samples aligned with the baseline's"),
        Line2D([], [], color=_NEUTRAL, linestyle="--",
               label=f"the baseline, shifted by {shifted.offset:g} pixels"),
    ]  # fmt: skip
    figure.legend(handles=handles, fontsize=8.5, loc="outside upper center", ncols=2, frameon=False)
    style.tidy(axis)
    lines.append([(x, shifted.error) for x in axis.get_xlim()])
    place_labels(figure, axis, labels, marks, lines)
    style.save(figure, path)


def phase(results, path) -> None:
    """Draws E of every method in its native phase, without the common shift, and aligned.

    Args:
      results: `report.Results`.
      path: of the PNG.
    """
    natives = [o for o in results.outcomes.values() if o.phase == "native" and o.error > 0]
    rows = [results.baseline_shifted, *natives]
    series = [
        ("native", style.COLORS[1], rows, lambda o: (o.error, o.error_standard_error)),
        ("native, common shift taken away", style.COLORS[6], rows,
         lambda o: (o.residual, o.residual_standard_error)),
        ("aligned with the baseline's samples", style.COLORS[2],
         [results.outcomes.get(f"{o.method}/aligned") for o in rows],
         lambda o: (o.error, o.error_standard_error)),
    ]  # fmt: skip
    medians = (lambda o: o.error_median, lambda o: o.residual_median, lambda o: o.error_median)
    figure = style.new_figure(9, 4.6)
    axis = figure.subplots()
    for index, ((label, color, chosen, numbers), median) in enumerate(
        zip(series, medians, strict=True)
    ):
        present = [(i, o) for i, o in enumerate(chosen) if o is not None]
        if not present:
            continue
        places = np.array([i for i, _ in present]) + 0.27 * (index - 1)
        heights, errors = np.array([numbers(o) for _, o in present]).T
        axis.bar(places, heights, 0.25, yerr=np.nan_to_num(errors), color=color, label=label,
                 error_kw={"linewidth": 0.8, "ecolor": "0.3"})  # fmt: skip
        axis.plot(places, [median(o) for _, o in present], "_", color="black", markersize=9)
    axis.axhline(
        results.predicted_shift_error,
        color=_NEUTRAL,
        linestyle="--",
        linewidth=1,
        label=f"every keypoint shifted by {results.baseline_shifted.offset:g} pixels",
    )
    axis.plot([], [], "_", color="black", markersize=9, label="median over images")
    names = ["shifted baseline", *(o.method.replace("_", " ") for o in natives)]
    axis.set_xticks(range(len(rows)), names, rotation=40, ha="right", rotation_mode="anchor")
    axis.set_ylabel("error in keypoints")
    figure.legend(fontsize=8.5, loc="outside upper center", ncols=3, frameon=False)
    style.tidy(axis)
    axis.grid(False, axis="x")
    style.save(figure, path)
