"""Whole generators against the reference arrays: images, statistics, gradients, running means."""

import json

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.alias_free import Generator, config_r, config_t
from tests.models.alias_free.official import assign, below, channels_last, official
from tests.tolerances import relative_error

NETWORKS = ["gen_T32", "gen_T32_cond", "gen_T64", "gen_R32", "gen_R64"]


def build(cfg: dict, arrays: dict, dtype: str) -> Generator:
    cfg = dict(cfg)
    config = {"T": config_t, "R": config_r}[cfg.pop("cfg")]
    own = {name: cfg.pop(name) for name in ("z_dim", "c_dim", "w_dim")}
    own |= {"mapping_layers": cfg.pop("mapping_kwargs")["num_layers"]}
    own |= {name: cfg.pop(name) for name in ("output_scale",) if name in cfg}
    plan = config(cfg.pop("img_resolution"), **cfg)
    generator = Generator(plan, **own, param_dtype=jnp.dtype(dtype), rngs=nnx.Rngs(0))
    assign(generator, arrays)
    return generator


def whole_call(generator: Generator, arrays: dict):
    """A jitted function (ws, transform) -> images and what layers recorded."""
    graph, state = nnx.split(generator.synthesis)

    @jax.jit
    def run(ws, transform):
        recorded = {}
        images = nnx.merge(graph, state)(ws, transform=transform, record=recorded.__setitem__)
        return images, list(recorded.values())

    return run


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, golden):
    arrays = golden(f"alias_free/{request.param}.npz")
    cfg = json.loads(str(arrays["cfg"]))
    generator = build(cfg, below(arrays, "p:"), "float32")
    return arrays, generator, whole_call(generator, arrays)


def test_layers_have_the_published_names(network):
    arrays, generator, _ = network
    names = [layer.spec.name for layer in generator.synthesis.layers]
    assert names == arrays["layer_names"].tolist()


def test_images(network):
    arrays, generator, run = network
    c = arrays["c"] if generator.c_dim else None
    w = generator.mapping(arrays["z"], c)
    assert relative_error(w[:, 0], arrays["w"]) <= 1e-5
    transforms = [np.eye(3, dtype=np.float32), *arrays["transforms"].astype(np.float32)]
    names = ["img", *(f"img_transform{i}" for i in range(3))]
    for transform, name in zip(transforms, names, strict=True):
        images, _ = run(w, transform)
        assert relative_error(images, channels_last(arrays[name])) <= 1e-4, name
    w = generator.mapping(arrays["z"], c, truncation_psi=0.6, truncation_cutoff=7)
    images, _ = run(w, transforms[0])
    assert relative_error(images, channels_last(arrays["img_trunc0.6_cut7"])) <= 1e-4


def test_statistics_of_every_layer(network):
    arrays, _, run = network
    images, recorded = run(arrays["ws"], np.eye(3, dtype=np.float32))
    assert relative_error(images, channels_last(arrays["img_ws"])) <= 1e-4
    layers = [np.asarray(value, np.float64) for value in recorded]
    measured = {
        "mean": [layer.mean() for layer in layers],
        "std": [layer.std() for layer in layers],
        "absmax": [np.abs(layer).max() for layer in layers],
    }
    # A mean is judged against the spread that it is the mean of.
    scales = {"mean": arrays["act_std"], "std": arrays["act_std"], "absmax": arrays["act_absmax"]}
    for name, values in measured.items():
        errors = np.abs(np.asarray(values) - arrays[f"act_{name}"]) / scales[name]
        assert errors.max() <= 1e-4, name
    for name, index in (("input", 0), ("L0", 1), ("L5", 6)):
        expected = np.moveaxis(arrays[f"act_{name}_sample0"], 0, -1)
        actual = layers[index][0, ..., : expected.shape[-1]]
        assert relative_error(actual, expected) <= 1e-4, name


def test_running_means_move_before_they_are_used(network):
    arrays, generator, _ = network
    graph, state = nnx.split(generator)

    @jax.jit
    def update(state, z, c):
        generator = nnx.merge(graph, state)
        return generator(z, c, update_emas=True), nnx.state(generator)

    c = arrays["c"] if generator.c_dim else None
    images, after = update(state, arrays["z"], c)
    assert relative_error(images, channels_last(arrays["img_update_emas"])) <= 1e-4
    after = official(nnx.merge(graph, after))
    assert relative_error(after["mapping.w_avg"], arrays["w_avg_after"]) <= 1e-6
    magnitudes = [after[f"synthesis.{name}.magnitude_ema"] for name in arrays["layer_names"]]
    assert relative_error(magnitudes, arrays["magnitude_ema_after"]) <= 1e-6


@pytest.mark.parametrize("name", NETWORKS)
def test_images_and_gradients_in_float64(name, golden):
    arrays = golden(f"alias_free/{name}.npz")
    cfg = json.loads(str(arrays["cfg"]))
    with jax.enable_x64(True):
        generator = build(cfg, below(arrays, "p:"), "float64")
        graph, params, rest = nnx.split(generator, nnx.Param, ...)
        c = arrays["c"] if generator.c_dim else None

        @jax.jit
        def synthesis(params, ws, cotangent):
            def images(params, ws):
                return nnx.merge(graph, params, rest).synthesis(ws)

            result, pull = jax.vjp(images, params, ws)
            return result, *pull(cotangent)

        @jax.jit
        def mapping(params, cotangent):
            def latents(params):
                return nnx.merge(graph, params, rest).mapping(arrays["z"], c)

            return jax.vjp(latents, params)[1](cotangent)[0]

        cotangent = jnp.asarray(channels_last(arrays["cot"]), "float64")
        ws = jnp.asarray(arrays["ws"], "float64")
        result, dparams, dws = synthesis(params, ws, cotangent)
        assert relative_error(result, channels_last(arrays["img_ws64"])) <= 1e-6
        assert relative_error(dws, arrays["dws64"]) <= 1e-5
        gradients = official(nnx.merge(graph, dparams, rest))
        # The reference's gradients of the mapping network are those of images from z.
        _, _, dws = synthesis(params, generator.mapping(arrays["z"], c), cotangent)
        mapped = official(nnx.merge(graph, mapping(params, dws), rest))
        for key, expected in below(arrays, "d64:").items():
            actual = (mapped if key.startswith("mapping.") else gradients)[key]
            assert relative_error(actual, expected) <= 1e-5, key
