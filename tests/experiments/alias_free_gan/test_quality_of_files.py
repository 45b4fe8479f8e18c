"""`scripts/evaluate.py quality`: a generator out of a file, a prepared folder, lines of JSON."""

import json
import pathlib

import jax
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from aa_jax import metrics, weights
from aa_jax.models import alias_free
from experiments.alias_free_gan import measuring, network_quality
from scripts import evaluate as command
from tests.experiments.alias_free_gan import quality_fakes as fakes

PICKLE = pathlib.Path(__file__).parents[2] / "golden/alias_free/tiny_snapshot_t_nosrc.pkl"
COUNT = 20


@pytest.fixture
def detectors(monkeypatch, tmp_path):
    monkeypatch.setenv("AA_JAX_CACHE", str(tmp_path / "cache"))
    made = fakes.detectors()
    monkeypatch.setattr(measuring, "detectors_of", lambda *args, **options: made)


@pytest.fixture(scope="module")
def generator():
    """In grey, of two classes."""
    plan = alias_free.config_t(
        16, img_channels=1, channel_base=32, channel_max=4, num_layers=3, num_critical=1,
        margin_size=2,
    )  # fmt: skip
    options = dict(z_dim=8, w_dim=8, c_dim=2, mapping_layers=1)
    return alias_free.Generator(plan, **options, rngs=nnx.Rngs(0))


@pytest.fixture
def data(tmp_path, rng):
    """Pictures and their classes."""
    folder = tmp_path / "real"
    folder.mkdir()
    images, classes = rng.integers(0, 256, (25, 16, 16, 1), np.uint8), np.arange(25) % 2
    names = [f"{index:02}.png" for index in range(25)]
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image[..., 0]).save(folder / name)
    listing = {"labels": list(zip(names, classes.tolist(), strict=True))}
    (folder / "dataset.json").write_text(json.dumps(listing))
    return folder, images, classes


def quality(*arguments):
    options, rest = command.parse_arguments(["quality", *map(str, arguments)])
    assert not rest
    return command._quality(options)


def test_a_file_is_measured_and_the_lines_appended(detectors, generator, data, tmp_path):
    folder, images, classes = data
    network, output = tmp_path / "generator_000001.safetensors", tmp_path / "results"
    weights.save_generator(generator, network)
    text = quality(
        "--network", network, "--data", folder, "--metrics", "fid50k_full,is50k",
        "--samples", COUNT, "--dialect", "clean", "--seed", 7, "--output", output,
    )  # fmt: skip
    assert [line.split()[0] for line in text.splitlines()] == ["fid0.02k_full", "is0.02k_mean"]
    assert text.splitlines()[0].endswith("(20 pictures, clean resizing, seed 7)")

    z = np.random.default_rng((7, 0)).standard_normal((COUNT, 8), np.float32)
    rows = np.random.default_rng((7, 1)).integers(25, size=COUNT)
    drawn = jax.jit(lambda z, c: generator(z, c))(z, np.eye(2, dtype=np.float32)[classes[rows]])
    gaussians = []
    for pictures in (images, alias_free.to_uint8(drawn)):
        features = fakes.features_of(pictures)
        gaussians += [features.mean(0), np.cov(features.T, bias=True)]
    expected = metrics.frechet_distance(*gaussians).value
    (line,) = (output / "metric-fid50k_full.jsonl").read_text().splitlines()
    found = json.loads(line)
    # A pixel may be rounded to the other side.
    assert found["results"]["fid0.02k_full"] == pytest.approx(expected, rel=1e-4)
    assert found["network"] == network.name and found["data"] == str(folder)
    assert (found["samples"], found["dialect"], found["seed"]) == (COUNT, "clean", 7)
    (line,) = (output / "metric-is50k.jsonl").read_text().splitlines()
    assert set(json.loads(line)["results"]) == {"is0.02k_mean", "is0.02k_std"}


def test_without_data_classes_are_uniformly_random(detectors, generator, tmp_path, monkeypatch):
    network = tmp_path / "generator.safetensors"
    weights.save_generator(generator, network)
    told = []

    def measure(names, sampler, *others):
        told.append(sampler.label_vectors(sampler._rows(0, 1, 1000)))
        return {"is50k_mean": 1.0, "is50k_std": 0.0, "eqt_int": 60.0}

    monkeypatch.setattr(measuring, "measure", measure)
    text = quality("--network", network, "--metrics", "is50k,eqt_int", "--seed", 4)
    assert text.splitlines()[1] == "eqt_int 60 (50000 pictures, seed 4)"
    assert told[0].shape == (1000, 2) and abs(told[0].mean(0) - 0.5).max() < 0.05


def test_output_without_a_folder_is_beside_the_network(tmp_path, monkeypatch):
    found = {"is50k": {"is50k_mean": 2.0, "is50k_std": 0.5}}
    monkeypatch.setattr(network_quality, "measure_network", lambda *args, **options: found)
    network = tmp_path / "networks" / "generator_000001.safetensors"
    text = quality("--network", network, "--metrics", "is50k", "--output")
    assert text == ("is50k_mean 2, is50k_std 0.5 (50000 pictures, tensorflow resizing, seed 0)")
    (line,) = (network.parent / "metric-is50k.jsonl").read_text().splitlines()
    assert json.loads(line)["network"] == "generator_000001.safetensors"
    assert quality("--network", network, "--metrics", "is50k") == text
    assert len((network.parent / "metric-is50k.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--metrics", "fid50k_full,is50k"), "fid50k_full compare with real images"),
        (("--metrics", "fid"), "no metric 'fid'; did you mean"),
        (("--metrics", "is50k", "--samples", "3"), "at least 10, got 3"),
        (("--metrics", "is50k", "--dialect", "torch"), "dialect must be one of"),
    ],
)
def test_mistakes_are_found_before_anything_is_loaded(options, message):
    with pytest.raises(ValueError, match=message):
        quality("--network", PICKLE, *options)


def test_missing_weights_are_one_message(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AA_JAX_WEIGHTS", str(tmp_path))
    assert command.main(["quality", "--network", str(PICKLE), "--metrics", "ppl2_wend"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: the metrics need feature networks:\n")
    assert "vgg16-397923af.pth" in error and "lpips-v0.1-vgg.pth" in error


def test_data_of_another_size_is_an_error(detectors, tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"images of shape \(8, 8, 3\), but the network draws"):
        quality("--network", PICKLE, "--data", tmp_path, "--samples", 10)
