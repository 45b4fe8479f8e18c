"""Equalised layers against their definitions in float64 NumPy."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.nn.equalized import EqualizedConv, EqualizedLinear
from tests.ops.oracles import correlate_valid, upfirdn2d
from tests.tolerances import OP, relative_error


def leaky(u):
    return np.where(u < 0, 0.2 * u, u)


@pytest.mark.parametrize("multiplier", [1.0, 0.01])
def test_linear_scales_kernel_and_bias(rng, multiplier):
    layer = EqualizedLinear(5, 3, learning_rate_multiplier=multiplier, rngs=nnx.Rngs(0))
    layer.bias[...] = jnp.asarray([1.0, -2.0, 3.0])
    x = rng.normal(size=(2, 4, 5))
    kernel = np.asarray(layer.kernel[...], np.float64) * multiplier / np.sqrt(5)
    expected = x @ kernel + np.array([1.0, -2.0, 3.0]) * multiplier
    assert relative_error(layer(jnp.asarray(x, jnp.float32)), expected) <= OP["float32"]


def test_linear_initial_weights():
    options = {"learning_rate_multiplier": 0.01, "rngs": nnx.Rngs(0)}
    layer = EqualizedLinear(300, 200, **options)
    assert np.std(layer.kernel[...]) == pytest.approx(100, rel=0.02)
    assert (layer.bias[...] == 0).all()
    layer = EqualizedLinear(
        300, 200, kernel_deviation=0.5, bias_init=nnx.initializers.ones, **options
    )
    assert np.std(layer.kernel[...]) == pytest.approx(50, rel=0.02)
    np.testing.assert_allclose(layer(jnp.zeros((1, 300))), 1.0, rtol=1e-6)


def conv_by_definition(x, kernel, bias, *, down, taps, gain, clamp, activation):
    """One image (H, W, I) at a time, one pair of channels at a time."""
    side, _, inputs, outputs = kernel.shape
    margin = side // 2
    kernel = kernel / np.sqrt(side * side * inputs)
    if down > 1:
        excess = len(taps) - down
        before, after = margin + (excess + 1) // 2, margin + excess // 2
        sides, taps = (before, after, before, after), np.outer(taps, taps)
    else:
        sides, taps = (margin,) * 4, np.ones((1, 1))
    maps = [upfirdn2d(m, taps, up=(1, 1), down=(1, 1), padding=sides) for m in np.moveaxis(x, 2, 0)]
    result = [
        sum(correlate_valid(m, kernel[:, :, i, o]) for i, m in enumerate(maps))[::down, ::down]
        for o in range(outputs)
    ]
    y = gain * activation(np.stack(result, -1) + bias)
    return np.clip(y, -clamp, clamp)


@pytest.mark.parametrize(
    "side, down, filter_size, shape",
    [
        (1, 1, 4, (5, 6)),
        (3, 1, 4, (5, 6)),
        (1, 2, 4, (6, 8)),
        (3, 2, 4, (6, 8)),
        (3, 3, 5, (9, 7)),
        (1, 2, 1, (5, 6)),
    ],
)
def test_conv_agrees_with_its_definition(rng, side, down, filter_size, shape):
    taps = {1: [1], 4: [1, 3, 3, 1], 5: [1, 4, 6, 4, 1]}[filter_size]
    with jax.enable_x64(True):
        layer = EqualizedConv(
            2,
            3,
            side,
            down=down,
            filter_size=filter_size,
            gain=0.7,
            clamp=0.9,
            param_dtype=jnp.float64,
            rngs=nnx.Rngs(0),
        )
        layer.bias[...] = jnp.asarray(rng.normal(size=3))
        x = rng.normal(size=(2, *shape, 2))
        y = layer(jnp.asarray(x))
        expected = [
            conv_by_definition(
                image,
                np.asarray(layer.kernel[...]),
                np.asarray(layer.bias[...]),
                down=down,
                taps=np.array(taps) / np.sum(taps),
                gain=0.7 * np.sqrt(2),
                clamp=0.7 * 0.9,
                activation=leaky,
            )
            for image in x
        ]
    assert y.shape == (2, shape[0] // down, shape[1] // down, 3)
    assert relative_error(y, np.stack(expected)) <= OP["float64"]
    assert (np.abs(y) == 0.7 * 0.9).any()


def test_linear_branch_has_no_bias_and_no_bound(rng):
    layer = EqualizedConv(2, 3, 1, use_bias=False, activation="identity", rngs=nnx.Rngs(0))
    assert layer.bias is None
    x = 1e4 * rng.normal(size=(1, 2, 2, 2))
    expected = x @ np.asarray(layer.kernel[0, 0], np.float64) / np.sqrt(2)
    assert relative_error(layer(jnp.asarray(x, jnp.float32)), expected) <= OP["float32"]


def test_unit_weights_keep_the_power_of_noise(rng):
    layer = EqualizedConv(64, 64, 3, rngs=nnx.Rngs(0))
    assert np.std(layer.kernel[...]) == pytest.approx(1, rel=0.02)
    assert (layer.bias[...] == 0).all()
    y = layer(jnp.asarray(rng.normal(size=(1, 24, 24, 64)), jnp.float32))[:, 1:-1, 1:-1]
    # Leaky ReLU of slope 0.2 keeps (1 + 0.04) / 2 of it, and its gain doubles that.
    assert float(jnp.mean(y**2)) == pytest.approx(1.04, rel=0.1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_computes_in_the_dtype_of_its_input(rng, dtype):
    with jax.enable_x64(True):
        conv = EqualizedConv(2, 3, 3, down=2, rngs=nnx.Rngs(0))
        linear = EqualizedLinear(2, 3, rngs=nnx.Rngs(0))
        x = rng.normal(size=(1, 4, 4, 2))
        for layer in (conv, linear):
            assert layer.kernel.dtype == jnp.float32
            y = layer(jnp.asarray(x, dtype))
            assert y.dtype == dtype
            # Kernel, signal and the sum over up to 18 products are rounded each.
            exact = layer(jnp.asarray(x, dtype).astype("float64"))
            assert relative_error(y, exact) <= OP[dtype]


def test_bad_input_is_named():
    rngs = nnx.Rngs(0)
    with pytest.raises(ValueError, match="x must have 2 features last, got shape"):
        EqualizedLinear(2, 3, rngs=rngs)(jnp.zeros((4, 5)))
    with pytest.raises(ValueError, match="x has 5 channels, but a kernel"):
        EqualizedConv(2, 3, 3, rngs=rngs)(jnp.zeros((1, 4, 4, 5)))
    for side in (0, 2, 3.0):
        with pytest.raises(ValueError, match="kernel_size must be an odd positive integer, got"):
            EqualizedConv(2, 3, side, rngs=rngs)
    with pytest.raises(ValueError, match="down must be a positive integer, got 0"):
        EqualizedConv(2, 3, 3, down=0, rngs=rngs)
    with pytest.raises(ValueError, match="size must be an integer from 1 to 7, got 8"):
        EqualizedConv(2, 3, 3, down=2, filter_size=8, rngs=rngs)
    with pytest.raises(ValueError, match="activation must be a callable or one of"):
        EqualizedConv(2, 3, 3, activation="lrelu", rngs=rngs)
    with pytest.raises(ValueError, match="clamp must be positive or None, got -1"):
        EqualizedConv(2, 3, 3, clamp=-1, rngs=rngs)
