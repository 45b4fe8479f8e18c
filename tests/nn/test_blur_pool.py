"""Blur-pool layers against the reference arrays, and as the op with the same options."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.nn import BlurPool, MaxBlurPool
from tests.tolerances import OP, relative_error

MODES = {"reflect": "reflect", "replicate": "edge", "zero": "zero"}


def channels_last(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, 1, -1)


def test_agrees_with_reference_forward_and_backward(golden):
    # All cases without gradients are in tests/ops.
    arrays = golden("anti_aliased/blurpool.npz")
    cases = [key[3:] for key in arrays if key.startswith("ct_f")]
    assert len(cases) == 23
    for case in cases:
        size, mode, stride, shape, *offset = case.split("_")
        layer = BlurPool(
            filter_size=int(size[1:]),
            stride=int(stride[1:]),
            mode=MODES[mode],
            pad_offset=int(bool(offset)),
        )
        x, cotangent = (
            jnp.asarray(channels_last(arrays[name]), jnp.float32)
            for name in (f"x_{shape}", f"ct_{case}")
        )
        y, pullback = jax.vjp(layer, x)
        expected = channels_last(arrays[f"gx_{case}"])
        assert relative_error(y, channels_last(arrays[f"y_{case}"])) <= OP["float32"], case
        assert relative_error(pullback(cotangent)[0], expected) <= OP["float32"], case


@pytest.mark.parametrize("window", ["k2", "k3p1"])
def test_max_blur_pool_agrees_with_reference(golden, window):
    arrays = golden("anti_aliased/blurpool.npz")
    cases = [key for key in arrays if key.startswith(f"ymaxblur_{window}_")]
    assert len(cases) == 6
    for case in cases:
        size, shape = case.split("_")[2:]
        layer = MaxBlurPool(
            int(window[1]), padding=1 if "p1" in window else 0, filter_size=int(size[1:])
        )
        y = layer(jnp.asarray(channels_last(arrays[f"x_{shape}"]), jnp.float32))
        assert relative_error(y, channels_last(arrays[case])) <= OP["float32"]


@pytest.mark.parametrize("mode", ["reflect", "circular"])
def test_has_derivatives_of_second_order(rng, mode):
    layer = BlurPool(filter_size=4, mode=mode)
    with jax.enable_x64(True):
        x = jnp.asarray(rng.standard_normal((1, 5, 6, 2)))
        check_grads(lambda x: jnp.sin(layer(x)), (x,), order=2, modes=("fwd", "rev"))


def test_circular_blur_commutes_with_shifts_by_the_stride(rng):
    x = jnp.asarray(rng.standard_normal((1, 8, 8, 3)), jnp.float32)
    layer = BlurPool(filter_size=5, mode="circular")
    shifted = layer(jnp.roll(x, (2, 4), axis=(1, 2)))
    np.testing.assert_allclose(shifted, jnp.roll(layer(x), (1, 2), axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"filter_size": 8}, "filter_size must be an integer from 1 to 7, got 8"),
        ({"filter_size": 2.5}, "filter_size must be an integer"),
        ({"stride": 0}, "stride must be a positive integer, got 0"),
        ({"stride": 1.5}, "stride must be a positive integer, got 1.5"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        BlurPool(**options)


def test_a_map_smaller_than_the_padding_is_an_error():
    with pytest.raises(ValueError, match="reflect"):
        BlurPool(filter_size=7)(jnp.zeros((1, 2, 2, 4)))
    with pytest.raises(ValueError):
        BlurPool()(jnp.zeros((8, 8)))
