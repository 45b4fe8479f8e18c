"""Medians against SciPy; the network against all inputs of zeros and ones; gradients; mistakes."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from scipy import ndimage

from aa_jax.ops.order_filters import median_filter, median_network

SCIPY_MODES = {"zero": "constant", "edge": "nearest", "reflect": "mirror", "circular": "wrap"}


@pytest.mark.parametrize(("number", "exchanges"), [(1, 0), (3, 3), (9, 24), (25, 113)])
def test_the_network_finds_the_median_of_any_values(number, exchanges):
    """By the 0-1 principle: if it does of all zeros and ones. One bit stands for one input."""
    network = median_network(number)
    assert len(network) == exchanges
    values = [np.packbits(_bit(k, number), bitorder="little") for k in range(number)]
    ones = sum(_bit(k, number).astype(np.int8) for k in range(number))
    for low, high, keeps in network:
        pair = values[low], values[high]
        if keeps != "high":
            values[low] = pair[0] & pair[1]
        if keeps != "low":
            values[high] = pair[0] | pair[1]
    found = np.unpackbits(values[number // 2], bitorder="little")[: 2**number]
    np.testing.assert_array_equal(found, ones > number // 2)


def _bit(k: int, number: int) -> np.ndarray:
    """Value k of every input: bit k of the input's number."""
    pattern = np.repeat(np.array([0, 1], np.uint8), 2**k)
    return np.tile(pattern, 2 ** (number - k - 1))


@pytest.mark.parametrize("border", SCIPY_MODES)
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 4), (5, 3), (7, 2)])
def test_medians_equal_scipy(size, stride, border):
    x = np.random.default_rng(size).normal(size=(2, 14, 17, 2)).astype(np.float32)
    expected = ndimage.median_filter(x, size=(1, size, size, 1), mode=SCIPY_MODES[border])
    ours = median_filter(x, size=size, stride=stride, border=border)
    np.testing.assert_array_equal(ours, expected[:, ::stride, ::stride])
    np.testing.assert_array_equal(
        median_filter(x[0], size=size, stride=stride, border=border), ours[0]
    )


def test_the_gradient_goes_to_the_pixel_that_is_the_median():
    x = np.random.default_rng(1).normal(size=(6, 7, 2)).astype(np.float32)
    y, pull = jax.vjp(lambda v: median_filter(v, stride=2, border="edge"), x)
    weights = np.random.default_rng(2).normal(size=y.shape).astype(np.float32)
    expected = np.zeros_like(x)
    for i, j, c in np.ndindex(y.shape):
        rows = np.clip(2 * i + np.arange(-1, 2), 0, 5)
        columns = np.clip(2 * j + np.arange(-1, 2), 0, 6)
        places = [(r, s) for r in rows for s in columns if x[r, s, c] == y[i, j, c]]
        for r, s in places:
            expected[r, s, c] += weights[i, j, c] / len(places)
    np.testing.assert_allclose(pull(weights)[0], expected, atol=1e-6)


def test_equals_share_the_gradient():
    pooled = jax.grad(lambda v: median_filter(v)[1, 1, 0])(jnp.ones((3, 3, 1)))
    np.testing.assert_allclose(pooled, 1 / 9, rtol=1e-6)


IMAGE = np.zeros((8, 8, 1), np.float32)


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        (IMAGE[0], {}, "images must be floats of shape"),
        (IMAGE.astype(np.uint8), {}, "images must be floats .* got uint8"),
        (IMAGE, {"size": 4}, "size must be a positive odd integer, got 4"),
        (IMAGE, {"size": 3.0}, "size must be a positive odd integer, got 3.0"),
        (IMAGE, {"stride": 0}, "stride must be a positive integer, got 0"),
        (IMAGE, {"border": "mirror"}, "mode must be one of zero, .* got 'mirror'"),
        (IMAGE, {"size": 17, "border": "reflect"}, "padding of 8 is too large"),
    ],
)
def test_mistakes_are_named(images, options, words):
    with pytest.raises(ValueError, match=words):
        median_filter(images, **options)
