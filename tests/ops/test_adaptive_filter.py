"""Adaptive filtering against its definition written as loops, and its derivatives."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.ops.adaptive_filter import adaptive_filter, normalize_filters
from tests.ops.oracles import PAD_MODES


def by_definition(x, filters, size, stride, mode):
    half, channels = size // 2, x.shape[3]
    groups = filters.shape[3] // size**2
    padded = np.pad(x, ((0, 0), (half, half), (half, half), (0, 0)), PAD_MODES[mode])
    y = np.zeros((*filters.shape[:3], channels))
    for n, i, j, c in np.ndindex(y.shape):
        window = padded[n, i * stride : i * stride + size, j * stride : j * stride + size, c]
        group = c * groups // channels
        taps = filters[n, i, j, group * size**2 : (group + 1) * size**2].reshape(size, size)
        y[n, i, j, c] = np.sum(window * taps)
    return y


def random_case(rng, size, stride, groups=2):
    x = rng.normal(size=(2, 7, 6, 4))
    filters = rng.normal(size=(2, -(-7 // stride), -(-6 // stride), groups * size**2))
    return x, filters


@pytest.mark.parametrize("mode", PAD_MODES)
@pytest.mark.parametrize("size, stride", [(1, 2), (3, 1), (3, 2), (5, 3)])
def test_agrees_with_definition(rng, size, stride, mode):
    x, filters = random_case(rng, size, stride)
    with jax.enable_x64(True):
        y = adaptive_filter(
            jnp.asarray(x), jnp.asarray(filters), size=size, stride=stride, mode=mode
        )
        np.testing.assert_allclose(y, by_definition(x, filters, size, stride, mode), atol=1e-12)


@pytest.mark.parametrize("size, stride", [(3, 1), (3, 2), (5, 2), (3, 3), (1, 2)])
def test_gradients_of_second_order_in_both_modes(rng, size, stride):
    with jax.enable_x64(True):
        x, filters = (jnp.asarray(a[:1]) for a in random_case(rng, size, stride))
        operator = functools.partial(adaptive_filter, size=size, stride=stride)
        check_grads(lambda *args: operator(*args) ** 2, (x, filters), 2, modes=("fwd", "rev"))


def test_vmap_with_one_mapped_argument_equals_a_loop(rng):
    x, filters = random_case(rng, 3, 2)
    x, many = jnp.asarray(x), jnp.asarray(np.stack([filters, -filters, 2 * filters]))
    operator = functools.partial(adaptive_filter, x, size=3, stride=2)
    mapped = jax.jit(jax.vmap(operator))(many)
    np.testing.assert_allclose(mapped, jnp.stack([operator(f) for f in many]), atol=1e-6)


def test_half_precision_accumulates_in_float32(rng):
    x, filters = random_case(rng, 3, 2)
    y = adaptive_filter(
        jnp.asarray(x, jnp.bfloat16), jnp.asarray(filters, jnp.bfloat16), size=3, stride=2
    )
    rounded = [np.asarray(jnp.asarray(a, jnp.bfloat16), np.float64) for a in (x, filters)]
    expected = by_definition(*rounded, 3, 2, "reflect")
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, rtol=2**-8, atol=1e-6)


def test_normalization_sums(rng):
    logits = jnp.asarray(rng.normal(size=(1, 2, 2, 18)), jnp.float32)
    joint = normalize_filters(logits, groups=2)
    np.testing.assert_allclose(joint.sum(-1), 1.0, rtol=1e-6)
    each = normalize_filters(logits, groups=2, normalization="per_group")
    np.testing.assert_allclose(each.reshape(1, 2, 2, 2, 9).sum(-1), 1.0, rtol=1e-6)
    ratio = each / joint  # the same filters up to one gain per group
    np.testing.assert_allclose(ratio[..., :9], np.repeat(ratio[..., :1], 9, -1), rtol=1e-5)


X = jnp.zeros((1, 6, 6, 4))


@pytest.mark.parametrize(
    "x, filters, options, message",
    [
        (X[0], jnp.zeros((1, 3, 3, 9)), {}, "x must have shape"),
        (X, jnp.zeros((1, 3, 3, 9)), {"size": 2}, "size must be a positive odd integer"),
        (X, jnp.zeros((1, 6, 6, 9)), {}, r"filters must have shape \(1, 3, 3\)"),
        (X, jnp.zeros((1, 3, 3, 10)), {}, "filters must have shape"),
        (X, jnp.zeros((1, 3, 3, 27)), {}, "3 groups of 9 taps, and x has 4 channels"),
        (X, jnp.zeros((1, 3, 3, 9)), {"mode": "wrap"}, "mode must be one of"),
    ],
)
def test_bad_input_is_named(x, filters, options, message):
    with pytest.raises(ValueError, match=message):
        adaptive_filter(x, filters, **{"size": 3, "stride": 2, **options})


def test_bad_normalization_is_named():
    with pytest.raises(ValueError, match="multiple of groups=4"):
        normalize_filters(jnp.zeros((1, 18)), groups=4)
    with pytest.raises(ValueError, match="normalization must be 'joint' or 'per_group'"):
        normalize_filters(jnp.zeros((1, 18)), groups=2, normalization="l1")
