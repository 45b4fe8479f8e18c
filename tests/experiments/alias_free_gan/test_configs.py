"""experiments.alias_free_gan.configs: every published setting under its name."""

import json

import jax
import pytest

from aa_jax.training import config as configs
from experiments.alias_free_gan import networks, program
from experiments.alias_free_gan.configs import published, quickstart

# setting: resolution, batch, gamma, augmentation, generator, its rate, the discriminator's rate,
# channel base of both, thousands of images
PUBLISHED = {
    "ffhqu-sg2": (1024, 32, 10, "none", "stylegan2", 0.002, 0.002, (32768, 32768), 25_000),
    "ffhqu-t": (1024, 32, 32.8, "none", "t", 0.0025, 0.002, (32768, 32768), 25_000),
    "ffhqu-r": (1024, 32, 32.8, "none", "r", 0.0025, 0.002, (65536, 32768), 25_000),
    "ffhq-r": (1024, 32, 32.8, "none", "r", 0.0025, 0.002, (65536, 32768), 25_000),
    "metfacesu-sg2": (1024, 32, 10, "adaptive", "stylegan2", 0.002, 0.002, (32768, 32768), 5000),
    "metfacesu-t": (1024, 32, 16.4, "adaptive", "t", 0.0025, 0.002, (32768, 32768), 5000),
    "metfacesu-r": (1024, 32, 6.6, "adaptive", "r", 0.0025, 0.002, (65536, 32768), 5000),
    "metfaces-sg2": (1024, 32, 5, "adaptive", "stylegan2", 0.002, 0.002, (32768, 32768), 5000),
    "metfaces-t": (1024, 32, 6.6, "adaptive", "t", 0.0025, 0.002, (32768, 32768), 5000),
    "metfaces-r": (1024, 32, 3.3, "adaptive", "r", 0.0025, 0.002, (65536, 32768), 5000),
    "afhqv2-sg2": (512, 32, 5, "adaptive", "stylegan2", 0.002, 0.002, (32768, 32768), 25_000),
    "afhqv2-t": (512, 32, 8.2, "adaptive", "t", 0.0025, 0.002, (32768, 32768), 25_000),
    "afhqv2-r": (512, 32, 16.4, "adaptive", "r", 0.0025, 0.002, (65536, 32768), 25_000),
    "ffhqu256-sg2": (256, 64, 1, "none", "stylegan2", 0.0025, 0.0025, (16384, 16384), 25_000),
    "ffhqu256-t": (256, 64, 1, "none", "t", 0.0025, 0.0025, (16384, 16384), 25_000),
    "ffhqu256-r": (256, 64, 1, "none", "r", 0.0025, 0.0025, (32768, 16384), 25_000),
    "recommended-128-t": (128, 32, 0.5, "adaptive", "t", 0.0025, 0.002, (32768, 32768), 25_000),
    "recommended-256-r": (256, 32, 2, "adaptive", "r", 0.0025, 0.002, (65536, 32768), 25_000),
    "recommended-512-t": (512, 32, 8, "adaptive", "t", 0.0025, 0.002, (32768, 32768), 25_000),
    "recommended-1024-r": (1024, 32, 32, "adaptive", "r", 0.0025, 0.002, (65536, 32768), 25_000),
}


@pytest.mark.parametrize("setting", PUBLISHED)
def test_published_setting(setting):
    config = published.get_config(f"setting={setting}")
    resolution, batch, gamma, kind, name, rate, judge_rate, bases, kimg = PUBLISHED[setting]
    assert (config.data.resolution, config.batch_size) == (resolution, batch)
    assert (config.loss.r1_gamma, config.augment.kind) == (gamma, kind)
    assert config.generator.name == name
    assert config.optimizer.generator_learning_rate == rate
    assert config.optimizer.discriminator_learning_rate == judge_rate
    found = config.generator.channel_base, config.discriminator.channel_base
    assert (found, config.total_kimg) == (bases, kimg)
    assert config.data.mirror == (not setting.startswith("recommended"))
    # Blurred at first in R only; mixing and path lengths in StyleGAN2 only.
    assert bool(config.loss.blur_initial) == (name == "r")
    assert config.loss.blur_kimg == batch * 200 / 32
    assert config.ema.half_life_kimg == batch * 10 / 32
    assert config.generator.mapping_layers == (8 if name == "stylegan2" else 2)
    mixing, path_length = config.loss.style_mixing, config.loss.path_length_weight
    assert (mixing, path_length) == ((0.9, 2.0) if name == "stylegan2" else (0.0, 0.0))
    assert config.discriminator.mbstd_group_size == (8 if setting == "ffhqu256-sg2" else 4)
    assert config.every.snapshot_kimg == (40 if setting.startswith("metfaces") else 200)


# resolution, devices: images on a device at a time of T and R, ticks between snapshots
MEMORY = {
    (128, 1): (16, 16, 10), (128, 2): (16, 16, 20), (128, 4): (8, 8, 50), (128, 8): (4, 4, 50),
    (256, 1): (16, 8, 10), (256, 2): (16, 8, 20), (256, 4): (8, 8, 50),
    (512, 1): (8, 4, 10), (512, 2): (8, 4, 20), (512, 4): (8, 4, 50), (512, 8): (4, 4, 50),
    (1024, 1): (4, 4, 5), (1024, 2): (4, 4, 10), (1024, 4): (4, 4, 20), (1024, 8): (4, 4, 50),
}  # fmt: skip


@pytest.mark.parametrize(("resolution", "gpus"), MEMORY)
def test_recommended_memory(resolution, gpus):
    *shares, ticks = MEMORY[resolution, gpus]
    for kind, share in zip("tr", shares, strict=True):
        config = published.get_config(f"setting=recommended-{resolution}-{kind},gpus={gpus}")
        assert config.batch_size == 32
        assert config.batch_size // gpus // config.accumulation_steps == share
        assert config.every.snapshot_kimg == 4 * ticks


def test_older_presets():
    auto = published.get_config("setting=stylegan2-auto,resolution=1024")
    assert auto.loss.r1_gamma == pytest.approx(0.0002 * 1024**2 / 32)
    assert auto.optimizer.generator_learning_rate == 0.002
    paper = published.get_config("setting=stylegan2-paper256")
    assert (paper.batch_size, paper.loss.r1_gamma) == (64, 1.0)
    assert paper.discriminator.mbstd_group_size == 8


def test_unknown_names():
    with pytest.raises(configs.ConfigError, match="'afhq-t': did you mean"):
        published.get_config("setting=afhq-t")
    with pytest.raises(configs.ConfigError, match="gpus must be 1, 2, 4 or 8, got 3"):
        published.get_config("setting=recommended-128-t,gpus=3")


@pytest.mark.parametrize("setting", ["ffhqu256-sg2", "recommended-128-t", "recommended-128-r"])
def test_a_setting_makes_its_networks(setting):
    config = published.get_config(f"setting={setting}")
    config.data.source = "anything"
    rules = program.rules(config)
    assert rules.r1_interval == 16 and rules.ema_ramp_up == 0.05
    players = networks.structures(config, 0)
    assert players.noisy == (config.generator.name == "stylegan2")
    shapes = jax.eval_shape(lambda key: vars(networks.draw(config, 0, key)), jax.random.key(0))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(shapes["generator"])} == {"float32"}


def test_going_on_from_other_weights_leaves_early_measures_out():
    config = published.get_config("setting=metfaces-r")
    config.init_from = "ffhq.pkl"
    rules = program.rules(config)
    assert rules.blur_initial == 0 and rules.ema_ramp_up is None
    assert rules.augmentation_images == 100_000


def test_quickstart_compares_and_single_networks_do_not():
    config = quickstart.get_config()
    assert config.comparison.variants == ("alias_free", "aliased")
    for variant in config.comparison.variants:
        single = quickstart.get_config(f"variant={variant}")
        of_comparison = quickstart.variant_config(config, variant)
        assert configs.differences(single, of_comparison) == [
            f"name: 'gan_quickstart' -> 'gan_quickstart/{variant}'"
        ]


def test_networks_of_the_quickstart_are_of_equal_size():
    sizes = set()
    for variant in quickstart.VARIANTS:
        config = quickstart.get_config(f"variant={variant}")
        shapes = jax.eval_shape(lambda key: vars(networks.draw(config, 0, key)), jax.random.key(0))  # noqa: B023
        sizes.add(sum(leaf.size for leaf in jax.tree.leaves(shapes["generator"])))
    assert len(sizes) == 1


@pytest.mark.parametrize("field", ["sharding", "augment.kind", "augment.transformations", "dtype"])
def test_choices_are_checked(field):
    config = quickstart.get_config("variant=alias_free")
    configs.override(config, {field: "something"})
    with pytest.raises(ValueError, match=rf"{field} must be one of .*, got 'something'"):
        program._check(config)


def test_parts_of_a_batch_must_hold_whole_groups():
    config = quickstart.get_config("variant=alias_free")
    config.batch_size, config.accumulation_steps = 24, 4
    with pytest.raises(ValueError, match="mbstd_group_size, 4, got 24 / 4"):
        program._check(config)


@pytest.mark.parametrize(
    "config", [quickstart.get_config(), published.get_config("setting=ffhqu256-r")]
)
def test_configs_are_plain_data(config):
    text = configs.to_json(config)
    assert configs.from_json(text).to_dict() == config.to_dict()
    assert json.loads(text)["experiment"] == "alias_free_gan"
