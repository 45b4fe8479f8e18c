"""Test images with a margin, options from configs, and when a run is evaluated again."""

import types

import jax
import ml_collections
import numpy as np
import pytest
from PIL import Image

from experiments.classification import evaluate, network
from experiments.classification.measurements import EvaluationOptions
from scripts import evaluate as command
from tests.metrics.classifiers import reads_one_pixel

OPTIONS = EvaluationOptions(
    num_images=12, shift_images=6, max_offset=4, passes=1, batch_size=4, worst_images=4, max_roll=2,
    worst_grid=2, resamples=20,
)  # fmt: skip


def _config(**settings):
    data = dict(
        source="photographs", test_split="test", image_size=16, resize=20, augmentation="none",
        test_options={"size": 16},
    )  # fmt: skip
    data = ml_collections.ConfigDict(data | settings)
    return ml_collections.ConfigDict(
        {"data": data, "eval": {"passes": 2}, "seed": 5, "model": {"antialias": "blur"}}
    )


def test_photographs_come_with_the_margin():
    images, labels, source = evaluate.test_images(_config(), OPTIONS)
    assert images.shape == (12, 20, 20, 3) and images.dtype == np.float32
    assert 0 <= images.min() and images.max() <= 1
    np.testing.assert_array_equal(labels, np.arange(12) % source.num_classes)
    np.testing.assert_array_equal(images[3], source[3]["image"] / np.float32(255))


@pytest.fixture
def folder(tmp_path, rng):
    for label in ("a", "b"):
        for number in range(8):
            place = tmp_path / "test" / label
            place.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (24, 24, 3), np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")
    return tmp_path


def test_folders_are_resized_with_the_margin(folder):
    config = _config(source=str(folder), augmentation="standard", test_options={})
    images, labels, _ = evaluate.test_images(config, OPTIONS)
    assert images.shape == (12, 20, 20, 3)
    assert set(labels) == {0, 1}


def test_images_taken_as_they_are_get_a_mirrored_margin(folder):
    config = _config(source=str(folder), image_size=24, test_options={})
    images, _, source = evaluate.test_images(config, OPTIONS)
    assert images.shape == (12, 28, 28, 3)
    np.testing.assert_array_equal(images[:, 1], images[:, 3])  # reflection about row 2
    originals = np.stack([source[i]["image"] for i in range(len(source))]) / np.float32(255)
    inner = images[:, 2:-2, 2:-2]
    assert all(any(np.array_equal(image, other) for other in originals) for image in inner)


def test_options_come_from_the_config_and_the_command_line():
    assert evaluate.evaluation_options(_config()).passes == 2
    assert evaluate.evaluation_options(_config(), {"passes": "4"}).passes == 4
    with pytest.raises(ValueError, match="did you mean 'passes'"):
        evaluate.evaluation_options(_config(), {"pases": "4"})
    broken = _config()
    broken.eval = {"num_image": 3}
    with pytest.raises(ValueError, match="did you mean 'num_images'"):
        evaluate.evaluation_options(broken)


def test_only_evaluation_fields_can_be_overridden():
    assert evaluate.overrides_of_eval({"eval.passes": "1"}) == {"passes": "1"}
    with pytest.raises(ValueError, match="config.model.width"):
        evaluate.overrides_of_eval({"model.width": "3"})


def test_names_come_from_the_folder_or_the_config(tmp_path):
    assert evaluate.name_run(tmp_path / "aps" / "seed_3", _config()) == ("aps", 3)
    assert evaluate.name_run(tmp_path / "mine", _config()) == ("blur", 5)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose network is a stand-in that counts its calls."""
    calls = []

    def predict(images):
        calls.append(len(images))
        return np.pad(reads_one_pixel(images), ((0, 0), (0, 30)), constant_values=-9.0)

    trained = types.SimpleNamespace(
        config=_config(), step=9, params={"w": jax.numpy.ones(3)}, stats={}, predict=predict
    )
    trained.config.eval = {
        "num_images": 12, "shift_images": 6, "max_offset": 4, "passes": 1, "batch_size": 4,
        "worst_images": 4, "worst_grid": 2,
    }  # fmt: skip
    monkeypatch.setattr(network, "load_run", lambda path, which="latest": trained)
    folder = tmp_path / "blur" / "seed_1"
    (folder / "checkpoints").mkdir(parents=True)
    return folder, trained, calls


def test_evaluates_once_per_weights_and_options(run):
    folder, trained, calls = run
    first = evaluate.evaluate_run(folder)
    assert (first.variant, first.seed, first.context["step"]) == ("blur", 1, 9)
    assert set(calls) == {4}  # one shape only
    count = len(calls)
    again = evaluate.evaluate_run(folder)
    assert again.metrics == first.metrics and len(calls) == count
    evaluate.evaluate_run(folder, overrides={"seed": "8"})
    assert len(calls) > count
    count = len(calls)
    trained.params = {"w": jax.numpy.zeros(3)}  # trained anew in the same folder
    evaluate.evaluate_run(folder, overrides={"seed": "8"})
    assert len(calls) > count


def test_a_single_run_or_a_comparison(run):
    folder, _, _ = run
    single = evaluate.evaluate_runs(folder)
    comparison = evaluate.evaluate_runs(folder.parent.parent)
    assert [m.metrics for m in single] == [m.metrics for m in comparison]
    assert '"variant": "blur"' in evaluate.as_json(single)


def test_no_runs(tmp_path):
    with pytest.raises(ValueError, match="found none; train first"):
        evaluate.run_directories(tmp_path)


def test_command_prints_figures_or_one_line_of_error(run, capsys, tmp_path):
    folder, _, _ = run
    assert command.main(["consistency", "--workdir", str(folder)]) == 0
    assert '"consistency":' in capsys.readouterr().out
    assert command.main(["report", "--workdir", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith("error: expected runs in")
    misspelt = ["consistency", "--workdir", str(folder), "--config.eval.pases=1"]
    assert command.main(misspelt) == 1
    assert "did you mean 'passes'" in capsys.readouterr().err
