"""The metrics of runs in a report: which belong together, what is better, tables and panels."""

import re
from collections.abc import Sequence

import numpy as np

from aa_jax.training.report_curves import COLOURS, Line, draw_lines
from aa_jax.training.report_page import panel, row, section, table
from aa_jax.training.report_run import Run
from aa_jax.training.report_series import Curve
from aa_jax.training.report_text import format_number

# Metrics that share a panel, by the beginning of their names.
GROUPS = ("loss", "score", "sign", "grad_norm")
_QUALITY = re.compile(
    r"(eval_.*|((fid|kid|ppl|is|precision|recall|eqt|eqr|psnr|ssim)(\d\w*)?(_.*)?))$"
)
_SPEED = re.compile(r"(seconds_per|images_per_second|data_wait|eta_seconds|.*_seconds|memory).*")
_LOWER = re.compile(r"(eval_)?((fid|kid|ppl)(\d\w*)?(_.*)?|loss|error)$|.+_loss$")
_HIGHER = re.compile(
    r"(eval_)?(is|precision|recall|eqt|eqr|psnr|ssim|accuracy|top1|top5|consistency)(\d\w*)?(_.*)?$"
)


def direction(name: str) -> int:
    """-1 if lower is better, 1 if higher is, 0 if neither."""
    return -1 if _LOWER.match(name) else int(bool(_HIGHER.match(name)))


def metric_names(runs: Sequence[Run]) -> list[str]:
    """Metrics of all runs in the order of the report: quality, training, speed."""
    names = list(dict.fromkeys(name for run in runs for name in run.metrics.curves))
    order = {name: (_part(name), _group_place(name)) for name in names}
    return sorted(names, key=order.__getitem__)  # Otherwise as they appeared.


def _part(name: str) -> int:
    return 0 if _QUALITY.match(name) else 2 if _SPEED.match(name) else 1


def _group(name: str) -> str | None:
    return next((group for group in GROUPS if name.startswith(group + "_")), None)


def _group_place(name: str) -> int:
    group = _group(name)
    return len(GROUPS) if group is None else GROUPS.index(group)


def _axis(runs: Sequence[Run]) -> str:
    with_curves = [run for run in runs if run.metrics.curves]
    return "kimg" if all(run.metrics.kimg is not None for run in with_curves) else "step"


def _x_limits(runs: Sequence[Run], axis: str) -> tuple[float, float]:
    """The same for all panels; from 0 unless all begins late."""
    curves = [(run, curve) for run in runs for curve in run.metrics.curves.values()]
    first = min(float(curve.x(axis).min()) for _, curve in curves)
    last = max(max(float(curve.x(axis).max()), getattr(run.metrics, axis)) for run, curve in curves)
    return (0.0 if 0 < first <= 0.2 * last else first), last


def _best(curve: Curve, better: int) -> tuple[tuple[float, float], float] | None:
    return {-1: curve.lowest, 0: None, 1: curve.highest}[better]


def summary_table(runs: Sequence[Run]) -> str:
    """The last and best values of all metrics."""
    names, axis = metric_names(runs), _axis(runs)
    if not names:
        return ""
    draw = _summary_row if len(runs) == 1 else _comparison_row
    rows = [draw(name, runs, axis) for name in names]
    head = ["metric", "last", "mean of last tenth", "best", f"at {axis}", "lowest", "highest"]
    if len(runs) > 1:
        head = ["metric", *(it for run in runs for it in (f"{run.name}, last", "best"))]
    explained = "↓ lower is better, ↑ higher is better; without an arrow neither is."
    if len(runs) > 1:
        explained += " Bold: the best of the runs."
    return table(head, rows) + f'<p class="soft">{explained}</p>'


def _arrow(name: str) -> str:
    return {-1: f"{name} ↓", 0: name, 1: f"{name} ↑"}[direction(name)]


def _summary_row(name: str, runs: Sequence[Run], axis: str) -> str:
    curve = runs[0].metrics.curves[name]
    best = _best(curve, direction(name))
    tenth = curve.count.cumsum() > 0.9 * curve.count.sum()
    cells = [
        "not finite" if curve.last is None else format_number(curve.last),
        format_number(float(np.average(curve.mean[tenth], weights=curve.count[tenth]))),
        format_number(best[1]) if best else "",
        format_number(best[0][axis == "kimg"]) if best else "",
        format_number(curve.lowest[1]),
        format_number(curve.highest[1]),
    ]
    kinds = ["number", "number", "number best", "number", "number", "number"]
    return row(_arrow(name) + _not_finite(curve), cells, cell_cls=kinds)


def _not_finite(curve: Curve) -> str:
    return f" ({curve.not_finite} not finite)" if curve.not_finite else ""


def _comparison_row(name: str, runs: Sequence[Run], axis: str) -> str:
    better = direction(name)
    curves = [run.metrics.curves.get(name) for run in runs]
    bests = [_best(curve, better) if curve else None for curve in curves]
    values = [better * best[1] for best in bests if best]
    cells, kinds = [], []
    for curve, best in zip(curves, bests, strict=True):
        last = "–" if curve is None else "not finite" if curve.last is None else None
        cells += [last or format_number(curve.last), format_number(best[1]) if best else ""]
        wins = best and len(values) > 1 and better * best[1] == max(values)
        kinds += ["number", "number best" if wins else "number"]
    return row(_arrow(name), cells, cell_cls=kinds)


def curve_sections(runs: Sequence[Run]) -> list[str]:
    """Sections of panels."""
    names, axis = metric_names(runs), _axis(runs)
    sections = []
    for part, title in enumerate(("Quality", "Training", "Speed")):
        panels: dict[str, list[str]] = {}
        for name in names:
            if _part(name) == part:
                # With several runs, colours tell them apart, and so each metric stands alone.
                together = _group(name) if len(runs) == 1 else None
                panels.setdefault(together or name, []).append(name)
        drawn = [_panel(title, members, runs, axis) for title, members in panels.items()]
        sections.append(
            section(title, f'<div class="panels">{"".join(drawn)}</div>' if drawn else "")
        )
    return sections


def _panel(title: str, members: Sequence[str], runs: Sequence[Run], axis: str) -> str:
    """One panel: several metrics of one run, or one metric of several runs."""
    several = len(runs) > 1
    lines = []
    for index, run in enumerate(runs):
        for member, name in enumerate(members):
            curve = run.metrics.curves.get(name)
            if curve is not None:
                line = Line(
                    run.name if several else name.removeprefix(title + "_"),
                    curve.x(axis),
                    curve.mean,
                    low=curve.low,
                    high=curve.high,
                    weight=curve.count,
                    colour=index if several else member,
                )
                lines.append(line)
    limits = _x_limits(runs, axis)
    svg, remark = draw_lines(lines, x_label=axis, x_limits=limits, label=f"{title} over {axis}")
    keys = [(line.label, line_class(line.colour)) for line in lines]
    grouped = several or members != [title]
    if members == [title]:
        title = _arrow(title)
    return panel(title, svg, remark=remark, keys=keys if grouped else ())


def line_class(index: int) -> str:
    """Classes that give the index-th line its colour."""
    return f"c{index % COLOURS}" + (" dashed" if index >= COLOURS else "")
