"""The Fourier-feature input against the reference arrays and against its definition."""

import json

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.alias_free import FourierInput, picture_transform
from tests.models.alias_free.official import assign, below, channels_last, official
from tests.tolerances import relative_error


def build(arrays, dtype) -> FourierInput:
    cfg = json.loads(str(arrays["cfg"]))
    cfg["size"] = (cfg["size"], cfg["size"])
    layer = FourierInput(**cfg, param_dtype=jnp.dtype(dtype), rngs=nnx.Rngs(0))
    assign(layer, below(arrays, "p:"))
    return layer


def test_maps_and_gradients(golden):
    arrays = golden("alias_free/fourier_input.npz")
    with jax.enable_x64(True):
        graph, params, rest = nnx.split(build(arrays, "float64"), nnx.Param, ...)

        @jax.jit
        def run(params, w, transform, cotangent):
            call = lambda params, w: nnx.merge(graph, params, rest)(w, transform)  # noqa: E731
            y, pull = jax.vjp(call, params, w)
            return y, *pull(cotangent)

        w = jnp.asarray(arrays["w"], "float64")
        for number, transform in enumerate(arrays["transforms"].astype(np.float32)):
            expected = channels_last(arrays[f"y{number}"])
            cotangent = channels_last(arrays.get(f"cot{number}", arrays["cot0"]))
            y, dparams, dw = run(params, w, transform, cotangent.astype(np.float64))
            # The reference is float32, with phases of up to some hundred radians.
            assert relative_error(y, expected) <= 5e-6, number
            if f"cot{number}" in arrays:
                gradients = official(nnx.merge(graph, dparams, rest))
                assert relative_error(dw, arrays[f"dw{number}"]) <= 1e-5
                for name in ("weight", "affine.weight", "affine.bias"):
                    key = f"d{name.replace('.', '_')}{number}"
                    assert relative_error(gradients[name], arrays[key]) <= 1e-5, key


def test_in_float32(golden):
    arrays = golden("alias_free/fourier_input.npz")
    layer = build(arrays, "float32")
    y = layer(arrays["w"], arrays["transforms"][3].astype(np.float32))
    assert relative_error(y, channels_last(arrays["y3"])) <= 1e-5


def test_frequencies_fill_a_disc_evenly():
    layer = FourierInput(4, 4096, (8, 8), 16, 2.0, rngs=nnx.Rngs(0))
    radii = np.sort(np.linalg.norm(layer.freqs[...], axis=1))
    # Area grows with the square of the radius; the largest gap of 4096 uniform draws is 0.02.
    np.testing.assert_allclose((radii / 2) ** 2, np.linspace(0, 1, 4096), atol=0.03)
    phases = np.sort(layer.phases[...])
    np.testing.assert_allclose(phases, np.linspace(-0.5, 0.5, 4096), atol=0.03)


def test_transform_moves_the_content_by_whole_samples():
    layer = FourierInput(4, 8, (20, 28), 16, 2.0, rngs=nnx.Rngs(0))
    w = np.ones((1, 4), np.float32)
    still = layer(w)
    moved = layer(w, picture_transform(translate=(3 / 16, -2 / 16)))
    np.testing.assert_allclose(moved[:, :-2, 3:], still[:, 2:, :-3], atol=1e-4)
    turned = FourierInput(4, 8, (20, 20), 16, 2.0, rngs=nnx.Rngs(0))
    still, moved = turned(w), turned(w, picture_transform(rotate=90))
    # Counter-clockwise on the screen, as numpy.rot90 turns.
    np.testing.assert_allclose(moved, np.rot90(still, axes=(1, 2)), atol=1e-4)


def test_waves_beyond_the_band_fade():
    layer = FourierInput(4, 8, (8, 8), 16, 2.0, rngs=nnx.Rngs(0))
    w = np.ones((1, 4), np.float32)
    assert np.abs(layer(w, np.diag([100.0, 100.0, 1.0]))).max() < 0.2 * np.abs(layer(w)).max()


def test_bad_transform_is_named():
    layer = FourierInput(4, 8, (8, 8), 16, 2.0, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"transform must be \(3, 3\) or \(2, 3, 3\), got shape"):
        layer(jnp.ones((2, 4)), jnp.eye(2))
