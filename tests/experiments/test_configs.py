"""experiments.classification.configs: every published setting under its name."""

import json
import pathlib

import jax
import pytest
from flax import nnx

from aa_jax.training import config as configs, state as states
from experiments.classification import main, network
from experiments.classification.configs import imagenet, quickstart
from experiments.classification.measurements import EvaluationOptions

# recipe: model, antialias, epochs, learning rate, schedule, weight decay, warm-up, parts
PUBLISHED = {
    "baseline": ("resnet50", "none", 90, 0.1, "step", 1e-4, 0, 1),
    "blur": ("resnet50", "blur", 90, 0.1, "step", 1e-4, 0, 1),
    "alexnet": ("alexnet", "blur", 90, 0.01, "step", 1e-4, 0, 1),
    "vgg16": ("vgg16", "blur", 90, 0.01, "step", 1e-4, 0, 1),
    "vgg16_bn": ("vgg16_bn", "blur", 90, 0.05, "step", 1e-4, 0, 1),
    "mobilenet_v2": ("mobilenet_v2", "blur", 150, 0.05, "cosine", 4e-5, 0, 1),
    "finetune": ("resnet50", "blur", 60, 0.01, "step", 1e-4, 0, 1),
    "adaptive": ("resnet50", "adaptive", 90, 0.1, "step", 1e-4, 5, 2),
    "adaptive_code": ("resnet50", "adaptive", 90, 0.1, "step", 1e-4, 15, 2),
    "aps": ("resnet18", "aps", 90, 0.1, "step", 1e-4, 0, 1),
    "lps": ("resnet18", "lps", 90, 0.1, "step", 1e-4, 0, 1),
}


@pytest.mark.parametrize("recipe", imagenet.RECIPES)
def test_published_recipe(recipe):
    config = imagenet.get_config(f"recipe={recipe}")
    optimizer = config.optimizer
    assert PUBLISHED[recipe] == (
        config.model.name, config.model.antialias, config.epochs, optimizer.learning_rate,
        optimizer.schedule, optimizer.weight_decay, optimizer.warmup_epochs,
        config.accumulation_steps,
    )  # fmt: skip
    assert (optimizer.momentum, optimizer.step_epochs, optimizer.step_factor) == (0.9, 30, 0.1)
    assert config.batch_size == 256 and config.data.image_size == 224
    assert config.accumulation == ("sum" if config.accumulation_steps == 2 else "mean")
    assert config.data.augmentation == ("center" if recipe == "aps" else "standard")
    assert optimizer.decay_phase_scores == (recipe != "lps")


@pytest.mark.parametrize("recipe", imagenet.RECIPES)
def test_recipe_builds_its_network(recipe):
    config = imagenet.get_config(f"recipe={recipe},dtype=bfloat16")
    model = nnx.eval_shape(lambda: network.create_model(config, 1000, rngs=nnx.Rngs(0)))
    _, params, _ = states.split(model)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(params)} == {"float32"}
    if config.model.name == "resnet50" and config.model.antialias != "adaptive":
        assert states.count_parameters(params) == 25_557_032
    if config.model.antialias == "adaptive":
        assert states.count_parameters(params) == 27_341_336
    EvaluationOptions.from_config(config.eval)


def test_choices_on_top_of_a_recipe():
    config = imagenet.get_config("recipe=blur,model=resnet18,filter_size=5,dtype=float16")
    assert (config.model.name, config.antialias.filter_size, config.dtype) == (
        "resnet18",
        5,
        "float16",
    )
    with pytest.raises(configs.ConfigError, match="no recipe 'adaptve'; did you mean 'adaptive'"):
        imagenet.get_config("recipe=adaptve")


def test_quickstart_compares_and_single_networks_do_not():
    config = quickstart.get_config()
    assert config.comparison.variants == ("none", "blur", "adaptive", "aps")
    assert len(config.comparison.seeds) == 3
    single = quickstart.get_config("variant=aps,seed=2")
    assert single.comparison.variants == () and single.seed == 2
    assert single.model.antialias == "aps"
    EvaluationOptions.from_config(config.eval)
    assert quickstart.get_config("smoke").steps < 10


def test_a_variant_of_the_comparison_is_the_single_network():
    """What the comparison trains can be trained alone: the two configs differ in the name only."""
    comparison, single = quickstart.get_config(), quickstart.get_config("variant=blur,seed=1")
    variant = main.variant_config(comparison, "blur", 1)
    assert configs.differences(single, variant) == ["name: 'quickstart' -> 'blur/seed_1'"]
    assert main.run_folder(pathlib.Path("w"), "blur", 1) == pathlib.Path("w/blur/seed_1")
    assert comparison.model.antialias == "none"  # left as it was


@pytest.mark.parametrize("config", [quickstart.get_config(), imagenet.get_config("recipe=lps")])
def test_configs_are_plain_data(config):
    text = configs.to_json(config)
    assert configs.from_json(text).to_dict() == config.to_dict()
    assert json.loads(text)["model"]["name"] == config.model.name
