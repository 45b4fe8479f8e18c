"""The module against the operators it calls."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.nn import GaussianMixture
from aa_jax.ops.splat import interpolate, splat

RNG = np.random.default_rng(0)
POINTS = RNG.uniform(0, 20, (30, 2)).astype(np.float32)
VALUES = RNG.uniform(size=(30, 3)).astype(np.float32)
WIDTHS = RNG.uniform(0.5, 3, (30, 2)).astype(np.float32)


@pytest.mark.parametrize(("normalize", "draw"), [(True, interpolate), (False, splat)])
def test_new_module_renders_the_given_widths(normalize, draw):
    model = GaussianMixture(POINTS, VALUES, WIDTHS, normalize=normalize, least_width=0.3)
    expected = draw(POINTS, VALUES, WIDTHS, size=(15, 20), support=4.0, window="smooth")
    np.testing.assert_allclose(model((15, 20)).image, expected.image, rtol=1e-4, atol=1e-5)


def test_any_parameters_make_positive_definite_covariances():
    model = GaussianMixture(POINTS, VALUES, least_width=0.2)
    model.log_scales[...] = jnp.asarray(RNG.normal(size=(30, 2)) * 4, jnp.float32)
    model.shear[...] = jnp.asarray(RNG.normal(size=30) * 9, jnp.float32)
    assert np.linalg.eigvalsh(np.asarray(model.covariances(), np.float64)).min() >= 0.2**2 * 0.99


def test_every_parameter_learns():
    model = GaussianMixture(POINTS, VALUES, WIDTHS, capacity=900)
    model.shear[...] += 0.3
    target = jnp.asarray(RNG.uniform(size=(15, 20, 3)), jnp.float32)
    gradient = nnx.grad(lambda m: jnp.mean((m((15, 20)).image - target) ** 2))(model)
    leaves = jax.tree.leaves(gradient)
    assert len(leaves) == 4
    assert all(np.isfinite(leaf).all() and np.any(leaf) for leaf in leaves)


def test_queries_and_scale_are_handed_on():
    model = GaussianMixture(POINTS, VALUES, WIDTHS)
    large = model((30, 40), scale=2.0, footprint=0.5).image
    options = {"scale": 2.0, "footprint": 0.5, "support": 4.0, "window": "smooth"}
    expected = interpolate(POINTS, VALUES, WIDTHS, size=(30, 40), **options).image
    np.testing.assert_allclose(large, expected, rtol=1e-4, atol=1e-5)
    at = model(queries=np.array([[3.0, 4.0]])).image
    np.testing.assert_allclose(at[0], model((15, 20)).image[4, 3], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": POINTS[:5]}, r"points and values must .*\(5, 2\) and \(30, 3\)"),
        ({"width": np.ones(7)}, r"width must be .*got \(7,\)"),
        ({"width": 0.1}, r"width must be greater than least_width=0.2, got 0.1"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"points": POINTS, "values": VALUES, "width": 1.0} | change
    with pytest.raises(ValueError, match=message):
        GaussianMixture(**arguments)
