"""Modulated convolution against the reference arrays, with kernels made for each sample."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.ops.modulated_conv import modulated_conv2d
from tests.tolerances import relative_error

HWIO = (2, 3, 1, 0)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("number", range(5))
def test_values_and_gradients(golden, number, dtype):
    arrays = golden("alias_free/modulated_conv2d.npz")
    case = {k.removeprefix(f"c{number}_"): v for k, v in arrays.items() if k[:2] == f"c{number}"}
    tolerance = {"float64": 1e-6, "float32": 5e-6}[dtype]
    with jax.enable_x64(dtype == "float64"):
        x, cotangent = (jnp.asarray(np.moveaxis(case[n], 1, -1), dtype) for n in ("x", "cot"))
        kernel = jnp.asarray(case["w"].transpose(HWIO), dtype)
        styles = jnp.asarray(case["s"], dtype)

        @jax.jit
        def run(x, kernel, styles):
            def call(x, kernel, styles):
                return modulated_conv2d(
                    x,
                    kernel,
                    styles,
                    padding=int(case["pad"]),
                    demodulate=bool(case["demod"]),
                    input_gain=jnp.asarray(case["gain"], dtype) if case["has_gain"] else None,
                )

            y, pull = jax.vjp(call, x, kernel, styles)
            return y, *pull(cotangent)

        y, dx, dw, ds = run(x, kernel, styles)
        assert y.dtype == dtype
    assert relative_error(y, np.moveaxis(case["y64"], 1, -1)) <= tolerance
    assert relative_error(dx, np.moveaxis(case["dx64"], 1, -1)) <= tolerance
    assert relative_error(dw, case["dw64"].transpose(HWIO)) <= 2 * tolerance
    assert relative_error(ds, case["ds64"]) <= 2 * tolerance


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits_stay_in_range(rng, dtype):
    x = rng.standard_normal((2, 6, 6, 512))
    kernel = jnp.asarray(100 * rng.standard_normal((3, 3, 512, 4)), "float32")
    styles = jnp.asarray(1000 * rng.uniform(0.5, 2, size=(2, 512)), "float32")
    expected = modulated_conv2d(jnp.asarray(x, "float32"), kernel, styles, padding=2)
    actual = modulated_conv2d(jnp.asarray(x, dtype), kernel, styles, padding=2)
    assert actual.dtype == dtype
    # Unit noise leaves as unit noise.
    np.testing.assert_allclose(np.std(expected[:, 3:5, 3:5]), 1, atol=0.3)
    assert relative_error(actual, expected) <= {"float16": 5e-3, "bfloat16": 2e-2}[dtype]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 5, 5, 3), (3, 3, 4, 6), (2, 4), None), r"x must be \(N, H, W, 4\), got shape"),
        (((2, 5, 5, 4), (3, 3, 4, 6), (1, 4), None), r"styles must be \(2, 4\), got shape \(1, 4"),
        (((2, 5, 5, 4), (3, 3, 4, 6), (2, 4), (2,)), r"input_gain must be \(\), \(4,\) or \(2, 4"),
    ],
)
def test_bad_shapes_are_named(shapes, message):
    x, kernel, styles, gain = (None if shape is None else jnp.ones(shape) for shape in shapes)
    with pytest.raises(ValueError, match=message):
        modulated_conv2d(x, kernel, styles, input_gain=gain)


@pytest.mark.parametrize("demodulate", [True, False])
def test_upsampling_is_zero_insertion(rng, demodulate):
    x = rng.standard_normal((2, 3, 4, 5))
    kernel, styles = rng.standard_normal((3, 3, 5, 2)), rng.standard_normal((2, 5))
    fine = np.zeros((2, 6, 8, 5))
    fine[:, ::2, ::2] = x
    with jax.enable_x64(True):
        arrays = map(jnp.asarray, (kernel, styles))
        options = {"padding": 2, "demodulate": demodulate}
        run = jax.jit(functools.partial(modulated_conv2d, **options), static_argnames="up")
        kernel, styles = arrays
        expected = run(jnp.asarray(fine), kernel, styles)
        actual = run(jnp.asarray(x), kernel, styles, up=2)
    assert relative_error(actual, expected) <= 1e-12


def test_bad_upsampling_is_named():
    x, kernel, styles = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 2)), jnp.ones((1, 2))
    with pytest.raises(ValueError, match="up must be 1 or 2, got 4"):
        modulated_conv2d(x, kernel, styles, up=4)
    with pytest.raises(ValueError, match="padding must be 2 with up=2, got 1"):
        modulated_conv2d(x, kernel, styles, padding=1, up=2)
