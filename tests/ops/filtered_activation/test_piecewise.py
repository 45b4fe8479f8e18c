"""Two-bit codes: what they say, and how they are packed."""

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies as st
from jax import numpy as jnp

from aa_jax.ops.filtered_activation.piecewise import (
    CLAMPED,
    NEGATIVE,
    PASS,
    PiecewiseLinear,
    clamped,
    pack,
    unpack,
)


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(height=st.integers(1, 6), seed=st.integers(0, 99))
def test_packing_is_undone(height, seed):
    shape = (2, height, 3, 2)
    codes = np.random.default_rng(seed).integers(0, 4, shape, np.uint8)
    packed = pack(jnp.asarray(codes))
    assert packed.dtype == np.uint8
    assert packed.shape == (shape[0], -(-shape[1] // 4), *shape[2:])
    np.testing.assert_array_equal(unpack(packed, shape[1]), codes)


def test_row_h_sits_in_bits_2h(rng):
    codes = rng.integers(0, 3, (2, 6, 3, 2), np.uint8)
    expected = np.zeros((2, 2, 3, 2), np.uint8)
    for h in range(6):
        expected[:, h // 4] |= codes[:, h] << (2 * (h % 4))
    np.testing.assert_array_equal(pack(jnp.asarray(codes)), expected)


def code(u, activation):
    """The code of one sample, from its definition."""
    slope = activation.slope if np.signbit(u) else 1.0
    if activation.clamp is not None and abs(u * activation.gain * slope) > activation.clamp:
        return CLAMPED
    return NEGATIVE if np.signbit(u) and activation.slope != 1.0 else PASS


@pytest.mark.parametrize(
    "activation",
    [
        PiecewiseLinear(),
        PiecewiseLinear(slope=0.0, gain=2**0.5),
        PiecewiseLinear(slope=1.0, clamp=0.5),
        PiecewiseLinear(slope=0.25, gain=2.0, clamp=1.0),
        PiecewiseLinear(slope=-0.5, gain=1.5, clamp=0.75),
        PiecewiseLinear(slope=3.0, gain=0.5, clamp=2.0),
    ],
)
def test_codes_and_values_by_definition(rng, activation):
    exact = [0.0, -0.0, 0.5, -0.5, 2.0, -2.0, 1e30, -1e30, np.inf, -np.inf, 1.5, -4 / 3]
    u = np.concatenate([rng.normal(size=40) * 2, exact])
    with jax.enable_x64(True):
        signal = jnp.asarray(u)
        codes = np.asarray(activation.codes(signal))
        value = np.asarray(activation.value(signal))
        slopes = np.asarray(activation.slopes_of(jnp.asarray(codes), "float64"))
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes, [code(sample, activation) for sample in u])
    slope = np.where(np.signbit(u), activation.slope, 1.0) * activation.gain
    np.testing.assert_array_equal(slopes, np.where(codes == CLAMPED, 0.0, slope))
    # Zero times infinity is nothing.
    known = np.isfinite(u) | (slope != 0)
    limit = np.inf if activation.clamp is None else activation.clamp
    expected = np.clip(slope[known] * u[known], -limit, limit)
    np.testing.assert_allclose(value[known], expected, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dtype_is_kept(dtype):
    activation = PiecewiseLinear(gain=1.3, clamp=0.9)
    u = jnp.linspace(-3, 3, 7).astype(dtype)
    assert activation.value(u).dtype == dtype
    assert activation.slopes_of(activation.codes(u), dtype).dtype == dtype


def test_clamped_keeps_the_sign_and_the_limit_passes_a_gradient():
    v = jnp.asarray([-3.0, -1.0, -0.5, 0.0, 1.0, 1.5])
    np.testing.assert_array_equal(clamped(v, 1.0), [-1, -1, -0.5, 0, 1, 1])
    gradient = jax.grad(lambda v: clamped(v, 1.0).sum())(v)
    np.testing.assert_array_equal(gradient, [0, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(clamped(v, None), v)


@pytest.mark.parametrize("clamp", [0.0, -1.0, float("nan")])
def test_clamp_must_be_positive(clamp):
    with pytest.raises(ValueError, match="clamp must be positive or None, got"):
        PiecewiseLinear(clamp=clamp)
