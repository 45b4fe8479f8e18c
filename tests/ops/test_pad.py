"""Padding against numpy.pad, and its transposes."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.ops.pad import as_padding, pad2d
from tests.ops.oracles import PAD_MODES


@pytest.mark.parametrize("mode", PAD_MODES)
@pytest.mark.parametrize("padding", [(1, 3, 2, 0), (0, 0, 4, 4), (4, 4, 0, 1)])
def test_agrees_with_numpy(rng, mode, padding):
    x = rng.normal(size=(2, 5, 6, 3)).astype(np.float32)
    top, bottom, left, right = padding
    widths = ((0, 0), (top, bottom), (left, right), (0, 0))
    expected = np.pad(x, widths, PAD_MODES[mode])
    np.testing.assert_array_equal(pad2d(jnp.asarray(x), padding, mode=mode), expected)


@pytest.mark.parametrize("mode", PAD_MODES)
def test_negative_amounts_crop(rng, mode):
    x = rng.normal(size=(1, 5, 6, 1)).astype(np.float32)
    y = pad2d(jnp.asarray(x), (-1, 2, 1, -2), mode=mode)
    padded = np.pad(x, ((0, 0), (0, 2), (1, 0), (0, 0)), PAD_MODES[mode])
    np.testing.assert_array_equal(y, padded[:, 1:, :-2])


@pytest.mark.parametrize("mode", PAD_MODES)
def test_gradients_of_second_order_in_both_modes(rng, mode):
    with jax.enable_x64(True):
        x = jnp.asarray(rng.normal(size=(1, 4, 5, 2)))
        padded = functools.partial(pad2d, padding=(2, 3, 1, 4), mode=mode)
        check_grads(lambda x: padded(x) ** 3, (x,), order=2, modes=("fwd", "rev"))


def test_vmap_adds_an_axis(rng):
    x = jnp.asarray(rng.normal(size=(3, 4, 4, 2)), jnp.float32)
    padded = functools.partial(pad2d, padding=1, mode="reflect")
    np.testing.assert_array_equal(jax.vmap(padded)(x), padded(x))


def test_padding_is_spelt_out():
    assert as_padding(2) == (2, 2, 2, 2)
    assert as_padding((1, 2)) == (1, 1, 2, 2)
    assert as_padding([1, 2, 3, 4]) == (1, 2, 3, 4)


@pytest.mark.parametrize(
    "shape, padding, mode, message",
    [
        ((4, 4), 1, "zero", r"x must have shape .* got \(4, 4\)"),
        ((1, 2, 2, 1), 2, "reflect", "padding of 2 is too large for an axis of 2 samples"),
        ((1, 2, 2, 1), 3, "circular", "which allows at most 2"),
        ((1, 2, 2, 1), (-3, 0, 0, 0), "zero", "crops more than the 2 samples"),
        ((1, 2, 2, 1), True, "zero", "padding must be an integer"),
        ((1, 2, 2, 1), 1, "wrap", "mode must be one of zero, reflect, edge, circular"),
    ],
)
def test_bad_input_is_named(shape, padding, mode, message):
    with pytest.raises(ValueError, match=message):
        pad2d(jnp.zeros(shape), padding, mode=mode)
