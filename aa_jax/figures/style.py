"""Colours, sizes and saving, shared by all figures."""

import pathlib

from matplotlib.figure import Figure

# Okabe & Ito's palette: told apart with every common colour vision deficiency. The marker always
# says the same as the colour does.
COLORS = ("#333333", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DPI = 130


def series_style(index: int) -> dict[str, str]:
    """Colour and marker of the index-th series."""
    return {"color": COLORS[index % len(COLORS)], "marker": MARKERS[index % len(MARKERS)]}


def new_figure(width: float, height: float) -> Figure:
    """A figure of its own (inches): pyplot's global state and display stay untouched."""
    return Figure(figsize=(width, height), layout="constrained", dpi=DPI)


def tidy(axis) -> None:
    """A light grid behind the data and no box around it."""
    axis.grid(True, color="0.9", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: str | pathlib.Path | None) -> Figure:
    """Writes the figure if there is a path, in the format of its ending; returns the figure."""
    if path is not None:
        figure.savefig(path, dpi=DPI, facecolor="white")
    return figure
