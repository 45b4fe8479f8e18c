"""Accuracy against consistency: one mark per run, one with error bars per variant."""

from matplotlib.figure import Figure

from experiments.classification.figures.style import new_figure, variant_styles
from experiments.classification.tables import variant_name

PANELS = (
    ("consistency", "consistency under random crops (%)"),
    ("worst_case", "worst-case consistency over a grid of crops (%)"),
)


def draw(summary: dict) -> Figure:
    """Draws the two panels.

    Args:
        summary: of `tables.summarize`.

    Returns:
        The figure; up and to the right is better.
    """
    figure = new_figure(9.4, 4.6)
    figure.get_layout_engine().set(wspace=0.06)  # between the outermost tick labels
    axes = figure.subplots(1, len(PANELS), sharey=True)
    styles = variant_styles(list(summary["variants"]))
    for ax, (metric, label) in zip(axes, PANELS, strict=True):
        for name, entry in summary["variants"].items():
            _draw_variant(ax, name, entry, metric, styles[name])
        ax.set_xlabel(label)
        ax.grid(True, color="0.9", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("top-1 accuracy on centre crops (%)")
    confidence = summary["options"]["confidence"]
    figure.suptitle(
        f"Accuracy and shift consistency: single runs (faint), mean with {confidence:.0%} interval",
        fontsize=11,
    )
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _draw_variant(ax, name: str, entry: dict, metric: str, style: tuple[str, str]) -> None:
    color, marker = style
    runs = entry["runs"]
    ax.plot(
        [run[metric] for run in runs],
        [run["top1"] for run in runs],
        linestyle="none",
        marker=marker,
        color=color,
        alpha=0.35,
        markersize=6,
        markeredgewidth=0,
    )
    across, up = entry["metrics"][metric], entry["metrics"]["top1"]
    ax.errorbar(
        across["estimate"],
        up["estimate"],
        xerr=_span(across),
        yerr=_span(up),
        color=color,
        marker=marker,
        markersize=9,
        markeredgecolor="white",
        capsize=3,
        linewidth=1.4,
        label=variant_name(name),
    )


def _span(value: dict) -> tuple[list[float], list[float]]:
    """Distances down and up; rounding must not make one negative."""
    low = max(value["estimate"] - value["low"], 0.0)
    return [low], [max(value["high"] - value["estimate"], 0.0)]
