"""Reads charts: every SVG of a page as XML, and the coordinates of what they draw."""

import re
import xml.etree.ElementTree as ET

import numpy as np

SPACE = "{http://www.w3.org/2000/svg}"


def charts(page: str) -> list[ET.Element]:
    """All SVGs of a page; fails unless each is well-formed XML."""
    found = re.findall(r"<svg xmlns=.*?</svg>(?=</figure>|$)", page, re.DOTALL)
    assert len(found) == page.count("<svg xmlns=")
    return [ET.fromstring(text) for text in found]


def points(chart: ET.Element, kind: str) -> list[np.ndarray]:
    """(N, 2) coordinates of all polylines and polygons of a class."""
    shapes = [*chart.iter(SPACE + "polyline"), *chart.iter(SPACE + "polygon")]
    return [
        np.array([pair.split(",") for pair in shape.get("points").split()], float)
        for shape in shapes
        if kind in shape.get("class").split()
    ]


def dots(chart: ET.Element) -> np.ndarray:
    """(N, 2) centres of all circles."""
    circles = chart.iter(SPACE + "circle")
    return np.array([(float(it.get("cx")), float(it.get("cy"))) for it in circles])


def ticks(chart: ET.Element) -> tuple[dict[str, float], dict[str, float]]:
    """Places of the ticks by their text, on the horizontal and on the vertical axis."""
    across, up = {}, {}
    for text in chart.iter(SPACE + "text"):
        if text.get("dy"):
            up[text.text] = float(text.get("y"))
        elif text.get("text-anchor") == "middle":
            across[text.text] = float(text.get("x"))
    return across, up


def titles(chart: ET.Element) -> list[str]:
    """What is said on hovering."""
    return [title.text for title in chart.iter(SPACE + "title")]
