"""Single layers against the reference arrays."""

import json

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.alias_free import SynthesisLayer, layer_plan
from tests.models.alias_free.official import assign, below, channels_last, official
from tests.tolerances import relative_error

CASES = ["T_mid", "T_up", "R_mid", "R_up", "crit_last", "torgb"]


def spec_of(cfg: dict):
    before, after = (
        layer_plan._Map(
            cutoff=cfg[f"{side}_cutoff"],
            stopband=cfg[f"{side}_cutoff"] + cfg[f"{side}_half_width"],
            half_width=cfg[f"{side}_half_width"],
            rate=cfg[f"{side}_sampling_rate"],
            size=(cfg[f"{side}_size"],) * 2,
            channels=cfg[f"{side}_channels"],
        )
        for side in ("in", "out")
    )
    is_torgb, is_critical = cfg["is_torgb"], cfg["is_critically_sampled"]
    return layer_plan._layer(
        0,
        before,
        after,
        is_torgb=is_torgb,
        is_critical=is_critical,
        use_fp16=False,
        conv_kernel=1 if is_torgb else cfg["conv_kernel"],
        finer=1 if is_torgb else 2,
        filter_size=6,
        radial=cfg["use_radial_filters"] and not is_critical,
        linear=False,
    )


def build(case: dict, dtype: str) -> SynthesisLayer:
    cfg = json.loads(str(case["cfg"]))
    layer = SynthesisLayer(
        spec_of(cfg),
        cfg["w_dim"],
        conv_clamp=cfg.get("conv_clamp", 256.0),
        param_dtype=jnp.dtype(dtype),
        rngs=nnx.Rngs(0),
    )
    left, right, top, bottom = case["padding"]
    assert layer.spec.padding == (top, bottom, left, right)
    assign(layer, below(case, "p:"))
    return layer


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(golden, name):
    case = below(golden("alias_free/synthesis_layers.npz"), f"{name}:")
    with jax.enable_x64(True):
        graph, params, rest = nnx.split(build(case, "float64"), nnx.Param, ...)

        @jax.jit
        def run(params, x, w, cotangent):
            call = lambda params, x, w: nnx.merge(graph, params, rest)(x, w)  # noqa: E731
            y, pull = jax.vjp(call, params, x, w)
            return y, *pull(cotangent)

        x, cotangent = (jnp.asarray(channels_last(case[n]), "float64") for n in ("x", "cot"))
        y, dparams, dx, dw = run(params, x, jnp.asarray(case["w"], "float64"), cotangent)
        gradients = official(nnx.merge(graph, dparams, rest))
    # The reference is float32.
    assert relative_error(y, channels_last(case["y"])) <= 5e-6
    assert relative_error(dx, channels_last(case["dx"])) <= 1e-5
    assert relative_error(dw, case["dw"]) <= 1e-5
    for key in ("weight", "bias", "affine.weight", "affine.bias"):
        assert relative_error(gradients[key], case[f"d{key.replace('.', '_')}"]) <= 1e-5, key


@pytest.mark.parametrize("name", CASES)
def test_running_magnitude_moves_before_it_is_used(golden, name):
    case = below(golden("alias_free/synthesis_layers.npz"), f"{name}:")
    layer = build(case, "float32")
    y = layer(jnp.asarray(channels_last(case["x"])), jnp.asarray(case["w"]), update_emas=True)
    assert relative_error(y, channels_last(case["y_update_emas"])) <= 1e-5
    np.testing.assert_allclose(layer.magnitude_ema[...], case["magnitude_ema_after"], rtol=1e-6)


def test_bad_input_is_named(golden):
    case = below(golden("alias_free/synthesis_layers.npz"), "torgb:")
    layer = build(case, "float32")
    with pytest.raises(ValueError, match=r"x of layer L0_\d+_\d+ must be \(N, \("):
        layer(jnp.ones((1, 3, 3, 2)), jnp.ones((1, 10)))
