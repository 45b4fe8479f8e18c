"""Colours, markers and saving, shared by all figures."""

import pathlib

from matplotlib.figure import Figure

# Okabe & Ito's palette: told apart with every common colour vision deficiency. Shape and text
# always say the same as colour does.
VARIANT_STYLE = {
    "plain": ("#333333", "o"),
    "none": ("#333333", "o"),
    "blur": ("#0072B2", "s"),
    "adaptive": ("#D55E00", "^"),
    "aps": ("#009E73", "D"),
    "lps": ("#CC79A7", "v"),
}
_OTHERS = (("#E69F00", "P"), ("#56B4E9", "X"), ("#F0E442", "*"))
RIGHT, WRONG = "#0072B2", "#D55E00"
DPI = 130


def variant_styles(variants: list[str]) -> dict[str, tuple[str, str]]:
    """(colour, marker) per variant; names without one of their own share a reserve in turn."""
    unknown = [name for name in variants if name not in VARIANT_STYLE]
    spare = {name: _OTHERS[i % len(_OTHERS)] for i, name in enumerate(unknown)}
    return {name: VARIANT_STYLE.get(name) or spare[name] for name in variants}


def new_figure(width: float, height: float) -> Figure:
    """A figure of its own (inches): pyplot's global state and display stay untouched."""
    return Figure(figsize=(width, height), layout="constrained", dpi=DPI)


def save(figure: Figure, path: pathlib.Path) -> pathlib.Path:
    """Writes a PNG and returns its path."""
    figure.savefig(path, dpi=DPI, facecolor="white")
    return path
