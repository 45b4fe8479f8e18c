"""Alias-free networks out of official pickles and into safetensors: the same numbers, or none."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.alias_free import Generator, config_t
from aa_jax.weights import (
    UnsafePickleError,
    WeightsError,
    load_discriminator,
    load_generator,
    read_network_pickle,
    save_generator,
    write_safetensors,
)
from aa_jax.weights.alias_free import discriminator_of, generator_of
from aa_jax.weights.alias_free_names import variables
from aa_jax.weights.network_pickle import PickledNetwork
from aa_jax.weights.safetensors_file import read_metadata, read_safetensors
from tests.tolerances import relative_error
from tests.weights.attacks import OS, by_reduce

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "alias_free"
CONFIGS = ["t", "r"]


def snapshot(config: str) -> pathlib.Path:
    return GOLDEN / f"tiny_snapshot_{config}_nosrc.pkl"


def channels_last(images):
    return np.moveaxis(images, 1, -1)


@pytest.fixture(scope="module")
def networks():
    return {config: read_network_pickle(snapshot(config)) for config in CONFIGS}


@pytest.fixture(scope="module")
def generator():
    return load_generator(snapshot("t"))


def assert_equal_networks(actual, expected):
    assert (actual.plan, actual.options) == (expected.plan, expected.options)
    ours, theirs = variables(actual), variables(expected)
    assert ours.keys() == theirs.keys()
    for name, leaf in theirs.items():
        assert ours[name].dtype == leaf.dtype
        np.testing.assert_array_equal(ours[name][...], leaf[...], err_msg=name)


# Against the official networks


@pytest.mark.parametrize("config", CONFIGS)
def test_generator_draws_the_official_image(config, golden):
    expected = golden(f"alias_free/tiny_snapshot_{config}_expected.npz")
    model = load_generator(snapshot(config))
    images = jax.jit(lambda z: model(z))(expected["z"])
    assert images.dtype == np.float32
    assert relative_error(images, channels_last(expected["img"])) < 1e-5


@pytest.mark.parametrize("config", CONFIGS)
def test_discriminator_gives_the_official_logits(config, golden):
    expected = golden(f"alias_free/tiny_snapshot_{config}_expected.npz")
    model = load_discriminator(snapshot(config))
    logits = jax.jit(lambda images: model(images))(channels_last(expected["img"]))
    assert relative_error(logits, expected["logits"]) < 1e-5


@pytest.mark.parametrize("config", CONFIGS)
def test_stored_filters_are_our_designs(config, networks):
    report = generator_of(networks[config]["G_ema"])[1]
    # 14 layers have two filters each; ToRGB none. And the identity transform.
    assert len(report.fixed) == 29
    assert report.filter_difference < 1e-7
    assert len(report.entries) + len(report.fixed) == len(networks[config]["G_ema"].tensors)
    assert len(discriminator_of(networks[config]["D"])[1].fixed) == 14


def test_both_generators_of_a_pickle(networks):
    raw, averaged = (load_generator(snapshot("r"), network=name) for name in ("G", "G_ema"))
    name = "synthesis.layers.3.kernel"
    theirs = networks["r"]["G"].tensors["synthesis.L3_36_32.weight"]
    np.testing.assert_array_equal(variables(raw)[name][...], theirs.transpose(2, 3, 1, 0))
    assert raw.options == averaged.options
    assert dict(raw.options)["magnitude_ema_beta"] == 0.5 ** (32 / 20000)
    with pytest.raises(WeightsError, match="no network 'G_mean'; it has G, D, G_ema, augment_pipe"):
        load_generator(snapshot("r"), network="G_mean")


def golden_network(arrays, class_name, init_kwargs, modules) -> PickledNetwork:
    tensors = {k.removeprefix("p:"): v for k, v in arrays.items() if k.startswith("p:")}
    modules = {"": class_name} | modules
    return PickledNetwork(class_name, init_kwargs, [], tensors, frozenset(), modules, {})


def test_conditional_generator(golden):
    arrays = golden("alias_free/gen_T32_cond.npz")
    kwargs = json.loads(str(arrays["cfg"]))
    del kwargs["cfg"]
    modules = {"synthesis.input": "SynthesisInput"}
    modules |= {f"synthesis.{name}": "SynthesisLayer" for name in arrays["layer_names"]}
    model, report = generator_of(golden_network(arrays, "Generator", kwargs, modules))
    assert report.entries["mapping.embed.weight"] == "mapping.embed.kernel"
    w = jax.jit(lambda z, c: model.mapping(z, c))(arrays["z"], arrays["c"])[:, 0]
    expected = arrays["w"] if arrays["w"].ndim == 2 else arrays["w"][:, 0]
    assert relative_error(w, expected) < 1e-5


def test_conditional_discriminator(golden):
    arrays = golden("alias_free/disc_32_cond.npz")
    kwargs = json.loads(str(arrays["cfg"]))
    kwargs["epilogue_kwargs"] = {"mbstd_group_size": kwargs.pop("mbstd_group_size")}
    modules = {"b4": "DiscriminatorEpilogue"}
    model, report = discriminator_of(golden_network(arrays, "Discriminator", kwargs, modules))
    assert report.entries["mapping.fc7.bias"] == "mapping.layers.7.bias"
    logits = jax.jit(lambda x, c: model(x, c))(channels_last(arrays["img"]), arrays["c"])
    assert relative_error(logits, arrays["logits"]) < 1e-5


def test_dtypes():
    model = load_generator(snapshot("t"), half_dtype="bfloat16", param_dtype=jnp.bfloat16)
    assert dict(model.options)["half_dtype"] == "bfloat16"
    leaves = variables(model)
    assert leaves["synthesis.layers.0.kernel"].dtype == jnp.bfloat16
    # Running means and constants need all of float32.
    assert leaves["synthesis.layers.0.magnitude_ema"].dtype == jnp.float32
    with pytest.raises(WeightsError, match="half_dtype must be one of"):
        load_generator(snapshot("t"), half_dtype="float8")


# What doesn't fit


def test_everything_that_does_not_fit_is_listed_at_once(networks):
    network = networks["r"]["G_ema"]
    layer = "synthesis.L3_36_32"
    tensors = dict(network.tensors)
    del tensors["mapping.fc1.bias"], tensors[f"{layer}.up_filter"]
    tensors["mapping.fc0.weight"] = tensors["mapping.fc0.weight"][:, 1:]
    tensors["mapping.w_avg"] = np.full_like(tensors["mapping.w_avg"], np.nan)
    tensors[f"{layer}.bias"] = tensors[f"{layer}.bias"].astype(np.int32)
    tensors["synthesis.noise_strength"] = np.ones(3)
    # Another design: its taps differ in the sixth digit.
    tensors["synthesis.L0_36_32.down_filter"] = tensors["synthesis.L0_36_32.down_filter"] * 1.00001
    tensors["synthesis.L1_36_32.down_filter"] = np.ones(12, np.float32)
    tensors["synthesis.L14_32_3.up_filter"] = np.ones(12, np.float32)
    tensors["synthesis.input.transform"] = np.diag([1, -1, 1]).astype(np.float32)
    with pytest.raises(WeightsError) as caught:
        generator_of(dataclasses.replace(network, tensors=tensors))
    message = str(caught.value)
    assert message.startswith("10 entries do not fit the Generator")
    for line in (
        "missing: mapping.fc1.bias of shape (32,)",
        "missing: synthesis.L3_36_32.up_filter",
        "misshapen: mapping.fc0.weight has shape (32, 31), expected (32, 32)",
        "not finite: mapping.w_avg has 32 NaN",
        "of another kind: synthesis.L3_36_32.bias has dtype int32",
        "surplus: synthesis.noise_strength of shape (3,)",
        "other filter: synthesis.L0_36_32.down_filter differs from ours by 1e-05",
        "other filter: synthesis.L1_36_32.down_filter has shape (12,), expected (12, 12)",
        "other filter: synthesis.L14_32_3.up_filter is there; expected none",
        "not the identity: synthesis.input.transform",
    ):
        assert line in message


def test_configuration_of_other_layers(networks):
    network = networks["t"]["G_ema"]
    kwargs = network.init_kwargs | {"channel_max": 8}
    with pytest.raises(WeightsError, match="plans the layers synthesis.L0_36_8.*has synthesis.L0_"):
        generator_of(dataclasses.replace(network, init_kwargs=kwargs))


def test_other_discriminator_filter(networks):
    network = networks["t"]["D"]
    tensors = dict(network.tensors)
    tensors["b16.resample_filter"] = np.full((4, 4), 1 / 16, np.float32)
    with pytest.raises(WeightsError, match="other filter: b16.resample_filter differs"):
        discriminator_of(dataclasses.replace(network, tensors=tensors))


def test_networks_of_another_class(networks):
    with pytest.raises(WeightsError, match="is a Discriminator with .* a StyleGAN3 Generator"):
        generator_of(networks["t"]["D"])
    with pytest.raises(WeightsError, match="is a Generator with .* a StyleGAN3 Discriminator"):
        discriminator_of(networks["t"]["G"])
    positional = dataclasses.replace(networks["t"]["G"], init_args=[512, 0])
    with pytest.raises(WeightsError, match="2 positional arguments"):
        generator_of(positional)


def test_hostile_pickle_is_refused_by_name(tmp_path):
    (tmp_path / "evil.pkl").write_bytes(by_reduce(f"touch {tmp_path / 'canary'}")[0])
    for load in (load_generator, load_discriminator):
        with pytest.raises(UnsafePickleError, match=rf"evil.pkl: .*'{OS}\.system'"):
            load(tmp_path / "evil.pkl")
    assert not (tmp_path / "canary").exists()


# Safetensors


def test_saved_generator_is_loaded_as_it_was(generator, tmp_path):
    save_generator(generator, tmp_path / "a.safetensors")
    assert_equal_networks(load_generator(tmp_path / "a.safetensors"), generator)
    assert read_safetensors(tmp_path / "a.safetensors").keys() == variables(generator).keys()
    half = load_generator(tmp_path / "a.safetensors", half_dtype="float16")
    assert dict(half.options)["half_dtype"] == "float16"


def test_saved_options(tmp_path):
    """Rectangular, conditional, in half precision: the file says all of it."""
    plan = config_t((16, 32), channel_base=64, channel_max=4, num_layers=3, num_critical=1)
    options = {"z_dim": 3, "c_dim": 2, "w_dim": 5, "mapping_layers": 1, "conv_clamp": None}
    made = Generator(plan, **options, half_dtype=jnp.dtype("float16"), rngs=nnx.Rngs(0))
    save_generator(made, tmp_path / "a.safetensors")
    found = load_generator(tmp_path / "a.safetensors")
    assert found.plan == plan
    assert dict(found.options) == dict(made.options) | {"half_dtype": "float16"}
    for name, leaf in variables(made).items():
        np.testing.assert_array_equal(variables(found)[name][...], leaf[...], err_msg=name)


def test_options_beyond_what_a_file_may_say(generator, tmp_path):
    plan = generator.plan
    for change in ({"conv_clamp": float("inf")}, {"output_scale": np.float32(0.25)}):
        options = {"z_dim": 3, "w_dim": 5} | change
        made = nnx.eval_shape(lambda o=options: Generator(plan, **o, rngs=nnx.Rngs(0)))
        with pytest.raises(WeightsError, match="options can't be written"):
            save_generator(made, tmp_path / "a.safetensors")
    assert not (tmp_path / "a.safetensors").exists()


def test_damaged_and_foreign_safetensors(generator, tmp_path):
    path = tmp_path / "a.safetensors"
    save_generator(generator, path)
    metadata, tensors = read_metadata(path), read_safetensors(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_generator(path)
    write_safetensors(path, tensors)
    with pytest.raises(WeightsError, match="metadata don't describe an alias-free generator"):
        load_generator(path)
    configuration = json.loads(metadata["configuration"])
    configuration["generator"]["w_dim"] = 31
    changed = metadata | {"configuration": json.dumps(configuration)}
    write_safetensors(path, tensors, metadata=changed)
    with pytest.raises(WeightsError, match=r"misshapen: mapping.w_avg has shape \(32,\)"):
        load_generator(path)
    # An enormous network in a small file: its shapes are compared, nothing is allocated.
    configuration["generator"] |= {"w_dim": 65536, "z_dim": 65536}
    changed = metadata | {"configuration": json.dumps(configuration)}
    write_safetensors(path, tensors, metadata=changed)
    with pytest.raises(WeightsError, match=r"expected \(65536, 65536\)"):
        load_generator(path)
    del tensors["mapping.w_avg"]
    write_safetensors(path, tensors | {"extra": np.ones(1)}, metadata=metadata)
    with pytest.raises(WeightsError, match="2 entries.*\n.*missing: mapping.w_avg.*\n.*surplus"):
        load_generator(path)
