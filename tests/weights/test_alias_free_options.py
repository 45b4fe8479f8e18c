"""Configurations of files: every official keyword understood, everything else named."""

import json
import math

import numpy as np
import pytest
from flax import nnx

from aa_jax.models.alias_free import Generator, config_r, config_t
from aa_jax.weights import WeightsError
from aa_jax.weights.alias_free_options import (
    discriminator_options_of,
    generator_from_json,
    generator_plan_of,
    generator_to_json,
)

G = {"z_dim": 512, "c_dim": 0, "w_dim": 512, "img_resolution": 256, "img_channels": 3}
D = {"c_dim": 0, "img_resolution": 256, "img_channels": 3}
R = {"channel_base": 65536, "channel_max": 1024, "conv_kernel": 1, "use_radial_filters": True}


def test_what_is_absent_has_the_published_default():
    assert generator_plan_of(G) == (config_t(256), {"z_dim": 512, "c_dim": 0, "w_dim": 512})
    assert generator_plan_of(G | R)[0] == config_r(256)


# Parameter counts of the published generators (z and w of 512, two mapping layers).
@pytest.mark.parametrize(
    "options, count",
    [
        ({"img_resolution": 1024}, 22_313_167),
        ({"img_resolution": 1024, **R}, 15_093_151),
        ({"channel_base": 16384}, 23_320_443),
        ({**R, "channel_base": 32768}, 15_779_565),
    ],
)
def test_published_configurations_have_the_published_size(options, count):
    mapping = {"mapping_kwargs": {"num_layers": 2}, "magnitude_ema_beta": 0.5 ** (32 / 20000)}
    plan, rest = generator_plan_of(G | mapping | options)
    model = nnx.eval_shape(lambda: Generator(plan, **rest, rngs=nnx.Rngs(0)))
    leaves = nnx.to_flat_state(nnx.state(model, nnx.Param))
    assert sum(math.prod(leaf.shape) for _, leaf in leaves) == count


def test_every_official_keyword_of_a_generator():
    planned = {
        **{"channel_base": 4096, "channel_max": 100, "num_layers": 10, "num_critical": 1},
        **{"first_cutoff": 1.5, "first_stopband": 4, "last_stopband_rel": 1.5, "margin_size": 8},
        **{"num_fp16_res": 2, "conv_kernel": 5, "filter_size": 4, "lrelu_upsampling": 4},
        **{"use_radial_filters": True, "img_channels": 4},
    }
    given = {
        **G,
        **planned,
        **{"output_scale": 0.5, "conv_clamp": None, "magnitude_ema_beta": 0.99},
        "mapping_kwargs": {"num_layers": 3, "lr_multiplier": 0.1, "w_avg_beta": None},
    }
    plan, options = generator_plan_of(given)
    ours = {"resolution": (256, 256), "use_linear_upsampling": False}
    assert dict(plan.options) == planned | ours
    assert options == {
        **{"z_dim": 512, "c_dim": 0, "w_dim": 512, "output_scale": 0.5, "conv_clamp": None},
        **{"magnitude_ema_beta": 0.99, "mapping_layers": 3, "w_avg_beta": None},
        "mapping_learning_rate_multiplier": 0.1,
    }


def test_every_official_keyword_of_a_discriminator():
    given = {
        **{"c_dim": 3, "img_resolution": 64, "img_channels": 1, "architecture": "resnet"},
        **{"channel_base": 1024, "channel_max": 32, "num_fp16_res": 2, "conv_clamp": 10.0},
        "cmap_dim": 7,
        "block_kwargs": {"freeze_layers": 4},
        "mapping_kwargs": {"num_layers": 4, "lr_multiplier": 0.01},
        "epilogue_kwargs": {"mbstd_group_size": None, "mbstd_num_channels": 2},
    }
    assert discriminator_options_of(given) == {
        **{"c_dim": 3, "resolution": 64, "img_channels": 1, "channel_base": 1024},
        **{"channel_max": 32, "num_fp16_res": 2, "conv_clamp": 10.0, "cmap_dim": 7},
        **{"mapping_layers": 4, "mbstd_group_size": None, "mbstd_num_channels": 2},
    }
    # Without labels there is nothing to project.
    assert "cmap_dim" not in discriminator_options_of(given | {"c_dim": 0})


def test_everything_wrong_with_a_configuration_is_named_at_once():
    given = {
        **G,
        **{"noise_mode": "const", "channel_max": 2.5, "num_layers": 10**9, "conv_clamp": "256"},
        **{"use_radial_filters": 1, "first_cutoff": float("nan"), "magnitude_ema_beta": True},
        "mapping_kwargs": {"num_layers": None, "activation": "relu"},
    }
    del given["w_dim"]
    with pytest.raises(WeightsError) as caught:
        generator_plan_of(given)
    for problem in (
        "w_dim is missing",
        "noise_mode is unknown",
        "mapping_kwargs.activation is unknown",
        "channel_max must be int from 1 to 65536, got 2.5",
        "num_layers must be int from 2 to 64, got 1000000000",
        "conv_clamp must be float from 0 to 1e+30 or None, got '256'",
        "use_radial_filters must be bool",
        "first_cutoff must be float from 0 to 65536, got nan",
        "magnitude_ema_beta must be float from 0 to 1, got True",
        "mapping_layers must be int from 1 to 64, got None",
    ):
        assert problem in str(caught.value)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"img_resolution": 48}, "makes no generator: resolution must be a power of two"),
        ({"num_critical": 20}, "makes no generator: num_critical must be less"),
        ({"mapping_kwargs": [2]}, "mapping_kwargs must be a dictionary, got list"),
    ],
)
def test_configurations_that_make_no_generator(change, message):
    with pytest.raises(WeightsError, match=message):
        generator_plan_of(G | change)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"architecture": "skip"}, "architecture must be 'resnet', got 'skip'"),
        ({"architecture": ["skip"]}, "architecture must be 'resnet', got list"),
        ({"mapping_kwargs": {"lr_multiplier": 1}}, "must be float from 0.01 to 0.01, got 1"),
        ({"block_kwargs": {"resample_filter": [1]}}, "block_kwargs.resample_filter is unknown"),
        ({"epilogue_kwargs": {"activation": "relu"}}, "epilogue_kwargs.activation is unknown"),
        ({"img_channels": 0}, "img_channels must be int from 1"),
    ],
)
def test_configurations_that_make_no_discriminator(change, message):
    with pytest.raises(WeightsError, match=message):
        discriminator_options_of(D | change)


@pytest.mark.parametrize("resolution", [64, (64, 96)])
def test_json_there_and_back(resolution):
    plan = config_r(resolution, img_channels=1, num_critical=3)
    options = {"z_dim": 8, "c_dim": 2, "w_dim": 9, "conv_clamp": None, "half_dtype": "bfloat16"}
    assert generator_from_json(generator_to_json(plan, options)) == (plan, options)


def _changed(**changes) -> str:
    found = json.loads(generator_to_json(config_t(32), {"z_dim": 8, "c_dim": 0, "w_dim": 9}))
    for path, value in changes.items():
        group, _, name = path.partition("__")
        found[group] = value if not name else found[group] | {name: value}
    return json.dumps(found)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "can't be read: Expecting value"),
        ("[" * 10_000, "can't be read"),
        ("1" * 9_000, "can't be read"),
        (" " * 20_000 + "{}", "20002 characters, expected at most 16384"),
        ("[]", "expected a dictionary of 'plan' and 'generator'"),
        (_changed(plan=[]), "must be dictionaries"),
        (_changed(code="import os"), "expected a dictionary of 'plan' and 'generator'"),
        (_changed(plan__resolution=None), "resolution must be a list of height and width"),
        (_changed(plan__resolution=[32, 2**40]), "width must be int from 8 to 16384"),
        (_changed(plan__resolution=[32, 33]), "makes no generator"),
        (_changed(plan__num_layers=2**40), "num_layers must be int"),
        (_changed(plan__filter_size=10**9), "filter_size must be int from 1 to 64"),
        (_changed(plan__img_resolution=32), "img_resolution is unknown"),
        (_changed(plan__first_cutoff=1e999), "first_cutoff must be float"),
        (_changed(generator__w_dim=10**4000), "w_dim must be int"),
        (_changed(generator__z_dim=[[[]]]), "z_dim must be int from 1 to 65536, got list"),
        (_changed(generator__rngs=0), "rngs is unknown"),
        (_changed(generator={}), "z_dim is missing; c_dim is missing; w_dim is missing"),
        (_changed(generator__half_dtype="float8"), "half_dtype must be float16, bfloat16 or None"),
    ],
)
def test_json_of_strangers(text, message):
    with pytest.raises(WeightsError, match=message):
        generator_from_json(text)


def test_numpy_values_are_no_json():
    with pytest.raises(TypeError):
        generator_to_json(config_t(32), {"z_dim": np.int64(8)})
