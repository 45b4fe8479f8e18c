"""Tables and documents from plain measurements, and a whole report from stand-in runs."""

import dataclasses
import json
import types

import ml_collections
import numpy as np
import pytest
from flax import nnx

from aa_jax.data.photograph_files import CLASSES
from aa_jax.models import small_resnet
from aa_jax.training.state import split
from experiments.classification import evaluate, network, report, tables
from experiments.classification.measurements import EvaluationOptions, Measurement

OPTIONS = EvaluationOptions(resamples=200)


def _measurement(variant, seed, level, *, images=40):
    """Per-image values of which exactly `level` percent are 100, in a fixed order."""
    hit = 100.0 * (np.arange(images) < images * level / 100)
    names = ("top1", "consistency", "circular", "subpixel", "worst_case", "worst_case_correct")
    metrics = {name: float(hit.mean()) for name in names} | {"consistency_correct": 77.0}
    return Measurement(
        variant, seed, metrics, {name: hit for name in names}, OPTIONS, {"data": "photographs"}
    )


@pytest.fixture
def measurements():
    levels = {"aps": 80, "none": 50, "blur": 75}
    return [_measurement(name, s, level) for name, level in levels.items() for s in (1, 0)]


def _rows(table):
    return [line.strip("| ").split(" | ") for line in table.splitlines() if "|--" not in line]


def test_summary_orders_variants_and_seeds(measurements):
    summary = tables.summarize(measurements)
    assert list(summary["variants"]) == ["none", "blur", "aps"]
    assert [run["seed"] for run in summary["variants"]["blur"]["runs"]] == [0, 1]
    assert "difference" not in summary["variants"]["none"]
    json.dumps(summary)


def test_difference_uses_the_same_images(measurements):
    difference = tables.summarize(measurements)["variants"]["blur"]["difference"]["consistency"]
    # 10 of 40 images differ, always in blur's favour: the paired interval cannot reach zero.
    assert difference["estimate"] == pytest.approx(25)
    assert 5 < difference["low"] < 20 < 30 < difference["high"] < 45


def test_tables_have_a_cell_per_column(measurements):
    summary = tables.summarize(measurements)
    for table in (tables.main_table(summary), tables.run_table(summary)):
        rows = _rows(table)
        assert len({len(row) for row in rows}) == 1
    main = _rows(tables.main_table(summary))
    assert [row[0] for row in main] == ["variant", "plain", "blur", "APS"]
    assert main[2][1].startswith("75.0 [")
    assert main[1][main[0].index("correct only")] == "77.0"
    assert len(_rows(tables.run_table(summary))) == 1 + 6


@pytest.mark.parametrize(
    ("low", "high", "said"), [(1, 2, "higher"), (-2, -1, "lower"), (-1, 1, "not told apart")]
)
def test_verdict(low, high, said):
    same = {"low": -1, "high": 1}
    difference = {"consistency": {"low": low, "high": high}, "top1": same}
    assert tables.verdict(difference) == f"consistency {said}, top-1 not told apart"


def test_without_a_plain_run_nothing_is_compared(measurements):
    summary = tables.summarize([m for m in measurements if m.variant != "none"])
    assert tables.difference_table(summary) == ""


def test_incomparable_measurements_are_refused(measurements):
    with pytest.raises(ValueError, match="at least one"):
        tables.summarize([])
    with pytest.raises(ValueError, match="twice"):
        tables.summarize([measurements[0], measurements[0]])
    other = dataclasses.replace(measurements[0], options=EvaluationOptions(passes=1), seed=9)
    with pytest.raises(ValueError, match="share their options"):
        tables.summarize([measurements[0], other])


def test_explanation_states_every_number():
    options = EvaluationOptions(1001, 502, 9, 3, 6, 65, 8, 17, 129, 5, 0.9, 2003)
    text = tables.explain(options)
    for number in ("1001", "502", "0 to 8", "3 random", "passes: 6", "65", "seed 8", "-17 to 16",
                   "129", "5×5", "90%", "2003"):  # fmt: skip
        assert number in text


def test_documents(tmp_path, measurements):
    summary = tables.summarize(measurements)
    path = report.write_documents(tmp_path, summary, measurements[0], [("a.png", "A figure.")])
    text = path.read_text()
    assert "![a](a.png)\n\nA figure." in text and tables.main_table(summary) in text
    data = json.loads((tmp_path / "report.json").read_text())
    assert data["variants"]["aps"]["metrics"]["top1"]["estimate"] == pytest.approx(80)
    assert data["figures"] == ["a.png"] and data["data"] == "photographs"


SETTINGS = {
    "source": "photographs",
    "test_split": "test",
    "image_size": 16,
    "resize": 16,
    "augmentation": "none",
    "test_options": {"size": 16},
}
SMALL = dict(
    num_images=20, shift_images=8, max_offset=3, passes=1, batch_size=10, max_roll=2,
    worst_images=4, worst_grid=2, resamples=20,
)  # fmt: skip


def _untrained(variant):
    model = small_resnet(
        len(CLASSES), antialias=variant, width=8, stage_sizes=(1,), groups=4, rngs=nnx.Rngs(0)
    )
    _, params, stats = split(model)
    config = ml_collections.ConfigDict({"data": SETTINGS, "eval": SMALL, "seed": 0})
    config.model = {"antialias": variant}
    return types.SimpleNamespace(
        config=config,
        step=3,
        params=params,
        stats=stats,
        model=model,
        normalize=lambda images: images - 0.5,
        predict=nnx.jit(lambda images: model(images - 0.5)),
    )


def test_a_whole_report_of_untrained_networks(tmp_path, monkeypatch):
    networks = {}
    for variant in ("none", "adaptive"):
        run = tmp_path / variant / "seed_0"
        (run / "checkpoints").mkdir(parents=True)
        networks[run] = _untrained(variant)
    monkeypatch.setattr(network, "load_run", lambda path, which="latest": networks[path])
    text = report.write_report(tmp_path).read_text()
    folder = tmp_path / "report"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "report.md", "report.json", "accuracy_consistency.png", "prediction_strip.png",
        "filter_variance_adaptive.png", "feature_groups_adaptive.png",
    }  # fmt: skip
    for name in names - {"report.md", "report.json"}:
        assert f"]({name})" in text
    data = json.loads((folder / "report.json").read_text())
    saved = json.loads((tmp_path / "none" / "seed_0" / "evaluation.json").read_text())
    estimate = data["variants"]["none"]["metrics"]["circular"]["estimate"]
    assert estimate == pytest.approx(saved["metrics"]["circular"])
    # A second report reads the evaluations back instead of running the networks again.
    for stand_in in networks.values():
        monkeypatch.setattr(stand_in, "predict", None)
    assert len(evaluate.evaluate_runs(tmp_path)) == 2


def test_no_runs_is_a_clear_error(tmp_path):
    with pytest.raises(ValueError, match="found none; train first"):
        report.write_report(tmp_path)
