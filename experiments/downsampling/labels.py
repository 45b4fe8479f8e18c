"""Names beside the marks of a plot, without overlaps."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

# Directions to try, in this order, at each of the distances (points).
_DIRECTIONS = ((1, 0), (0, 1), (0, -1), (-1, 0), (0.8, 0.8), (0.8, -0.8), (-0.8, 0.8), (-0.8, -0.8))
_DISTANCES = (7, 13, 20, 28, 38, 50, 64)
_FAR = 7  # beyond it a line leads to the label
_MARK = 4  # half of a mark's side, in points


@dataclasses.dataclass(frozen=True)
class Label:
    """A name for the mark at (x, y), in the coordinates of the data."""

    x: float
    y: float
    text: str
    color: str


def place_labels(figure, axis, labels: Sequence[Label], marks, lines=()) -> None:
    """Writes labels next to their marks, never nearer to another one.

    Args:
      figure: its limits must be final.
      axis: of the figure.
      labels: what to write.
      marks: (x, y) of all marks, which no label may cover.
      lines: ((x, y), (x, y)), which labels avoid as well.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    points = figure.dpi / 72
    centres = axis.transData.transform(np.asarray(marks, float))
    taken = [_square(centre, _MARK * points) for centre in centres]
    for line in lines:
        begin, end = axis.transData.transform(np.asarray(line, float))
        pieces = max(int(np.hypot(*(end - begin)) / (3 * points)), 2)
        taken += [_square(begin + t * (end - begin), points) for t in np.linspace(0, 1, pieces)]
    for label in labels:
        note = axis.annotate(
            label.text,
            (label.x, label.y),
            (0, 0),
            textcoords="offset points",
            fontsize=8.5,
            color=label.color,
        )
        taken.append(_place(note, taken, centres, canvas.get_renderer()))


def _place(note, taken: list[Bbox], centres: np.ndarray, renderer) -> Bbox:
    """Moves one label to the first free place, or the least covered; returns its box."""
    frame = note.axes.get_window_extent()
    own = note.axes.transData.transform(note.xy)
    best = None
    for distance in _DISTANCES:
        for direction in _DIRECTIONS:
            box = _moved(note, distance, direction, renderer)
            cost = sum(_common_area(box, other) for other in taken)
            cost += box.width * box.height - _common_area(box, frame)
            nearest = min(_distance(box, centre) for centre in centres)
            cost += 100 * (_distance(box, own) - nearest)
            if best is None or cost < best[0]:
                best = cost, distance, direction
        if best[0] == 0:
            break
    _, distance, direction = best
    if distance > _FAR:
        note.axes.annotate(
            "",
            note.xy,
            (distance * direction[0], distance * direction[1]),
            textcoords="offset points",
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.6, "shrinkB": 4},
        )
    return _moved(note, distance, direction, renderer)


def _moved(note, distance: float, direction: tuple[float, float], renderer) -> Bbox:
    across, up = direction
    note.set_ha("left" if across > 0 else "right" if across < 0 else "center")
    note.set_va("bottom" if up > 0 else "top" if up < 0 else "center")
    note.set_position((distance * across, distance * up))
    return note.get_window_extent(renderer)


def _square(centre: np.ndarray, half: float) -> Bbox:
    return Bbox([centre - half, centre + half])


def _common_area(a: Bbox, b: Bbox) -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return max(width, 0) * max(height, 0)


def _distance(box: Bbox, point: np.ndarray) -> float:
    return float(np.hypot(*np.maximum(0, np.maximum(box.min - point, point - box.max))))
