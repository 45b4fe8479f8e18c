"""Derivatives: against those JAX takes of the plain formulas, and numerically, to second order."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.ops.splat import interpolate, splat
from tests.ops.splat import oracle
from tests.tolerances import relative_error

SIZE = 5, 6
POINTS = 12
CASES = {
    "ellipse": ("expectation", {"support": 3.0, "window": "ellipse"}),
    "smooth": ("expectation", {"support": 4.0, "window": "smooth", "footprint": 0.4, "scale": 0.8}),
    "sum": ("total", {"support": 3.0, "window": "smooth", "footprint": 0.5, "scale": 0.7}),
}


def arguments(rng, points):
    """Points, values and factors of covariances: however they change, those stay symmetric."""
    return (
        jnp.asarray(rng.uniform(-1, 6, (points, 2))),
        jnp.asarray(rng.normal(size=(points, 2))),
        jnp.asarray(oracle.factors(rng, points)),
    )


@pytest.mark.parametrize("name", CASES)
def test_equal_those_of_the_formulas(rng, x64, name):
    """Gradients, and products of the Hessian with a direction."""
    model, options = CASES[name]
    primals, direction = arguments(rng, POINTS), arguments(rng, POINTS)
    signal = rng.normal(size=(SIZE[0] * SIZE[1], 2))

    def fast(points, values, factor):
        covariance = oracle.squared(factor)
        if model == "total":
            image = splat(points, values, covariance, size=SIZE, **options).image
        else:
            image = interpolate(
                points, values, covariance, size=SIZE, fallback=0.0, **options
            ).image
        return jnp.sum(jnp.sin(image.reshape(-1, 2)) * signal)

    def plain(points, values, factor):
        dense = getattr(oracle, model)
        covariance = oracle.squared(factor)
        image, _ = dense(points, values, covariance, oracle.grid(*SIZE), xp=jnp, **options)
        return jnp.sum(jnp.sin(image) * signal)

    def both_orders(function):
        return jax.jit(functools.partial(jax.jvp, jax.grad(function, (0, 1, 2))))

    actual = both_orders(fast)(primals, direction)
    expected = both_orders(plain)(primals, direction)
    for ours, theirs in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert np.abs(theirs).max() > 1e-3
        assert relative_error(ours, theirs) < 1e-9


BOTH, REVERSE = ("fwd", "rev"), ("rev",)
NUMERIC = {
    "constant": (BOTH, interpolate, {"support": None, "fallback": 0.0}),
    # A plane takes the longest to compile, and nothing but arithmetic after the same sums.
    "linear": (
        *(REVERSE, interpolate),
        {"support": None, "fallback": 0.0, "regression": "linear"},
    ),
    "smooth": (BOTH, interpolate, {"support": 6.0, "window": "smooth", "fallback": 0.0}),
    "sum": (BOTH, splat, {"support": None, "footprint": 0.5, "scale": 0.8}),
}


@pytest.mark.parametrize("name", NUMERIC)
def test_numerically(rng, x64, name):
    """Both modes and all their compositions, or the gradient and its own."""
    modes, function, options = NUMERIC[name]

    @jax.jit
    def run(points, values, factor):
        return function(points, values, oracle.squared(factor), size=SIZE, **options).image

    check_grads(run, arguments(rng, 4), order=2, modes=modes, eps=1e-5)


def test_of_each_width(rng, x64):
    """Widths per axis, of each point or of all, and a single number get their own gradient."""
    points, values, _ = arguments(rng, POINTS)
    signal = rng.normal(size=(*SIZE, 2))

    def loss(width):
        return jnp.sum(interpolate(points, values, width, size=SIZE, support=None).image * signal)

    def plain(width):
        image, _ = oracle.expectation(
            points, values, width, oracle.grid(*SIZE), support=None, window="ellipse", xp=jnp
        )
        return jnp.sum(image * signal.reshape(-1, 2))

    axes = jnp.asarray(rng.uniform(0.6, 1.8, (POINTS, 2)))
    for width in (axes, axes[:1], axes[0, 0]):
        gradient = jax.jit(jax.grad(loss))(width)
        assert gradient.shape == width.shape
        assert relative_error(gradient, jax.jit(jax.grad(plain))(width)) < 1e-10
