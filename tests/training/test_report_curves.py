"""aa_jax.training.report_curves: what is drawn lies where the axes say."""

import math
import xml.etree.ElementTree as ET

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aa_jax.training.report_curves import (
    HEIGHT,
    LEFT,
    RIGHT,
    WIDTH,
    Line,
    draw_layers,
    draw_lines,
    is_noisy,
    log_ticks,
    nice_ticks,
    smooth,
    suits_log,
)
from tests.training import svg


def draw(*lines, **options):
    text, remark = draw_lines(lines, **{"x_label": "kimg", "label": "a chart", **options})
    return ET.fromstring(text), remark


def line(y, x=None, **options):
    y = np.asarray(y, np.float64)
    x = np.arange(len(y), dtype=float) if x is None else np.asarray(x, float)
    return Line(options.pop("label", "a"), x, y, **options)


def test_points_lie_at_the_ticks_they_name():
    chart, _ = draw(line([0, 5, 10, 2.5], x=[0, 100, 200, 400]))
    across, up = svg.ticks(chart)
    assert list(across) == ["0", "100", "200", "300", "400"] and list(up) == list("02468") + ["10"]
    (found,) = svg.points(chart, "line")
    middle = (up["4"] + up["6"]) / 2
    quarter = (up["2"] * 3 + up["4"]) / 4
    expected = [
        (across["0"], up["0"]),
        (across["100"], middle),
        (across["200"], up["10"]),
        (across["400"], quarter),
    ]
    np.testing.assert_allclose(found, expected, atol=0.11)
    np.testing.assert_allclose(svg.dots(chart), found)
    assert (across["0"], across["400"]) == (LEFT, WIDTH - RIGHT)
    assert up["10"] < up["0"] < HEIGHT


def test_equal_ratios_are_equally_far_apart_on_a_log_axis():
    chart, remark = draw(line([0.01, 0.1, 1, 10, 100]))
    assert remark == "log"
    (found,) = svg.points(chart, "line")
    steps = np.diff(found[:, 1])
    np.testing.assert_allclose(steps, steps[0], atol=0.11)
    up = svg.ticks(chart)[1]
    assert list(up) == ["0.01", "0.1", "1", "10", "100"]
    np.testing.assert_allclose(list(up.values()), found[:, 1], atol=0.11)


def test_which_curves_get_a_log_axis():
    falling = line(np.geomspace(1, 1e-3, 100))
    assert suits_log([falling]) and not suits_log([line(np.linspace(1, 2, 9))])
    assert not suits_log([falling, line([0.0, 1.0])])
    assert not suits_log([line(falling.y, low=falling.y - 0.1, high=falling.y)])
    assert not suits_log([line(np.r_[np.ones(99), 1e-6])])  # one outlier
    assert draw(falling, scale="linear")[1] == ""
    with pytest.raises(ValueError, match=r'scale="log" needs numbers above 0, got 0'):
        draw(line([0, 1]), scale="log")
    with pytest.raises(ValueError, match='scale must be "auto"'):
        draw(line([0, 1]), scale="cubic")
    with pytest.raises(ValueError, match="lines must hold at least one"):
        draw()


@hypothesis.given(
    st.floats(-1e12, 1e12), st.floats(1e-6, 1e12).filter(lambda span: span > 0), st.integers(3, 8)
)
def test_ticks_are_round_and_enough(low, span, count):
    high = low + span
    hypothesis.assume(high - low > 1e-9 * max(abs(low), abs(high)))
    ticks = [tick for tick, _ in nice_ticks(low, high, count)]
    assert count / 1.6 - 1 <= len(ticks) <= count * 1.6 + 1
    room = 1e-6 * (high - low)
    assert all(low - room <= tick <= high + room for tick in ticks)
    if len(ticks) > 1:
        step = ticks[1] - ticks[0]
        leading = step / 10 ** math.floor(math.log10(step) + 1e-4)
        assert min(abs(leading - it) for it in (1, 2, 5, 10)) < 0.02


def test_ticks_say_as_many_decimals_as_they_need():
    assert [text for _, text in nice_ticks(0, 1)] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert [text for _, text in nice_ticks(-0.1, 0.1, 4)] == [
        "−0.10",
        "−0.05",
        "0.00",
        "0.05",
        "0.10",
    ]
    assert [text for _, text in nice_ticks(0, 1e-6, 2)] == ["0", "5×10⁻⁷", "10⁻⁶"]
    assert [text for _, text in nice_ticks(0, 4e8, 2)] == [
        "0",
        "200\u202f000\u202f000",
        "400\u202f000\u202f000",
    ]
    assert log_ticks(0.5, 30) == [0.5, 1, 2, 5, 10, 20]
    assert log_ticks(1e-9, 1e9) == [10.0**it for it in range(-9, 10, 3)]


def test_smoothing_is_the_weighted_mean_of_neighbours(rng):
    values, weights = rng.normal(size=30), rng.integers(1, 5, 30).astype(float)
    found = smooth(values, weights, 4)
    for index in range(30):
        near = [it for it in range(30) if abs(it - index) <= 4]
        share = np.array([(5 - abs(it - index)) * weights[it] for it in near])
        assert found[index] == pytest.approx((share * values[near]).sum() / share.sum())


def test_noise_is_faint_behind_a_smooth_line(rng):
    trend = np.exp(-np.linspace(0, 3, 400))
    assert not is_noisy(trend) and not is_noisy(np.ones(400)) and not is_noisy(rng.normal(size=30))
    noisy = line(trend + rng.normal(0, 0.1, 400))
    chart, _ = draw(noisy, line(trend, colour=1))
    (faint,) = svg.points(chart, "faint")
    smoothed, other = sorted(
        svg.points(chart, "line"), key=lambda it: np.abs(np.diff(it[:, 1])).sum()
    )
    assert len(faint) == len(smoothed) == len(other) == 400 and not len(svg.dots(chart))
    shapes = [it.get("class") for it in chart.iter(svg.SPACE + "polyline")]
    assert shapes == ["faint c0", "line c1", "line c0"]  # the smoothed one above all
    first = svg.points(chart, "c0")[1]
    second = svg.points(chart, "c1")[0]
    away = np.abs(first[10:-10, 1] - second[10:-10, 1])
    assert away.max() < 0.5 * np.abs(faint[:, 1] - second[:, 1]).max()


def test_a_band_holds_the_extremes():
    chart, _ = draw(line([1, 2, 3], low=np.array([0, 2, 2.0]), high=np.array([4, 2, 3.0])))
    (band,), (middle,), up = (
        svg.points(chart, "band"),
        svg.points(chart, "line"),
        svg.ticks(chart)[1],
    )
    np.testing.assert_allclose(band[:3, 0], middle[:, 0])
    expected = [up["4"], up["2"], up["3"], up["2"], up["2"], up["0"]]
    np.testing.assert_allclose(band[:, 1], expected, atol=0.11)
    same = np.array([1.0, 2.0])
    assert not svg.points(draw(line(same, low=same, high=same))[0], "band")


def test_outliers_do_not_flatten_the_rest(rng):
    values = rng.uniform(1, 2, 300)
    values[[50, 150]] = 1e6, -1e6
    chart, remark = draw(line(values))
    assert remark == "2 points beyond the edge"
    up = svg.ticks(chart)[1]
    assert "1.5" in up and all(0 <= float(text.replace("−", "-")) <= 3 for text in up)
    faint, smoothed = svg.points(chart, "faint")[0], svg.points(chart, "line")[0]
    assert np.abs(faint).max() < 1e4 and (np.ptp(smoothed[:, 1]) < HEIGHT / 2)
    inner = chart.find(svg.SPACE + "svg")
    assert inner.get("overflow") == "hidden" and inner.find(svg.SPACE + "polyline") is not None


@pytest.mark.parametrize("value", [0.0, 1.0, -3e-9, 1e149, 1e-150])
@pytest.mark.parametrize("count", [1, 2, 60])
def test_constant_curves_have_axes_too(value, count):
    chart, _ = draw(line([value] * count))
    (found,) = svg.points(chart, "line")
    assert np.isfinite(found).all() and len(svg.ticks(chart)[1]) >= 2
    assert LEFT <= found[:, 0].min() and found[:, 0].max() <= WIDTH - RIGHT


@hypothesis.given(
    st.lists(st.floats(-1e150, 1e150).map(lambda it: it if abs(it) > 1e-150 else 0.0), min_size=1)
)
def test_any_numbers_can_be_drawn(values):
    chart, _ = draw(line(values))
    for found in svg.points(chart, "line") + svg.points(chart, "faint"):
        assert np.isfinite(found).all()


def test_hovering_says_the_numbers():
    first = line(np.arange(500) / 4, label="gen <b>")
    second = line([7.5, 8.5], x=[100, 200], label="disc", colour=1)
    said = svg.titles(draw(first, second)[0])
    assert len(said) == 90 and said[0] == "kimg 0\ngen <b>: 0"
    inside = [it for it in said if "disc" in it]
    assert 10 < len(inside) < 30 and all("7.5" in it or "8.5" in it for it in inside)
    chart, _ = draw(second)
    columns = [it for it in chart.iter(svg.SPACE + "rect")]
    assert sum(float(it.get("width")) for it in columns) == pytest.approx(
        WIDTH - LEFT - RIGHT, abs=0.3
    )


def test_given_ends_of_the_axis():
    chart, _ = draw(line([1, 2], x=[10, 20]), x_limits=(0, 40))
    (found,) = svg.points(chart, "line")
    quarters = LEFT + np.array([0.25, 0.5]) * (WIDTH - LEFT - RIGHT)
    np.testing.assert_allclose(found[:, 0], quarters, atol=0.11)


def test_layers_lie_side_by_side_and_gaps_stay_open():
    layers = ["input", "L0", "L1", "L2", "L3"]
    chart = ET.fromstring(
        draw_layers(
            layers,
            [("run t", [10, 20, None, 30, 40]), ("run r", [None, None, 25, None, 30])],
            label="<eqt>",
        )
    )
    up = svg.ticks(chart)[1]
    assert chart.get("aria-label") == "<eqt>"
    places = np.unique(svg.dots(chart)[:, 0])
    assert len(places) == 5
    np.testing.assert_allclose(np.diff(places), np.diff(places)[0], atol=0.11)
    np.testing.assert_allclose(
        svg.dots(chart)[:, 1], [up[it] for it in ("10", "20", "30", "40")] + [
            (up["20"] + up["30"]) / 2, up["30"]
        ], atol=0.11
    )  # fmt: skip
    assert [len(it) for it in svg.points(chart, "c0")] == [2, 2]
    assert [len(it) for it in svg.points(chart, "c1")] == [1, 1]
    assert svg.titles(chart)[2] == "run t, L2: 30"
    slanted = [
        it.text for it in chart.iter(svg.SPACE + "text") if "rotate" in (it.get("transform") or "")
    ]
    assert slanted == layers


def test_of_many_layers_some_are_named():
    names = [f"L{index}" for index in range(100)]
    chart = ET.fromstring(draw_layers(names, [("a", list(range(100)))], label="a"))
    slanted = [it.text for it in chart.iter(svg.SPACE + "text") if it.get("transform")]
    assert slanted == names[::5] and len(svg.dots(chart)) == 100


def test_further_lines_are_dashed():
    chart, _ = draw(*(line([1, 2], colour=index) for index in (0, 7, 8)))
    classes = [it.get("class") for it in chart.iter(svg.SPACE + "polyline")]
    assert classes == ["line c0", "line c7", "line c0 dashed"]
