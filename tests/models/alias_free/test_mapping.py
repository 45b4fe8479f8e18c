"""The mapping network against the reference arrays, and what it refuses."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.alias_free import MappingNetwork
from tests.models.alias_free.official import assign, below
from tests.tolerances import relative_error


@pytest.fixture(params=["u", "c"])
def network(request, golden):
    arrays = below(golden("alias_free/mapping.npz"), f"{request.param}:")
    c_dim = arrays["c"].shape[1]
    mapping = MappingNetwork(24, c_dim, 20, int(arrays["num_ws"]), rngs=nnx.Rngs(0))
    assign(mapping, below(arrays, "p:"))
    return mapping, arrays, arrays["c"] if c_dim else None


def test_latents_and_truncation(network):
    mapping, arrays, c = network
    w = mapping(arrays["z"], c)
    assert relative_error(w, np.repeat(arrays["w"][:, None], w.shape[1], axis=1)) <= 2e-6
    w = mapping(arrays["z"], c, truncation_psi=0.7)
    assert relative_error(w, arrays["w_trunc0.7"]) <= 2e-6
    w = mapping(arrays["z"], c, truncation_psi=-0.5, truncation_cutoff=6)
    assert relative_error(w, arrays["w_trunc-0.5_cut6"]) <= 2e-6


def test_mean_follows_the_batch(network):
    mapping, arrays, c = network
    mapping(arrays["z"], c, update_emas=True)
    assert relative_error(mapping.w_avg[...], arrays["w_avg_after_update"]) <= 1e-6


def test_layers_start_with_unit_power():
    mapping = MappingNetwork(256, 0, 256, rngs=nnx.Rngs(0))
    w = mapping(np.random.default_rng(0).standard_normal((64, 256)).astype(np.float32))
    assert w.shape == (64, 256)
    np.testing.assert_allclose(np.mean(np.square(w)), 1, atol=0.15)
    # A hundredth of the learning rate: stored weights a hundred times as large.
    np.testing.assert_allclose(np.std(mapping.layers[0].kernel[...]), 100, rtol=0.02)


def test_truncation_has_a_gradient_with_respect_to_psi():
    mapping = MappingNetwork(4, 0, 3, 2, rngs=nnx.Rngs(0))
    z = jnp.ones((1, 4))
    slope = jax.grad(lambda psi: mapping(z, truncation_psi=psi).sum())(jnp.float32(1.0))
    np.testing.assert_allclose(slope, mapping(z).sum(), rtol=1e-5)


@pytest.mark.parametrize(
    ("c_dim", "z", "c", "message"),
    [
        (0, (2, 4), (2, 3), r"c must be None, this network takes no class vectors, got shape"),
        (3, (2, 4), None, r"c must be class vectors \(N, 3\), got None"),
        (3, (2, 4), (2, 2), r"c must be \(2, 3\), got shape \(2, 2\)"),
        (3, (2, 4), (1, 3), r"c must be \(2, 3\), got shape \(1, 3\)"),
        (0, (2, 5), None, r"z must be \(2, 4\), got shape \(2, 5\)"),
        (0, None, None, r"z must be latents \(N, 4\), got None"),
    ],
)
def test_bad_input_is_named(c_dim, z, c, message):
    mapping = MappingNetwork(4, c_dim, 3, 2, rngs=nnx.Rngs(0))
    z, c = (None if shape is None else jnp.zeros(shape) for shape in (z, c))
    with pytest.raises(ValueError, match=message):
        mapping(z, c)


def test_without_a_mean_nothing_can_be_truncated():
    mapping = MappingNetwork(4, 0, 3, w_avg_beta=None, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="w_avg_beta is None"):
        mapping(jnp.zeros((1, 4)), truncation_psi=0.5)
    with pytest.raises(ValueError, match="truncation_cutoff must be None without num_ws"):
        mapping(jnp.zeros((1, 4)), truncation_cutoff=3)
    with pytest.raises(ValueError, match="z_dim or c_dim must be positive"):
        MappingNetwork(0, 0, 3, rngs=nnx.Rngs(0))
