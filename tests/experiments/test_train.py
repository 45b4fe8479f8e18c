"""experiments.classification.train and main: runs of a few steps, on real data."""

import json

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax import weights
from aa_jax.training import config as configs, distributed, state as states
from aa_jax.training.checkpoint import CheckpointError
from aa_jax.training.logging import DivergenceError, read_metrics
from experiments.classification import images, main, network, train
from experiments.classification.configs import quickstart


def tiny(arg="smoke,variant=none", **overrides):
    """A run of seconds: 16 pixels, two blocks of 4 channels."""
    config = quickstart.get_config(arg)
    settings = {
        "model.width": "4",
        "model.stage_sizes": "1,1",
        "data.image_size": "16",
        "data.train_options.size": "16",
        "data.test_options.size": "16",
        "tensorboard": "False",
        "every.save": "4",
    }
    configs.override(config, settings | overrides)
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("finished")
    config = tiny(ema_decay="0.5")
    return config, workdir, train.run(config, workdir)


def test_a_run_describes_itself(finished):
    config, workdir, results = finished
    rows = read_metrics(workdir / "metrics.jsonl")
    assert [row["step"] for row in rows] == [2, 4, 4]
    assert {name: rows[-1][name] for name in results} == results
    written = configs.from_json((workdir / "config.json").read_text())
    classes = images.open_sources(config)[0].num_classes
    assert configs.differences(config, written) == [f"num_classes: 'absent' -> {classes}"]


def test_the_network_comes_back_with_its_averaged_weights(finished):
    config, workdir, results = finished
    trained = network.load_run(workdir)
    assert trained.step == 4
    _, test_source = images.open_sources(config)
    batch = next(iter(images.test_batches(config, test_source, distributed.data_mesh())))
    logits = np.asarray(trained.predict(batch["image"]))
    accuracy = (logits.argmax(-1) == batch["label"]).mean()  # all 64 test images are one batch
    assert accuracy == pytest.approx(results["eval_top1"])
    direct = trained.model(trained.normalize(batch["image"]), train=False)
    np.testing.assert_allclose(direct, logits, atol=1e-4)
    assert network.load_run(workdir, which="best").step == 4
    with pytest.raises(ValueError, match="which must be 'latest' or 'best', got 'last'"):
        network.load_run(workdir, which="last")
    with pytest.raises(CheckpointError, match="there is no checkpoint directory"):
        network.load_run(workdir / "elsewhere")


def test_seeds_share_the_compiled_step(finished, tmp_path):
    config, _, first = finished
    before = train._compile.cache_info()
    other = configs.from_json(configs.to_json(config))
    other.seed, other.name = 1, "another"
    results = train.run(other, tmp_path)
    after = train._compile.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)
    assert results["eval_loss"] != first["eval_loss"]


def test_a_finished_run_is_not_trained_again(finished):
    config, workdir, results = finished
    before = (workdir / "metrics.jsonl").read_bytes()
    assert train.run(config, workdir) == results
    assert (workdir / "metrics.jsonl").read_bytes() == before


def test_a_changed_setting_is_reported(finished, capsys):
    config, workdir, _ = finished
    changed = configs.from_json(configs.to_json(config))
    changed.every.log = 1
    train.run(changed, workdir)
    assert "has changed since this run began: every.log: 2 -> 1" in capsys.readouterr().out
    assert json.loads((workdir / "config.json").read_text())["every"]["log"] == 1


def test_float16_and_accumulation_train(tmp_path):
    config = tiny(dtype="float16", accumulation_steps="2", accumulation="sum")
    train.run(config, tmp_path)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert all(np.isfinite(row["loss"]) for row in rows if "loss" in row)
    assert rows[0]["loss_scale"] >= 2.0**13


def test_starting_from_given_weights(finished, tmp_path):
    config, _, _ = finished
    mesh = distributed.data_mesh()
    config = configs.from_json(configs.to_json(config))
    config.num_classes = 16
    model = network.create_model(config, 16, rngs=nnx.Rngs(99))
    path = tmp_path / "weights.safetensors"
    weights.write_safetensors(path, weights.export(model))
    config.init_from, config.init_source = str(path), "aa_jax"
    program = train._compile(train._compiled_part(config), 4, 1250.0, mesh)
    state = train.initial_state(config, program, mesh)
    _, params, _ = states.split(model)
    jax.tree.map(np.testing.assert_array_equal, state.params, params)


def test_divergence_is_an_error_a_user_can_read(tmp_path):
    config = tiny(
        steps="8", **{"optimizer.learning_rate": "1e30", "optimizer.schedule": "constant"}
    )
    with pytest.raises(DivergenceError, match="The last good checkpoint is"):
        train.run(config, tmp_path)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"batch_size": "12"}, "batch_size must be a positive multiple of the number of devices"),
        ({"data.augmentation": "strong"}, "data.augmentation must be one of none, standard, cent"),
        ({"optimizer.schedule": "linear"}, "optimizer.schedule must be one of"),
        ({"model.antialias": "blurr"}, "antialias must be one of none, blur"),
        ({"data.source": "./missing"}, "missing"),
    ],
)
def test_settings_that_cannot_be_used(overrides, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train.run(tiny(**overrides), tmp_path)


def write_folder(root, classes):
    from PIL import Image

    for split in ("train", "test"):
        for index, name in enumerate(classes):
            (root / split / name).mkdir(parents=True)
            picture = np.full((20, 24, 3), 40 * index, np.uint8)
            Image.fromarray(picture).save(root / split / name / "a.png")


def test_a_folder_with_one_class_is_refused(tmp_path):
    write_folder(tmp_path, ["cat"])
    config = tiny()
    config.data.source = str(tmp_path)
    config.data.train_options = config.data.test_options = {}
    with pytest.raises(ValueError, match="at least two classes"):
        images.open_sources(config)


@pytest.mark.parametrize("augmentation", ["standard", "center"])
def test_augmented_images_have_the_network_s_size(augmentation, tmp_path):
    write_folder(tmp_path, ["cat", "dog"])
    config = tiny(**{"data.augmentation": augmentation, "data.resize": "18", "batch_size": "8"})
    config.data.source = str(tmp_path)
    config.data.train_options = config.data.test_options = {}
    train_source, test_source = images.open_sources(config)
    mesh = distributed.data_mesh()
    batch = next(images.train_batches(config, train_source, mesh))
    assert batch["image"].shape == (8, 16, 16, 3)
    batch = next(images.test_batches(config, test_source, mesh))
    np.testing.assert_allclose(batch["image"].mean((1, 2, 3)), [0, 40 / 255], atol=1e-6)


def test_normalization_of_images():
    config = tiny(**{"data.mean": "0.5,0.25,0", "data.std": "0.5,0.25,2"})
    x = jnp.asarray([[[[1.0, 0.5, 1.0]]]])
    np.testing.assert_allclose(network.normalization(config)(x), [[[[1.0, 1.0, 0.5]]]])


@pytest.mark.slow
def test_a_comparison_trains_every_variant_and_writes_a_report(tmp_path):
    config = tiny("smoke")
    config.comparison.variants, config.comparison.seeds = ("none", "blur"), (0, 1)
    report = main.run(config, tmp_path)
    assert report.is_file() and report.is_relative_to(tmp_path / "report")
    for variant in ("none", "blur"):
        for seed in (0, 1):
            trained = network.load_run(tmp_path / variant / f"seed_{seed}")
            assert (trained.config.model.antialias, trained.config.seed) == (variant, seed)
    text = report.read_text()
    assert "plain" in text and "blur" in text
