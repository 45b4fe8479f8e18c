"""Curves as SVG text: axes with round ticks, linear or logarithmic, and numbers on hovering.

Colours come from the page: the index-th line has the class `c<index % 8>`.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from aa_jax.training.report_text import escape, format_decimals, format_number

WIDTH, HEIGHT = 560, 250
LEFT, RIGHT, TOP, BOTTOM = 62, 22, 10, 40  # margins around the plot
_NAMES_HEIGHT = 40  # more below it for slanted names
COLOURS = 8
_HOVERS = 90  # columns that show numbers
_LOG_RATIO = 30.0
_NAMED_LAYERS = 24


@dataclasses.dataclass(frozen=True)
class Line:
    """One curve of a panel.

    Attributes:
        label: its name.
        x, y: (N,) float64, finite, N >= 1.
        low, high: (N,) extremes of the points that `y` is the mean of; None where it is no mean.
        weight: (N,) number of these points; None: one each.
        colour: index of its colour.
    """

    label: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    weight: np.ndarray | None = None
    colour: int = 0


@dataclasses.dataclass(frozen=True)
class Axis:
    """Maps numbers from `low` to `high` onto pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    scale: str = "linear"

    def __call__(self, values) -> np.ndarray:
        low, high, values = (self._place(it) for it in (self.low, self.high, values))
        return self.start + (self.end - self.start) * ((values - low) / (high - low))

    def _place(self, values) -> np.ndarray:
        values = np.asarray(values, np.float64)
        if self.scale == "linear":
            return values
        return np.log10(np.maximum(values, self.low * 1e-6))

    def ticks(self) -> list[tuple[float, str]]:
        """(number, text) of its ticks."""
        if self.scale == "log":
            return [(tick, format_number(tick)) for tick in log_ticks(self.low, self.high)]
        return nice_ticks(self.low, self.high)


def nice_ticks(low: float, high: float, count: int = 5) -> list[tuple[float, str]]:
    """About `count` multiples of 1, 2 or 5 times a power of ten from `low` to `high`, and texts."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((power, 2 * power, 5 * power, 10 * power), key=lambda it: abs(math.log(it / rough)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = [index * step for index in range(first, last + 1)]
    largest = max(map(abs, ticks), default=0.0)
    if largest >= 1e7 or 0 < largest < 1e-3:
        return [(tick, format_number(tick)) for tick in ticks]
    decimals = max(-math.floor(math.log10(step) + 1e-9), 0)
    return [(tick, format_decimals(tick, decimals)) for tick in ticks]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten from `low` to `high`, with 2 and 5 times them where there is room."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max((last - first) // 6, 1)
    factors = (1.0, 2.0, 5.0) if math.log10(high / low) < 2.5 else (1.0,)
    powers = range(-(-first // every) * every, last + 1, every)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    return [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


def suits_log(lines: Sequence[Line]) -> bool:
    """Whether all numbers are positive and most of them span more than a factor of 30."""
    if any((line.y if line.low is None else line.low).min() <= 0 for line in lines):
        return False
    low, high = np.percentile(np.concatenate([line.y for line in lines]), (2, 98))
    return bool(high / low > _LOG_RATIO)


def smooth(values: np.ndarray, weights: np.ndarray, radius: int) -> np.ndarray:
    """Weighted means under a triangle of `2 radius + 1` neighbours, fewer at the ends."""
    kernel = radius + 1.0 - np.abs(np.arange(-radius, radius + 1))
    totals, counts = (
        np.convolve(np.pad(it, radius), kernel, "valid") for it in (values * weights, weights)
    )
    return totals / counts


def is_noisy(values: np.ndarray) -> bool:
    """Whether a curve of many points jumps from point to point."""
    if len(values) < 40:
        return False
    low, high = np.percentile(values, (5, 95))
    bends = np.abs(np.diff(values / 2, 2)).mean()
    return bool(bends > 0.02 * (high - low) > 0)


def draw_lines(
    lines: Sequence[Line],
    *,
    x_label: str,
    label: str,
    x_limits: tuple[float, float] | None = None,
    scale: str = "auto",
) -> tuple[str, str]:
    """Draws curves over one pair of axes.

    A noisy curve is drawn faintly, with a smoothed one above; a band shows the extremes of points
    that were averaged. Few far outliers are left beyond the edge of a linear axis.

    Args:
        lines: at least one.
        x_label: below the axis.
        label: of the whole, for those who do not see it.
        x_limits: ends of the horizontal axis; None takes those of the curves.
        scale: of the vertical axis, "linear", "log", or "auto" (`suits_log`).

    Returns:
        The SVG, and a remark for its caption, perhaps empty.

    Raises:
        ValueError: there is no line, `scale` is another, or "log" is asked for numbers from 0 down.
    """
    if not lines:
        raise ValueError("lines must hold at least one, got none")
    if scale not in ("auto", "linear", "log"):
        raise ValueError(f'scale must be "auto", "linear" or "log", got {scale!r}')
    lowest = min((line.y if line.low is None else line.low).min() for line in lines)
    if scale == "log" and lowest <= 0:
        raise ValueError(f'scale="log" needs numbers above 0, got {lowest}')
    if scale == "auto":
        scale = "log" if suits_log(lines) else "linear"
    remarks = ["log"] if scale == "log" else []
    low, high = _limits(lines, scale)
    beyond = sum(int(((line.y < low) | (line.y > high)).sum()) for line in lines)
    if beyond:
        remarks.append(f"{beyond} {'point' if beyond == 1 else 'points'} beyond the edge")
    x_axis = Axis(*_spread(*(x_limits or _range([line.x for line in lines]))), LEFT, WIDTH - RIGHT)
    y_axis = Axis(low, high, HEIGHT - BOTTOM, TOP, scale)
    body = [_axes(x_axis.ticks(), x_axis, y_axis, x_label), _clip(x_axis, y_axis, lines)]
    body.append(_hovers(lines, x_axis, x_label))
    return _svg(body, label), ", ".join(remarks)


def draw_layers(
    layers: Sequence[str],
    series: Sequence[tuple[str, Sequence[float | None]]],
    *,
    label: str,
    y_label: str = "",
) -> str:
    """Draws one number per layer, in the order of the network, for one or several runs.

    Args:
        layers: names, along the axis.
        series: (name, a number or None for every layer); at least one number in all.
        label: of the whole, for those who do not see it.
        y_label: unit, shown with the numbers on hovering.

    Returns:
        The SVG.
    """
    numbers = [value for _, values in series for value in values if value is not None]
    y_axis = Axis(*_spread(min(numbers), max(numbers), 0.06), HEIGHT - BOTTOM, TOP)
    x_axis = Axis(-0.5, max(len(layers) - 0.5, 0.5), LEFT, WIDTH - RIGHT)
    every = -(-len(layers) // _NAMED_LAYERS)
    slanted = len(layers) > 4  # too long to stand side by side
    names = [
        (index, escape(name, longest=14)) for index, name in enumerate(layers) if index % every == 0
    ]
    body = [_axes(names, x_axis, y_axis, "", slanted=slanted)]
    for colour, (name, values) in enumerate(series):
        known = [(index, value) for index, value in enumerate(values) if value is not None]
        for run in _neighbours(known):
            body.append(_polyline([x_axis(i) for i, _ in run], [y_axis(v) for _, v in run], colour))
        for index, value in known:
            text = f"{name}, {layers[index]}: {format_number(value)} {y_label}".strip()
            body.append(
                f'<circle class="{_class("dot", colour)}" cx="{x_axis(index):.1f}" '
                f'cy="{y_axis(value):.1f}" r="3.5"><title>{escape(text)}</title></circle>'
            )
    return _svg(body, label, HEIGHT + _NAMES_HEIGHT if slanted else HEIGHT)


def _neighbours(known: list[tuple[int, float]]) -> list[list[tuple[int, float]]]:
    """Runs of consecutive indices."""
    runs: list[list[tuple[int, float]]] = []
    for index, value in known:
        if runs and runs[-1][-1][0] == index - 1:
            runs[-1].append((index, value))
        else:
            runs.append([(index, value)])
    return runs


def _range(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    return float(min(array.min() for array in arrays)), float(max(array.max() for array in arrays))


def _spread(low: float, high: float, margin: float = 0.0) -> tuple[float, float]:
    """The limits with a margin; of one number alone, limits around it."""
    middle = max(abs(low), abs(high))
    if high - low <= 1e-12 * middle or high == low:
        around = 0.1 * middle or 1.0
        return low - around, high + around
    return low - margin * (high - low), high + margin * (high - low)


def _limits(lines: Sequence[Line], scale: str) -> tuple[float, float]:
    """Limits of the vertical axis."""
    low, high = _range(
        [line.y if it is None else it for line in lines for it in (line.low, line.high)]
    )
    if scale == "log":
        low, high = _spread(math.log10(low), math.log10(high), 0.04)
        return 10.0**low, 10.0**high
    values = np.concatenate([line.y for line in lines])
    if len(values) >= 40:
        first, last = (float(it) for it in np.percentile(values, (1, 99)))
        room = 0.6 * (last - first)
        # Extremes within bins may be cut off silently: the band is only background.
        if high - low > 5 * (last - first) > 0:
            low, high = max(low, first - room), min(high, last + room)
    return _spread(low, high, 0.05)


def _axes(
    x_ticks: Sequence[tuple[float, str]],
    x_axis: Axis,
    y_axis: Axis,
    x_label: str,
    *,
    slanted: bool = False,
) -> str:
    """Grid, ticks and labels."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for value, text in y_axis.ticks():
        y = f"{float(y_axis(value)):.1f}"
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{right}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y}" dy="4" text-anchor="end">')
        parts.append(f"{text}</text>")
    for value, text in x_ticks:
        x = f"{float(x_axis(value)):.1f}"
        parts.append(f'<line class="axis" x1="{x}" y1="{bottom}" x2="{x}" y2="{bottom + 4}"/>')
        place = f'x="{x}" y="{bottom + 17}" text-anchor="middle"'
        if slanted:
            place = f'transform="translate({x} {bottom + 13}) rotate(-40)" text-anchor="end"'
        parts.append(f'<text class="tick" {place}>{text}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>')
    if x_label:
        parts.append(f'<text class="tick" x="{right}" y="{HEIGHT - 6}" text-anchor="end">')
        parts.append(f"{escape(x_label)}</text>")
    return "".join(parts)


def _clip(x_axis: Axis, y_axis: Axis, lines: Sequence[Line]) -> str:
    """The curves, cut off at the edges by an inner SVG with the same coordinates."""
    room = 4  # at the sides, for whole dots
    width, height = WIDTH - LEFT - RIGHT + 2 * room, HEIGHT - TOP - BOTTOM
    place = f'x="{LEFT - room}" y="{TOP}" width="{width}" height="{height}"'
    box = f"{LEFT - room} {TOP} {width} {height}"
    parts = [f'<svg {place} viewBox="{box}" overflow="hidden">']
    for draw in (_band, _raw, _smoothed):
        parts += [draw(line, x_axis, y_axis) for line in lines]
    return "".join(parts) + "</svg>"


def _band(line: Line, x_axis: Axis, y_axis: Axis) -> str:
    if line.low is None or line.high is None or (line.low == line.high).all():
        return ""
    x = x_axis(line.x)
    points = _points(np.r_[x, x[::-1]], np.r_[y_axis(line.high), y_axis(line.low)[::-1]])
    return f'<polygon class="{_class("band", line.colour)}" points="{points}"/>'


def _raw(line: Line, x_axis: Axis, y_axis: Axis) -> str:
    x, y = x_axis(line.x), y_axis(line.y)
    drawn = _polyline(x, y, line.colour, kind="faint" if is_noisy(line.y) else "line")
    if len(x) > 40:
        return drawn
    cls = _class("dot", line.colour)
    dots = zip(x, y, strict=True)
    return drawn + "".join(
        f'<circle class="{cls}" cx="{a:.1f}" cy="{b:.1f}" r="2.5"/>' for a, b in dots
    )


def _smoothed(line: Line, x_axis: Axis, y_axis: Axis) -> str:
    if not is_noisy(line.y):
        return ""
    weights = np.ones(len(line.y)) if line.weight is None else line.weight.astype(np.float64)
    radius = max(len(line.y) // 40, 3)
    # One far outlier would otherwise lift all its neighbours.
    values = smooth(np.clip(line.y, y_axis.low, y_axis.high), weights, radius)
    return _polyline(x_axis(line.x), y_axis(values), line.colour)


def _hovers(lines: Sequence[Line], x_axis: Axis, x_label: str) -> str:
    """Invisible columns, whose titles browsers show."""
    positions = np.unique(np.concatenate([line.x for line in lines]))
    if len(positions) > _HOVERS:
        positions = positions[np.linspace(0, len(positions) - 1, _HOVERS).round().astype(int)]
    centres = x_axis(positions)
    edges = np.r_[x_axis.start, (centres[1:] + centres[:-1]) / 2, x_axis.end]
    parts = ['<g class="hover">']
    for index, position in enumerate(positions):
        text = [f"{x_label} {format_number(position)}"]
        for line in lines:
            if line.x.min() <= position <= line.x.max():
                near = int(np.abs(line.x - position).argmin())
                text.append(f"{line.label}: {format_number(float(line.y[near]))}")
        left, width = edges[index], edges[index + 1] - edges[index]
        parts.append(
            f'<rect x="{left:.1f}" y="{TOP}" width="{max(width, 0):.1f}" '
            f'height="{HEIGHT - TOP - BOTTOM}"><title>{escape(chr(10).join(text), longest=2000)}'
            "</title></rect>"
        )
    return "".join(parts) + "</g>"


def _polyline(x, y, colour: int, *, kind: str = "line") -> str:
    return f'<polyline class="{_class(kind, colour)}" points="{_points(x, y)}"/>'


def _points(x, y) -> str:
    # Far beyond the edge is far enough: renderers lose their way in numbers that are too large.
    y = np.clip(y, -10 * HEIGHT, 10 * HEIGHT)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _class(kind: str, colour: int) -> str:
    return f"{kind} c{colour % COLOURS}" + (" dashed" if colour >= COLOURS else "")


def _svg(body: Sequence[str], label: str, height: int = HEIGHT) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(label)}">{"".join(body)}</svg>'
    )
