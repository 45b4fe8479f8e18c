"""Blur-pooling as a function: reference arrays are in tests/nn, here are its laws and limits."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.ops.blur import blur_pool, blur_pool_1d, gaussian_blur, max_blur_pool
from tests.tolerances import OP, relative_error

MODES = ["reflect", "edge", "zero", "circular"]
REFERENCE_MODES = {"reflect": "reflect", "replicate": "edge", "zero": "zero"}


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_every_reference_case(golden, dtype):
    arrays = golden("anti_aliased/blurpool.npz")
    worst = 0.0
    with jax.enable_x64(True):
        for case in map(str, arrays["cases"]):
            size, mode, stride, shape, *offset = case.split("_")
            options = dict(
                filter_size=int(size[1:]),
                stride=int(stride[1:]),
                mode=REFERENCE_MODES[mode],
                pad_offset=1 if offset else 0,
            )
            x = jnp.asarray(np.moveaxis(arrays[f"x_{shape}"], 1, -1), dtype)
            y, vjp = jax.vjp(lambda x, options=options: blur_pool(x, **options), x)
            pairs = [(y, arrays[f"y_{case}"])]
            if f"ct_{case}" in arrays:
                cotangent = jnp.asarray(np.moveaxis(arrays[f"ct_{case}"], 1, -1), dtype)
                pairs.append((vjp(cotangent)[0], arrays[f"gx_{case}"]))
            for actual, expected in pairs:
                actual = np.moveaxis(np.asarray(actual, np.float64), -1, 1)
                worst = max(worst, relative_error(actual, expected))
    assert worst <= OP[dtype]


@pytest.mark.parametrize("size", range(1, 8))
def test_signals_agree_with_reference(golden, size):
    arrays = golden("anti_aliased/blurpool.npz")
    cases = [key for key in arrays if key.startswith(f"y1d_f{size}_")]
    with jax.enable_x64(True):
        x = jnp.asarray(np.moveaxis(arrays["x1d"], 1, -1), jnp.float64)
        for key in cases:
            mode = REFERENCE_MODES[key.split("_")[2]]
            y = blur_pool_1d(x, filter_size=size, stride=2, mode=mode)
            assert relative_error(np.moveaxis(np.asarray(y), -1, 1), arrays[key]) <= OP["float64"]
    assert cases or size not in (3, 4)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [2, 3, 6])
def test_gradients_of_second_order_in_both_modes(rng, size, mode):
    with jax.enable_x64(True):
        x = jnp.asarray(rng.normal(size=(1, 6, 7, 2)))
        blurred = lambda x: blur_pool(x, filter_size=size, mode=mode)  # noqa: E731
        check_grads(lambda x: blurred(x) ** 3, (x,), order=2, modes=("fwd", "rev"))


def test_highest_frequency_is_removed():
    checkers = jnp.asarray((-1.0) ** np.add.outer(np.arange(8), np.arange(8)))[None, :, :, None]
    assert float(jnp.abs(checkers[:, ::2, ::2]).min()) == 1.0  # subsampling makes it a constant
    np.testing.assert_allclose(blur_pool(checkers, mode="circular"), 0.0, atol=1e-6)


def test_dense_maximum_in_front_agrees_with_reference(golden):
    arrays = golden("anti_aliased/blurpool.npz")
    cases = [key for key in arrays if key.startswith("ymaxblur_")]
    assert cases
    for key in cases:
        _, kind, size, shape = key.split("_")
        window, padding = {"k2": (2, 0), "k3p1": (3, 1)}[kind]
        x = jnp.asarray(np.moveaxis(arrays[f"x_{shape}"], 1, -1), jnp.float32)
        y = max_blur_pool(x, window=window, padding=padding, filter_size=int(size[1:]))
        assert relative_error(np.moveaxis(np.asarray(y), -1, 1), arrays[key]) <= OP["float32"]


@pytest.mark.parametrize(
    "shape, options, message",
    [
        ((1, 8, 8, 1), {"filter_size": 8}, "size must be an integer from 1 to 7, got 8"),
        ((1, 8, 8, 1), {"stride": 1.5}, "down must be a positive integer"),
        ((1, 2, 2, 1), {"filter_size": 7}, "too large for an axis of 2 samples in mode 'reflect'"),
        ((8, 8), {}, "x must have shape"),
    ],
)
def test_bad_input_is_named(shape, options, message):
    with pytest.raises(ValueError, match=message):
        blur_pool(jnp.zeros(shape), **options)


def test_gaussian_blur_is_a_sum_of_shifted_images(golden):
    """The definition written out, with zeros outside; and the reference of the training loss."""
    images = np.random.default_rng(0).normal(size=(2, 9, 13, 2))
    sigma = 1.5
    taps = 2.0 ** -((np.arange(-4, 5) / sigma) ** 2)  # floor(3 sigma) = 4
    taps /= taps.sum()
    expected = images
    for axis in (1, 2):
        expected = np.apply_along_axis(np.convolve, axis, expected, taps, mode="same")
    np.testing.assert_allclose(gaussian_blur(images, sigma), expected, atol=1e-6)

    reference = golden("alias_free/loss_phases.npz")
    real, blurred = (reference[name].transpose(0, 2, 3, 1) for name in ("real", "real_blurred"))
    actual = jax.jit(gaussian_blur)(real, float(reference["blur_sigma"]))
    assert relative_error(actual, blurred) <= 1e-6


@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_gaussian_blur_ends_as_the_identity(sigma):
    images = np.random.default_rng(0).normal(size=(1, 5, 5, 1)).astype(np.float32)
    np.testing.assert_array_equal(jax.jit(gaussian_blur)(images, sigma), images)


def test_gaussian_blur_is_differentiable_twice():
    images = np.random.default_rng(0).normal(size=(1, 4, 4, 1)).astype(np.float32)
    check_grads(lambda x: gaussian_blur(x, 1.0) ** 2, (images,), order=2, atol=1e-2, rtol=1e-2)
