"""`scripts/evaluate.py motion`: a model on films, landmarks in files, and what is refused."""

import json

import jax
import numpy as np
import pytest
from flax import nnx

from aa_jax.models.vgg19 import VGG19Features
from experiments.motion import evaluate, networks, reconstruction
from experiments.motion.animation import Animator
from scripts import evaluate as command
from tests.data.films import write_film
from tests.experiments.motion.tiny_motion import frames, tiny_motion


@pytest.fixture(scope="module")
def trained():
    return tiny_motion()


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    networks.save(trained, folder / "model.safetensors")
    (folder / "films").mkdir()
    for number, count in enumerate((2, 3)):
        write_film(folder / "films" / f"{number}.mkv", frames(count, seed=number))
    return folder


@pytest.fixture
def landmarks(folder, rng):
    """Two files; what is found in both is off by (3, 4) pixels, and a quarter is missing."""
    real = rng.uniform(0, 64, (2, 4, 2))
    found = np.ones((2, 4), bool)
    found[:, 0] = False
    np.savez(folder / "real.npz", landmarks=real)
    generated = np.where(found[..., None], real + [3, 4], np.nan)
    np.savez(folder / "generated.npz", landmarks=generated, found=found)
    return [f"--{name}-landmarks={folder / name}.npz" for name in ("real", "generated")]


def test_films_of_a_folder(folder, trained, capsys):
    output = folder / "numbers.json"
    options = ["--films", str(folder / "films"), "--batch-size=4", "--output", str(output)]
    assert command.main(["motion", str(folder / "model.safetensors"), *options]) == 0
    numbers = json.loads(output.read_text())
    assert numbers.pop("evaluated") == f"model.safetensors: 2 films of {folder / 'films'}"
    films = [
        {"frames": f, "landmarks": np.zeros((len(f), 0, 2)), "visible": np.zeros((len(f), 0), bool)}
        for f in (frames(2, seed=0), frames(3, seed=1))
    ]
    wanted = reconstruction.evaluate(Animator(trained, batch_size=4), films).means()
    assert numbers == pytest.approx(wanted, rel=1e-4) and set(numbers) == {"l1", "l1_still", "akd"}
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"reconstruction L1: {wanted['l1']:.5f}" and len(lines) == 4


def test_films_of_a_runs_config(trained, monkeypatch):
    monkeypatch.setattr(networks, "load", lambda path: trained)
    text, numbers = evaluate.evaluate_model("run", batch_size=4)
    assert text == "tiny: 1 films of moving_photographs"
    assert set(numbers) == {"l1", "l1_still", "akd", "flow_error"}


def test_features_are_means_of_the_last_map(trained, folder, monkeypatch):
    network = VGG19Features(width_divisor=64, rngs=nnx.Rngs(0))
    images = frames(2, seed=5) / np.float32(255)
    features = evaluate.relu5_features(network)(images)
    last = jax.jit(lambda x: network(x)[4])(images)
    np.testing.assert_allclose(features, np.asarray(last, np.float64).mean((1, 2)), rtol=1e-4)
    monkeypatch.setattr(evaluate, "load_vgg19", lambda path: network)
    model = str(folder / "model.safetensors")
    films = str(folder / "films")
    _, numbers = evaluate.evaluate_model(model, films=films, features="weights", batch_size=4)
    assert numbers["aed"] > 0


def test_landmarks_of_files(folder, landmarks, capsys):
    output = folder / "landmarks.json"
    assert command.main(["motion", *landmarks, "--output", str(output)]) == 0
    expected = {"landmarks_akd": 3.5, "landmarks_distance": 5, "landmarks_missing": 0.25}
    numbers = json.loads(output.read_text())
    assert numbers.pop("evaluated") is None and numbers == pytest.approx(expected)
    assert "files (pixels): 3.50000" in capsys.readouterr().out


def test_nothing_found_is_null(folder, tmp_path):
    np.savez(folder / "none.npz", landmarks=np.zeros((2, 4, 2)), found=np.zeros((2, 4), bool))
    none = str(folder / "none.npz")
    evaluate.run(None, landmarks=(none, none), output=str(tmp_path / "n.json"))
    numbers = json.loads((tmp_path / "n.json").read_text())
    assert set(numbers.values()) == {None}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "motion needs a RUN, or --real-landmarks and --generated-landmarks alone"),
        (["--films=films"], "motion needs a RUN"),
        (["--real-landmarks=real.npz"], "must be given together"),
        (["model.safetensors"], "films must be named: model.safetensors is no run"),
        (["model.safetensors", "--films=none"], "none is no folder"),
        (["model.safetensors", "--batch-size=0"], "batch-size must be at least 1"),
        (["model.safetensors", "--films=films", "--features=none"], "none"),
        (["films"], "there is no checkpoint directory"),
        (["none"], "model must be a run's folder or a checkpoint file, got 'none'"),
        (["none", "--output=a.txt"], "output must end in .json, got 'a.txt'"),
        (["--real-landmarks=real.npz", "--generated-landmarks=x.npz"], "x.npz"),
        (
            ["--real-landmarks=real.npz", "--generated-landmarks=short.npz"],
            r"got (2, 4, 2) of real.npz and (1, 4, 2) of short.npz",
        ),
    ],
)
def test_mistakes_are_explained(folder, landmarks, monkeypatch, capsys, options, message):
    monkeypatch.chdir(folder)
    np.savez("short.npz", landmarks=np.zeros((1, 4, 2)))
    assert command.main(["motion", *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error
