"""What is measured on one network, and how it is kept."""

import dataclasses
import json

import numpy as np
import pytest

from experiments.classification.measurements import (
    EvaluationOptions,
    Measurement,
    load,
    measure,
    save,
    subset,
)
from tests.metrics.classifiers import checkerboards, constant, reads_one_pixel

OPTIONS = EvaluationOptions(
    num_images=10, shift_images=7, max_offset=4, passes=3, batch_size=4, worst_images=5, max_roll=2,
    worst_grid=2, resamples=50,
)  # fmt: skip


def test_a_constant_answer_is_consistent_and_right_for_its_class():
    labels = np.array([0, 1, 2, 1, 1, 0, 0, 2, 1, 1])
    metrics, per_image = measure(
        constant, np.zeros((10, 12, 12, 1)), labels, crop_size=8, options=OPTIONS
    )
    assert metrics["top1"] == pytest.approx(50)
    for name in ("consistency", "circular", "subpixel", "worst_case", "grid_mean"):
        assert metrics[name] == 100
    chosen = subset(10, 5, OPTIONS.seed)
    assert metrics["worst_case_correct"] == pytest.approx(100 * np.mean(labels[chosen] == 1))
    assert "top5" not in metrics  # three classes
    assert {name: len(v) for name, v in per_image.items()} == {
        "top1": 10, "consistency": 7, "circular": 7, "subpixel": 7, "worst_case": 5,
        "worst_case_correct": 5,
    }  # fmt: skip


def test_figures_are_the_means_of_the_values_to_resample(rng):
    images = rng.random((10, 12, 12, 1))
    metrics, per_image = measure(
        reads_one_pixel, images, rng.integers(0, 2, 10), crop_size=8, options=OPTIONS
    )
    assert 0 < metrics["consistency"] < 100
    for name, values in per_image.items():
        assert metrics[name] == pytest.approx(values.mean())


def test_worst_case_of_an_alternating_answer_is_zero():
    metrics, _ = measure(
        reads_one_pixel, checkerboards(10, 12), np.zeros(10, int), crop_size=8, options=OPTIONS
    )
    assert metrics["worst_case"] == 0
    assert metrics["grid_mean"] == pytest.approx(100 / 3)


def test_images_without_the_margin_are_refused():
    with pytest.raises(ValueError, match="at least 11 pixels"):
        measure(constant, np.zeros((4, 10, 12, 1)), np.zeros(4, int), crop_size=8, options=OPTIONS)


def test_subsets_are_seeded_and_sorted():
    first = subset(100, 20, 3)
    np.testing.assert_array_equal(first, subset(100, 20, 3))
    assert (np.diff(first) > 0).all() and len(first) == 20
    assert set(first) != set(subset(100, 20, 4))
    np.testing.assert_array_equal(subset(5, 20, 3), np.arange(5))


def test_options_name_the_nearest_field():
    with pytest.raises(ValueError, match="did you mean 'passes'"):
        EvaluationOptions.from_config({"pases": 3})


@pytest.mark.parametrize(
    "bad",
    [{"passes": 0}, {"views": 1}, {"confidence": 95}, {"worst_grid": 10}, {"num_images": 1.5}],
)
def test_options_out_of_range(bad):
    with pytest.raises(ValueError, match=f"eval.{next(iter(bad))}"):
        EvaluationOptions.from_config(bad)


@pytest.fixture
def measurement():
    return Measurement(
        "blur", 2, {"top1": 50.0}, {"top1": np.array([0.0, 100.0])}, OPTIONS, {"step": 7}
    )


def test_saved_and_loaded(tmp_path, measurement):
    save(measurement, tmp_path)
    again = load(tmp_path)
    assert dataclasses.replace(again, per_image={}) == dataclasses.replace(
        measurement, per_image={}
    )
    np.testing.assert_array_equal(again.per_image["top1"], [0, 100])


def test_nothing_or_another_version_is_none(tmp_path, measurement):
    assert load(tmp_path) is None
    path = save(measurement, tmp_path)
    path.write_text(json.dumps(measurement.as_dict() | {"version": -1}))
    assert load(tmp_path) is None


def test_a_damaged_file_is_named(tmp_path, measurement):
    path = save(measurement, tmp_path)
    path.write_text(path.read_text()[:40])
    with pytest.raises(ValueError, match="evaluation.json is not a complete evaluation"):
        load(tmp_path)
