"""aa_jax.training.report_series: long files as short curves."""

import json

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aa_jax.training import report_series
from aa_jax.training.logging import read_metrics
from aa_jax.training.report_series import read_curves


def write(path, rows, end=""):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + end)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


@hypothesis.given(count=st.integers(1, 300), most=st.integers(2, 40), seed=st.integers(0, 99))
@hypothesis.settings(
    max_examples=40, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_thinning_keeps_means_and_extremes(path, count, most, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=count)
    steps = np.cumsum(rng.integers(1, 9, count))
    write(
        path, [{"step": int(s), "kimg": s / 4, "a": v} for s, v in zip(steps, values, strict=True)]
    )
    curve = read_curves(path, most_points=most).curves["a"]
    assert len(curve.count) <= most and curve.count.sum() == count
    # Bins are consecutive points, as many in each but the last.
    stride = int(curve.count[0])
    assert (curve.count[:-1] == stride).all() and len(curve.count) == -(-count // stride)
    assert len(curve.count) >= most // 2 or stride == 1
    starts = np.arange(0, count, stride)
    np.testing.assert_allclose(curve.mean, np.add.reduceat(values, starts) / curve.count)
    np.testing.assert_allclose(curve.step, np.add.reduceat(steps, starts) / curve.count)
    np.testing.assert_allclose(curve.kimg, curve.step / 4)
    np.testing.assert_array_equal(curve.low, np.minimum.reduceat(values, starts))
    np.testing.assert_array_equal(curve.high, np.maximum.reduceat(values, starts))
    at = steps[values.argmin()]
    assert curve.lowest == ((at, at / 4), values.min())
    at = steps[values.argmax()]
    assert curve.highest == ((at, at / 4), values.max())
    assert curve.last == values[-1]


def test_short_files_are_kept_as_read_metrics_reads_them(path):
    rows = [{"step": step, "loss": 1 / step} for step in range(1, 50)]
    rows[9:9] = [{"step": 9, "eval_top1": 0.5}]
    found = read_curves(write(path, rows, end='{"step": 51, "lo'))
    expected = [(row["step"], row["loss"]) for row in read_metrics(path) if "loss" in row]
    curve = found.curves["loss"]
    assert list(zip(curve.step, curve.mean, strict=True)) == expected
    assert list(found.curves) == ["loss", "eval_top1"]
    assert (found.rows, found.step, found.kimg) == (50, 49, None)
    assert found.notes == ["The last line of metrics.jsonl is cut off and was left out."]


@pytest.mark.parametrize(
    "line", ["nonsense", "[1, 2]", "7", '{"a": ' + "9" * 5000 + "}", "[" * 100_000, '"\\ud800']
)
def test_a_broken_line_is_named(path, line):
    rows = '{"step": 1, "a": 1}\n'
    path.write_text(f"{rows}\n{line}\n{rows}")
    with pytest.raises(ValueError, match=r"metrics.jsonl, line 3 (is not JSON|must be a JSON obj)"):
        read_curves(path)
    path.write_text(f"{rows}{line}")
    assert read_curves(path).rows == 1


def test_bytes_that_are_no_text(path):
    path.write_bytes(b'{"step": 1}\n{"\xff": 1}\n{"step": 2}\n')
    with pytest.raises(ValueError, match="line 2 is not JSON"):
        read_curves(path)


def test_numbers_that_are_none(path):
    values = [
        1.0,
        None,
        3.0,
        float("nan"),
        float("inf"),
        10**400,
        True,
        "4",
        [5],
        {},
        1e-320,
        1e149,
    ]
    rows = [{"step": step, "a": value} for step, value in enumerate(values)]
    found = read_curves(
        write(path, rows + [{"a": 9}, {"step": None, "a": 9}, {"step": 20, "b": None}])
    )
    curve = found.curves["a"]
    assert curve.step.tolist() == [0, 2, 10, 11] and curve.mean.tolist() == [1, 3, 0, 1e149]
    assert curve.not_finite == 4 and curve.last == 1e149
    assert found.notes == [
        "2 rows of metrics.jsonl without a step were left out.",
        "Never a finite number: b.",
    ]


def test_rows_without_kimg_lie_where_the_last_one_does(path):
    rows = [{"step": 1, "kimg": 0.5, "a": 1}, {"step": 1, "fid": 9}, {"step": 2, "kimg": 1, "a": 2}]
    found = read_curves(write(path, rows))
    assert found.curves["fid"].x("kimg") == [0.5] and found.curves["fid"].x("step") == [1]
    assert found.kimg == 1


def test_a_run_set_back_replaces_its_steps(path):
    rows = [{"step": step, "a": -step} for step in range(1, 11)]
    rows += [{"step": step, "a": step} for step in range(6, 9)]
    curve = read_curves(write(path, rows)).curves["a"]
    assert curve.step.tolist() == [1, 2, 3, 4, 5, 6, 6, 7, 8]
    assert curve.mean.tolist() == [-1, -2, -3, -4, -5, -6, 6, 7, 8]


def test_sizes_are_bounded(path, monkeypatch):
    write(path, [{"step": 1, **{f"m{index}": 1 for index in range(9)}, "x" * 201: 1}] * 2)
    assert len(read_curves(path).curves) == 9 and "up to 200" in read_curves(path).notes[0]
    monkeypatch.setattr(report_series, "MOST_CURVES", 4)
    assert list(read_curves(path).curves) == ["m0", "m1", "m2", "m3"]
    monkeypatch.setattr(report_series, "LONGEST_LINE", 100)
    with pytest.raises(ValueError, match="line 1 is longer than 100 bytes"):
        read_curves(path)
    monkeypatch.setattr(report_series, "LARGEST_FILE", 100)
    with pytest.raises(ValueError, match="must have at most .* GiB, got"):
        read_curves(path)


def test_a_long_file_gives_a_short_curve(path):
    write(path, [{"step": step, "a": step % 7} for step in range(20_000)])
    curve = read_curves(path).curves["a"]
    assert len(curve.count) <= report_series.MOST_POINTS <= 2000
    assert np.average(curve.mean, weights=curve.count) == pytest.approx(
        np.mean(np.arange(20_000) % 7)
    )
    assert curve.low.min() == 0 and curve.high.max() == 6
