"""Tables, what they say about phase and order, and files."""

import dataclasses
import json
import math

import numpy as np
import pytest
from PIL import Image

from aa_jax.figures import style
from experiments.downsampling import labels, report, strips, tables
from experiments.downsampling.published import ROWS
from experiments.downsampling.study import Outcome


def row(method: str, phase: str, error: float) -> Outcome:
    return Outcome(
        method, phase, 1.5, error, math.nan, 2 * error, 0.5, 0.01, error / 4, math.nan, error / 2,
        (-1.5, 0.0), 0.125, 25.0,
    )  # fmt: skip


@pytest.fixture
def results(rng):
    rows = [row(m, "native", r.error) for m, r in ROWS.items()]
    rows += [row("area", "aligned", 0.01), row("lanczos", "native", 0.1)]
    outcomes = {r.key: r for r in rows}
    example = strips.Example(
        rng.random((128, 128, 3)), {name: rng.random((32, 32, 3)) for name in outcomes}
    )
    return report.Results(
        outcomes=outcomes,
        baseline_shifted=row("shifted baseline", "shifted", 0.17),
        mean_of_four=row("mean of 2 x 2", "shifted", 0.08),
        predicted_shift_error=0.168,
        images=1,
        detector="made up",
        times={r.key: 0.1 * i + 0.05 for i, r in enumerate(rows)},
        device_times={rows[0].key: 0.25},
        examples=[example],
    )


def test_the_published_layout(results):
    lines = tables.beside_published(results.outcomes, results.times).splitlines()
    assert len(lines) == 2 + 9
    area = next(line for line in lines if "mode=area" in line)
    cells = [cell.strip() for cell in area.split("|")[1:-1]]
    assert cells[1:4] == ["0.1729", "0.1729", "0.0100"]
    assert cells[4:] == ["0.5500 ms", "0.4388 ms"]


def test_phase_is_what_alignment_takes_away(results):
    share = 1 - 0.01 / 0.1729
    assert tables.phase_shares(results.outcomes) == {
        "area": {"mean": pytest.approx(share), "median": pytest.approx(share)}
    }


def test_orders_are_compared(results):
    orders = tables.orders(results.outcomes, {})
    assert orders == {"error": pytest.approx(1), "median error": pytest.approx(1)}
    natives = {f"{m}/native": row(m, "native", 1 - r.error) for m, r in ROWS.items()}
    times = {f"{m}/native": -r.milliseconds for m, r in ROWS.items()}
    assert tables.orders(natives, times) == {
        name: pytest.approx(-1) for name in ("error", "median error", "time")
    }


def test_all_files(results, tmp_path):
    text = report.write(tmp_path, results)
    assert (tmp_path / "report.md").read_text() == text
    names = {"report.md", "report.json", "phase.png", "time.png", "methods.png"}
    assert {path.name for path in tmp_path.iterdir()} == names
    for name in ("phase", "time", "methods"):
        assert f"({name}.png)" in text
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 300
    data = json.loads((tmp_path / "report.json").read_text())
    assert [r["method"] for r in data["rows"]] == [o.method for o in results.outcomes.values()]
    assert data["rows"][0]["error_standard_error"] is None  # of a single image
    assert data["rows"][0]["device_milliseconds"] == 0.25
    assert data["published"]["median"]["milliseconds"] == 56.915
    assert "| shifted baseline | shifted |" in text


def test_without_times_and_examples(results, tmp_path):
    short = dataclasses.replace(results, times={}, device_times=None, examples=[])
    report.write(tmp_path, short)
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert pictures == {"phase.png"}


def test_labels_do_not_overlap():
    figure = style.new_figure(6, 4)
    axis = figure.subplots()
    places = [(0.5 + 0.02 * i, 0.5 + 0.004 * (i % 3)) for i in range(8)]
    axis.plot(*zip(*places, strict=True), "o")
    axis.set(xlim=(0, 1), ylim=(0, 1))
    wanted = [labels.Label(x, y, f"method {i}", "black") for i, (x, y) in enumerate(places)]
    labels.place_labels(figure, axis, wanted, places)
    notes = [text for text in axis.texts if text.get_text()]
    boxes = [note.get_window_extent() for note in notes]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert not any(box.contains(*axis.transData.transform(place)) for place in places)


def test_details_show_what_is_busy():
    image = np.full((128, 128, 3), 0.5)
    image[40:60, 90:110] = np.random.default_rng(0).random((20, 20, 3))
    top, left = strips.busiest(image, 4)
    assert top <= 10 and top + strips.DETAIL >= 15
    assert left <= 22 and left + strips.DETAIL >= 27
    assert 0 <= top <= 32 - strips.DETAIL and 0 <= left <= 32 - strips.DETAIL
