"""experiments.alias_free_gan.networks: drawn as configured, or read from a published snapshot."""

import pathlib

import jax
import numpy as np
import pytest
from flax import nnx

from aa_jax import weights
from aa_jax.training import distributed, state as states
from experiments.alias_free_gan import networks, program
from experiments.alias_free_gan.configs import quickstart

SNAPSHOT = pathlib.Path(__file__).parents[2] / "golden/alias_free/tiny_snapshot_t_nosrc.pkl"


def config_of_the_snapshot():
    config = quickstart.get_config("variant=alias_free")
    config.generator.channel_base = config.discriminator.channel_base = 512
    config.generator.channel_max = config.discriminator.channel_max = 16
    config.generator.z_dim = config.generator.w_dim = 32
    config.init_from = str(SNAPSHOT)
    return config


def test_going_on_from_a_snapshot_takes_all_three_networks():
    config = config_of_the_snapshot()
    mesh = distributed.data_mesh(jax.devices()[:1])
    built = program.build(config, 0, mesh)
    state = program.initial_state(config, built, 0)
    for name, found in (("G", state.generator), ("G_ema", state.ema)):
        _, expected, stats = states.split(weights.load_generator(SNAPSHOT, network=name))
        jax.tree.map(np.testing.assert_array_equal, found, expected)
        if name == "G":
            jax.tree.map(np.testing.assert_array_equal, state.generator_stats, stats)
    _, expected, _ = states.split(weights.load_discriminator(SNAPSHOT))
    jax.tree.map(np.testing.assert_array_equal, state.discriminator, expected)
    assert built.phases.rules.ema_ramp_up is None


def test_a_snapshot_of_another_size_is_refused_before_training():
    config = config_of_the_snapshot()
    config.generator.channel_max = 24
    with pytest.raises(
        ValueError, match="generator of init_from .* differs .* channel_max"
    ) as error:
        networks.read(config, 0)
    assert "file (3, 3, 16, 16), config (3, 3, 24, 24)" in str(error.value)


def test_drawn_networks_follow_the_config():
    config = quickstart.get_config("variant=aliased")
    config.discriminator.antialias = "alias_free"
    config.discriminator.freeze_layers = 2
    generator = nnx.eval_shape(lambda: networks.create_generator(config, c_dim=0, rngs=nnx.Rngs(0)))
    plan = generator.plan
    assert plan.margin_size == 0 and plan.layers[0].in_size == (16, 16)
    ups = {layer.up_filter for layer in plan.layers if layer.up_filter}
    assert ups and all(design.linear and design.numtaps == 4 for design in ups)
    for design in ups:
        np.testing.assert_allclose(design.taps(), np.array([1, 3, 3, 1]) / 8)
    assert all(layer.down_filter is None for layer in plan.layers)
    # The running magnitudes keep half in 20 000 images.
    beta = generator.synthesis.layers[0].magnitude_ema_beta
    assert beta == pytest.approx(0.5 ** (config.batch_size / 20_000))
    discriminator = nnx.eval_shape(
        lambda: networks.create_discriminator(config, c_dim=0, rngs=nnx.Rngs(0))
    )
    assert discriminator.antialias == "alias_free"
    frozen = networks.frozen(config, 0)
    assert frozen["blocks"][0]["fromrgb"] == {"bias": True, "kernel": True}
    assert sum(jax.tree.leaves(frozen)) == 4


def test_unknown_generator():
    config = quickstart.get_config("variant=alias_free")
    config.generator.name = "tt"
    with pytest.raises(ValueError, match="generator.name must be one of t, r, stylegan2, got 'tt'"):
        networks.structures(config, 0)
