"""aa_jax.training.report_metrics: which metrics share a panel, and which of them are better."""

import html
import json
import re

import numpy as np
import pytest

from aa_jax.training.report_metrics import curve_sections, direction, metric_names, summary_table
from aa_jax.training.report_run import read_runs
from tests.training import svg


def make(folder, rows):
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def gan_rows(count=20, shift=0.0):
    rng = np.random.default_rng(0)
    rows = []
    for step in range(1, count + 1):
        row = {"step": 100 * step, "kimg": 3.2 * step}
        for name in ("images_per_second", "loss_generator", "sign_real", "loss_discriminator"):
            row[name] = float(rng.uniform(1, 2)) + shift
        rows += [row, {"step": 100 * step, "kimg": 3.2 * step, "fid": 100 / step + shift}]
    return rows


def cells(table):
    """Text of a table: name -> cells, and the same of what is bold."""
    rows = re.findall(r"<tr><td.*?</tr>", table)
    texts, bold = {}, {}
    for row in rows:
        found = re.findall(r'<td(?: class="([^"]*)")?>(.*?)</td>', row)
        name = html.unescape(found[0][1])
        texts[name] = [text for _, text in found[1:]]
        bold[name] = [text for kind, text in found[1:] if "best" in kind and text]
    return texts, bold


@pytest.mark.parametrize(
    ("better", "names"),
    [
        (-1, "fid kid ppl fid50k kid50k_full ppl2_wend eval_loss loss val_loss eval_fid"),
        (1, "is precision recall eqt_frac eqt_int eqr eqt50k_int eval_top1 accuracy psnr ssim"),
        (0, "loss_generator score_real sign_fake grad_norm r1_penalty island data_wait recalled"),
    ],
)
def test_what_is_better(better, names):
    assert {name: direction(name) for name in names.split()} == dict.fromkeys(names.split(), better)


def test_panels_of_one_run(tmp_path):
    runs = read_runs([make(tmp_path / "a", gan_rows())])
    assert metric_names(runs) == [
        "fid",
        "loss_generator",
        "loss_discriminator",
        "sign_real",
        "images_per_second",
    ]
    quality, training, speed = curve_sections(runs)
    assert [len(svg.charts(part)) for part in (quality, training, speed)] == [1, 2, 1]
    loss, sign = svg.charts(training)
    assert len(svg.points(loss, "line")) == 2 and len(svg.points(sign, "line")) == 1
    names = re.findall(r'<i class="(c\d)"></i>(\w+)', training)
    assert names == [("c0", "generator"), ("c1", "discriminator"), ("c0", "real")]
    # All panels have the same axis, in kimg from 0.
    ticks = [svg.ticks(chart)[0] for part in (quality, training) for chart in svg.charts(part)]
    assert ticks[0] == ticks[1] == ticks[2] and list(ticks[0])[:3] == ["0", "10", "20"]


def test_several_runs_lie_over_each_other(tmp_path):
    runs = read_runs([make(tmp_path / "a", gan_rows()), make(tmp_path / "b", gan_rows(9, 1.0))])
    training = curve_sections(runs)[1]
    charts = svg.charts(training)
    assert len(charts) == 3  # each metric alone, so that colours can tell the runs apart
    first, second = (svg.points(charts[0], colour)[0] for colour in ("c0", "c1"))
    assert len(first) == 20 and len(second) == 9
    np.testing.assert_allclose(first[:9, 0], second[:, 0])
    up = svg.ticks(charts[0])[1]
    one = np.ptp(list(up.values())) / np.ptp([float(it) for it in up])
    np.testing.assert_allclose(first[:9, 1] - second[:, 1], one, atol=0.15)
    assert re.findall(r'<i class="(c\d)"></i>(\w+)', training) == [("c0", "a"), ("c1", "b")] * 3


def test_steps_where_one_run_has_no_kimg(tmp_path):
    rows = [{"step": 500, "fid": 3}, {"step": 2000, "fid": 2}]
    runs = read_runs([make(tmp_path / "a", gan_rows()), make(tmp_path / "b", rows)])
    quality, *_ = curve_sections(runs)
    (chart,) = svg.charts(quality)
    assert "step" in [it.text for it in chart.iter(svg.SPACE + "text")]
    across, second = svg.ticks(chart)[0], svg.points(chart, "c1")[0]
    np.testing.assert_allclose(second[:, 0], [across["500"], across["2\u202f000"]], atol=0.11)


def test_the_summary_of_one_run(tmp_path):
    rows = [{"step": step, "fid": fid, "is": 5} for step, fid in enumerate([9, 2, 4, None])]
    rows += [{"step": 4, "loss_generator": 7}, {"step": 5, "is": None}]
    texts, bold = cells(summary_table(read_runs([make(tmp_path / "a", rows)])))
    assert texts == {
        "fid ↓ (1 not finite)": ["not finite", "4", "2", "1", "2", "9"],
        "is ↑ (1 not finite)": ["not finite", "5", "5", "0", "5", "5"],
        "loss_generator": ["7", "7", "", "", "7", "7"],
    }
    assert bold["fid ↓ (1 not finite)"] == ["2"]


def test_the_summary_of_several_runs(tmp_path):
    rows = [{"step": 0, "fid": 3, "is": 2, "a": 1}, {"step": 1, "fid": 4, "is": None}]
    others = [{"step": 0, "fid": 2, "is": 1, "b": 1}]
    runs = read_runs([make(tmp_path / "a", rows), make(tmp_path / "b", others)])
    texts, bold = cells(summary_table(runs))
    assert texts == {
        "fid ↓": ["4", "3", "2", "2"],
        "is ↑": ["not finite", "2", "1", "1"],
        "a": ["1", "", "–", ""],
        "b": ["–", "", "1", ""],
    }
    assert bold == {"fid ↓": ["2"], "is ↑": ["2"], "a": [], "b": []}
    assert summary_table(read_runs([make(tmp_path / "c", [])])) == ""
