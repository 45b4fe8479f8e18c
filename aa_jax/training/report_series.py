"""A `metrics.jsonl` of any length as curves of a bounded number of points.

The file is read line by line. Each curve is a list of bins of equally many points, which keep the
mean and the extremes; when there are too many bins, neighbours merge. So memory depends on the
number of curves, not on the length of the file.
"""

import dataclasses
import json
import pathlib

import numpy as np

MOST_POINTS = 1200  # of a curve
MOST_CURVES = 200
LONGEST_NAME = 200
LONGEST_LINE = 2**20
LARGEST_FILE = 4 * 2**30
# Numbers beyond are taken for a run that has diverged, and those below its inverse for 0; so sums
# and axes stay finite.
LARGEST_NUMBER = 1e150
_X = ("step", "kimg")  # Both are kept, since runs to be compared may have only the first in common.


@dataclasses.dataclass(frozen=True)
class Curve:
    """One metric of one run.

    Attributes:
        step, kimg: (N,) float64, means over bins.
        count: (N,) int64, points in each bin.
        mean, low, high: (N,) float64, of each bin.
        last: the newest number; None if it was not finite.
        lowest, highest: ((step, kimg), number).
        not_finite: how many numbers were not finite, or null.
    """

    step: np.ndarray
    kimg: np.ndarray
    count: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    last: float | None
    lowest: tuple[tuple[float, float], float]
    highest: tuple[tuple[float, float], float]
    not_finite: int

    def x(self, axis: str) -> np.ndarray:
        """Positions on the axis "step" or "kimg"."""
        return {"step": self.step, "kimg": self.kimg}[axis]


@dataclasses.dataclass
class Metrics:
    """All that a report needs of a `metrics.jsonl`.

    Attributes:
        curves: by name, in order of appearance; at least one finite number each.
        rows: number of rows.
        step, kimg: the newest; None where no row has one.
        notes: what was left out, for the reader.
    """

    curves: dict[str, Curve] = dataclasses.field(default_factory=dict)
    rows: int = 0
    step: float | None = None
    kimg: float | None = None
    notes: list[str] = dataclasses.field(default_factory=list)


def read_curves(path: pathlib.Path, *, most_points: int = MOST_POINTS) -> Metrics:
    """Reads a `metrics.jsonl`; a last line cut off by a crash is left out.

    Args:
        path: of the file, one JSON object a line with "step", perhaps "kimg", and numbers by name.
            A row without "kimg" lies where the row before it does. A step that comes a second
            time, after a run was set back, replaces what was there.
        most_points: of a curve.

    Raises:
        ValueError: the file is larger than `LARGEST_FILE`, a line longer than `LONGEST_LINE`, or
            one is not such a row; the message names the line.
    """
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise ValueError(
            f"{path} must have at most {LARGEST_FILE / 2**30:g} GiB, got {size / 2**30:.1f} GiB"
        )
    found = Metrics()
    builders: dict[str, _Builder] = {}
    surplus, without_step = False, 0
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            try:
                row = _parse(line, path, number)
            except ValueError:
                if file.read(1):
                    raise
                found.notes.append("The last line of metrics.jsonl is cut off and was left out.")
                break
            if not row:
                continue
            found.rows += 1
            step = _number(row.get("step"))
            if step is None:
                without_step += 1
                continue
            kimg = _number(row.get("kimg"))
            found.step, found.kimg = step, found.kimg if kimg is None else kimg
            for name, value in row.items():
                if name in _X or isinstance(value, str | bool | list | dict):
                    continue
                if name not in builders:
                    if len(builders) >= MOST_CURVES or len(name) > LONGEST_NAME:
                        surplus = True
                        continue
                    builders[name] = _Builder(most_points)
                builders[name].add(step, found.kimg or 0.0, _number(value))
    found.curves = {name: it.curve() for name, it in builders.items() if it.bins}
    if surplus:
        found.notes.append(
            f"Only the first {MOST_CURVES} metrics with names of up to {LONGEST_NAME} characters "
            "are shown."
        )
    if without_step:
        found.notes.append(f"{without_step} rows of metrics.jsonl without a step were left out.")
    never = [name for name, builder in builders.items() if not builder.bins]
    if never:
        found.notes.append(f"Never a finite number: {', '.join(never)}.")
    return found


class _Builder:
    """Collects the points of one curve."""

    def __init__(self, most_points: int):
        self.bins: list[_Bin] = []
        self._most, self._stride = max(most_points, 2), 1
        self._last: float | None = None
        self._not_finite = 0

    def add(self, step: float, kimg: float, value: float | None) -> None:
        self._last = value
        if value is None:
            self._not_finite += 1
            return
        while self.bins and self.bins[-1].last_step > step:
            self.bins.pop()
        if len(self.bins) >= self._most and self.bins[-1].count >= self._stride:
            self._halve()
        point = _Bin.of(step, kimg, value)
        if self.bins and self.bins[-1].count < self._stride:
            self.bins[-1].merge(point)
        else:
            self.bins.append(point)

    def _halve(self) -> None:
        for first, second in zip(self.bins[::2], self.bins[1::2], strict=False):
            first.merge(second)
        self.bins = self.bins[::2]
        self._stride *= 2

    def curve(self) -> Curve:
        bins = self.bins
        count = np.array([it.count for it in bins], np.int64)
        lowest = min(bins, key=lambda it: it.low)
        highest = max(bins, key=lambda it: it.high)
        return Curve(
            step=np.array([it.step for it in bins]) / count,
            kimg=np.array([it.kimg for it in bins]) / count,
            count=count,
            mean=np.array([it.total for it in bins]) / count,
            low=np.array([it.low for it in bins]),
            high=np.array([it.high for it in bins]),
            last=self._last,
            lowest=(lowest.low_at, lowest.low),
            highest=(highest.high_at, highest.high),
            not_finite=self._not_finite,
        )


@dataclasses.dataclass(slots=True)
class _Bin:
    """Sums and extremes of neighbouring points."""

    count: int
    step: float
    kimg: float
    total: float
    low: float
    low_at: tuple[float, float]
    high: float
    high_at: tuple[float, float]
    last_step: float

    @classmethod
    def of(cls, step: float, kimg: float, value: float) -> "_Bin":
        return cls(1, step, kimg, value, value, (step, kimg), value, (step, kimg), step)

    def merge(self, later: "_Bin") -> None:
        self.count += later.count
        self.step += later.step
        self.kimg += later.kimg
        self.total += later.total
        if later.low < self.low:
            self.low, self.low_at = later.low, later.low_at
        if later.high > self.high:
            self.high, self.high_at = later.high, later.high_at
        self.last_step = later.last_step


def _parse(line: bytes, path: pathlib.Path, number: int) -> dict:
    """A row; {} for a blank line."""
    if len(line) > LONGEST_LINE:
        raise ValueError(f"{path}, line {number} is longer than {LONGEST_LINE} bytes")
    if not line.strip():
        return {}
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError: not UTF-8, or a number too long
        raise ValueError(f"{path}, line {number} is not JSON: {line[:80]!r}") from error
    if not isinstance(row, dict):
        raise ValueError(f"{path}, line {number} must be a JSON object, got {line[:80]!r}")
    return row


def _number(value) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Not math.isnan, which fails for integers too large for a float.
    if value != value or abs(value) > LARGEST_NUMBER:
        return None
    return float(value) if abs(value) >= 1 / LARGEST_NUMBER else 0.0
