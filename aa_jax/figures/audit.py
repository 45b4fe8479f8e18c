"""An alias audit as curves: equivariance in decibels along the layers of networks."""

import os
import pathlib
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from aa_jax.figures.style import new_figure, save, series_style, tidy
from aa_jax.metrics.audit_result import AliasAudit

CROWDED = 8  # layers, from which on their names stand upright, without sizes


def draw_audit(
    audits: AliasAudit | Mapping[str, AliasAudit],
    path: str | pathlib.Path | None = None,
    *,
    ceiling: float = 60.0,
    title: str = "Alias audit: does every layer move with the picture?",
) -> Figure:
    """Draws a panel for every motion, with a curve for every network; higher is better.

    Networks with equally many layers are compared place by place, whatever the layers are called.
    Otherwise layers are found by name; all that occur stand on the axis, in order of appearance.

    Args:
        audits: one, or several by name, of the same motions.
        path: of a file to write, such as "audit.png"; None: none.
        ceiling: decibels from which on a layer counts as exact, at the top of the panel.
        title: above the panels.

    Returns:
        The figure.

    Raises:
        ValueError: no audits, or of different motions.
    """
    audits = {"": audits} if isinstance(audits, AliasAudit) else dict(audits)
    if not audits or len({audit.motions for audit in audits.values()}) != 1:
        raise ValueError("audits must be at least one audit, all of the same motions")
    places, labels = _places(audits)
    motions = next(iter(audits.values())).motions
    width = max(2.6, 0.6 * min(len(labels), CROWDED), 0.3 * len(labels))
    figure = new_figure(0.8 + width * len(motions), 4.2)
    axes = figure.subplots(1, len(motions), sharey=True, squeeze=False)[0]
    for column, (axis, motion) in enumerate(zip(axes, motions, strict=True)):
        for index, (name, audit) in enumerate(audits.items()):
            _draw_curve(axis, audit, places[name], column, index, name, ceiling)
        axis.set_title(str(motion), fontsize=11)
        _draw_frame(axis, labels)
    _draw_scale(axes[0], audits, ceiling)
    axes[0].set_ylabel("equivariance (dB)\npower of the map / squared error")
    figure.suptitle(title, fontsize=12)
    if any(audits):
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False)
    return save(figure, path)


def _places(audits: Mapping[str, AliasAudit]) -> tuple[dict[str, list[int]], list[str]]:
    """Where each network's layers stand on the axis, and the labels of the axis."""
    counts = {len(audit.layers) for audit in audits.values()}
    if len(counts) == 1:
        places = {name: list(range(*counts)) for name in audits}
        names = [_common(*row) for row in zip(*(a.layers for a in audits.values()), strict=True)]
    else:
        names = list(dict.fromkeys(layer for audit in audits.values() for layer in audit.layers))
        places = {name: [names.index(layer) for layer in a.layers] for name, a in audits.items()}
    shapes = [set() for _ in names]
    for name, audit in audits.items():
        for place, (height, width, _) in zip(places[name], audit.shapes, strict=True):
            shapes[place].add((height, width))
    crowded = len(names) >= CROWDED
    sizes = ["" if crowded or len(shape) > 1 else _size(*shape.pop()) for shape in shapes]
    return places, [name + size for name, size in zip(names, sizes, strict=True)]


def _common(*names: str) -> str:
    """What the names of layers at one place begin with, or the first one."""
    if len(set(names)) == 1:
        return names[0]
    return os.path.commonprefix(names).rstrip("._-/") or names[0]


def _size(height: int, width: int) -> str:
    """Height and width as a second line of a label."""
    return f"\n{height}²" if height == width else f"\n{height} x {width}"


def _draw_curve(axis, audit, places, column, index, name, ceiling) -> None:
    decibels = audit.decibels[:, column]
    errors = np.nan_to_num(audit.standard_errors[:, column])
    shown = np.minimum(decibels, ceiling)
    known = ~np.isnan(shown)
    place, shown = np.array(places)[known], shown[known]
    errors = np.where(decibels < ceiling, errors, 0)[known]
    style = series_style(index)
    axis.fill_between(
        place,
        shown - errors,
        np.minimum(shown + errors, ceiling),
        color=style["color"],
        alpha=0.15,
        linewidth=0,
    )
    # Thinner and thinner, so that equal curves show as many colours.
    size = max(3.0, 6.5 - 1.5 * index)
    axis.plot(place, shown, **style, markersize=size, linewidth=size / 3, label=name, clip_on=False)


def _draw_scale(axis, audits: Mapping[str, AliasAudit], ceiling: float) -> None:
    """The common axis of decibels, from the least figure to the ceiling."""
    figures = np.concatenate([audit.decibels.ravel() for audit in audits.values()])
    lowest = figures[np.isfinite(figures)].min(initial=0.0)
    bottom = np.floor((lowest - 3) / 10) * 10 if lowest < 0 else -3
    axis.set_ylim(bottom, ceiling)
    ticks = np.arange(np.ceil(bottom / 10) * 10, ceiling, 10)
    labels = [*(f"{tick + 0:g}" for tick in ticks), f"exact or\nabove {ceiling:g}"]
    axis.set_yticks([*ticks, ceiling], labels)
    axis.annotate(
        "error as large as the signal",
        (0.02, 0),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=8,
        color="0.45",
    )


def _draw_frame(axis, labels: list[str]) -> None:
    tidy(axis)
    axis.axhline(0, color="0.55", linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axis.set_xlim(-0.3, len(labels) - 0.7)
    turned = {"rotation": 90, "fontsize": 8} if len(labels) >= CROWDED else {"fontsize": 9}
    axis.set_xticks(range(len(labels)), labels, **turned)
