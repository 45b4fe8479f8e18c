"""What a config may ask to be measured, found out before training."""

import pytest

from aa_jax import weights
from experiments.alias_free_gan import quality
from experiments.alias_free_gan.metric_names import QUALITY
from tests.experiments.alias_free_gan import quality_fakes as fakes
from tests.models.feature_layouts import (
    inception_shapes,
    lpips_shapes,
    random_tensors,
    vgg16_shapes,
)


@pytest.fixture(autouse=True)
def no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("AA_JAX_WEIGHTS", str(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("name", "samples", "expected"),
    [
        ("fid50k_full", 50_000, ("fid50k_full",)),
        ("fid50k_full", 5000, ("fid5k_full",)),
        ("kid50k", 2500, ("kid2.5k",)),
        ("pr50k3_full", 50_000, ("pr50k3_full_precision", "pr50k3_full_recall")),
        ("pr50k3", 64, ("pr0.064k3_precision", "pr0.064k3_recall")),
        ("is50k", 100_000, ("is100k_mean", "is100k_std")),
        ("ppl2_wend", 50_000, ("ppl2_wend",)),
        ("ppl2_wend", 12_345, ("ppl2_wend_12.345k",)),
    ],
)
def test_results_say_how_many_images_they_are_of(name, samples, expected):
    assert QUALITY[name].names(samples) == expected


def test_real_images_are_limited_as_published():
    counts = {name: metric.real_count(2_000_000) for name, metric in QUALITY.items()}
    assert counts["fid50k_full"] == 2_000_000
    assert counts["kid50k_full"] == 1_000_000
    assert counts["pr50k3_full"] == 200_000
    assert {counts[name] for name in ("fid50k", "kid50k", "pr50k3")} == {50_000}
    assert QUALITY["fid50k"].real_count(70) == 70


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"names": ("fid50_full",)}, "no metric 'fid50_full'; did you mean 'fid50k_full'"),
        ({"names": ("EQT_frac",)}, "did you mean 'eqt_frac'"),
        ({"samples": 9}, "samples must be at least 10, got 9"),
        ({"dialect": "tensorflw"}, "did you mean 'tensorflow'"),
        ({"best": "-fid50k_full", "samples": 5000}, "did you mean 'fid5k_full'"),
        ({"names": ("eqr",), "best": "eqt_frac"}, "'eqt_frac', which is not measured"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_mistakes_are_found_before_training(settings, message):
    with pytest.raises(ValueError, match=message):
        quality.check(fakes.config(**settings))


def test_nothing_need_be_measured():
    quality.check(fakes.config(names=(), best="eqt_frac"))


def test_stylegan2_cannot_be_told_to_move():
    config = fakes.config(names=("eqt_frac",))
    quality.check(config)
    config.generator.name = "stylegan2"
    with pytest.raises(ValueError, match="eqt_frac, but images of generator.name 'stylegan2'"):
        quality.check(config)


def test_all_missing_weights_are_named_with_what_to_fetch(tmp_path):
    names = ("fid50k_full", "pr50k3_full", "ppl2_wend")
    for folder in (tmp_path / "absent", tmp_path / "chosen"):
        chosen = "" if folder.name == "absent" else str(folder)
        with pytest.raises(ValueError) as caught:
            quality.check(fakes.config(names=names, weights=chosen))
        for name in ("inception", "vgg16", "lpips"):
            file = weights.FEATURE_FILES[name]
            assert f"curl -L -o '{folder / file.stem}.pth' {file.address}" in str(caught.value)


def test_motion_and_path_length_need_their_own_files_only(tmp_path):
    quality.check(fakes.config(names=("eqt_int", "eqt_frac", "eqr"), best="eqr"))
    with pytest.raises(ValueError) as caught:
        quality.check(fakes.config(names=("pr50k3",)))
    assert "vgg16" in str(caught.value) and "inception" not in str(caught.value)


def test_weights_are_found_in_a_folder_and_read_once(tmp_path, monkeypatch):
    reads = []

    def narrow(name):
        load = getattr(weights, f"load_{name}")
        return lambda *paths: reads.append(name) or load(*paths, width_divisor=32)

    layouts = {"inception": inception_shapes, "vgg16": vgg16_shapes, "lpips": lpips_shapes}
    for seed, (name, shapes) in enumerate(layouts.items()):
        tensors = random_tensors(shapes(32), seed)
        path = tmp_path / f"{weights.FEATURE_FILES[name].stem}.safetensors"
        weights.write_safetensors(path, tensors)
        monkeypatch.setattr(weights, f"load_{name}", narrow(name))
    config = fakes.config(names=tuple(QUALITY), weights=str(tmp_path), best="kid0.06k")
    quality.check(config)
    quality.check(config)
    assert sorted(reads) == ["inception", "lpips", "vgg16"]


def test_a_file_of_another_kind_is_an_error(tmp_path):
    path = tmp_path / f"{weights.FEATURE_FILES['inception'].stem}.safetensors"
    weights.write_safetensors(path, random_tensors({"fc.bias": (1008,)}, 0))
    with pytest.raises(ValueError, match="entries do not fit"):
        quality.check(fakes.config(weights=str(tmp_path)))
