"""The rules of differentiation, against differences of the sum written out."""

import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.ops.splat.terms import derivative
from aa_jax.ops.splat.window import Window

POINTS = 5
POSITIONS = np.array([[0.3, -0.2], [1.1, 0.8], [-0.6, 0.4]])
FEW = ((0, 0, 0, 0), (0, 1, 0, 1), (0, 1, 2, 0))
MANY = tuple((0, a, b, a) for a in range(3) for b in range(3))


def summed(geometry, coefficients, terms, window):
    """Sums (channels, positions) as their definition reads."""
    x, y, xx, xy, yy, log = np.asarray(geometry)
    out = np.zeros((1 + max(c for *_, c in terms), len(POSITIONS)))
    for (n, a, b, c), factor in zip(terms, np.asarray(coefficients), strict=True):
        for q, (u, v) in enumerate(POSITIONS):
            dx, dy = u - x, v - y
            r = xx * dx**2 + 2 * xy * dx * dy + yy * dy**2
            profile = np.asarray(window.profile(n, r, np.exp(-r / 2)))
            out[c, q] += np.sum(np.exp(log) * profile * dx**a * dy**b * factor)
    return out


@pytest.mark.parametrize("terms", [FEW, MANY], ids=["few", "many"])
@pytest.mark.parametrize("window", [Window(), Window(4.0, "smooth")], ids=["gauss", "smooth"])
def test_derivative(rng, x64, window, terms):
    shape = rng.normal(size=(6, POINTS)) * 0.3
    shape[2:5] += np.array([1.2, 0, 0.9])[:, None]
    tangent = rng.normal(size=(6, POINTS))
    coefficients = rng.normal(size=(len(terms), POINTS))
    rule = derivative(terms, window)
    assert len(set(rule.targets)) == len(rule.targets)
    moved = rule.of_coefficients(
        jnp.asarray(shape), jnp.asarray(tangent), jnp.asarray(coefficients)
    )
    actual = summed(shape, moved, rule.targets, window)
    step = 1e-5
    ahead, behind = (
        summed(shape + s * step * tangent, coefficients, terms, window) for s in (1, -1)
    )
    np.testing.assert_allclose(actual, (ahead - behind) / (2 * step), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("terms", [FEW, MANY], ids=["few", "many"])
def test_derivative_of_moments(rng, x64, terms):
    """The two ways of applying a rule are each other's transpose."""
    rule = derivative(terms, Window())
    geometry, tangent = (jnp.asarray(rng.normal(size=(6, POINTS))) for _ in range(2))
    coefficients = jnp.asarray(rng.normal(size=(len(terms), POINTS)))
    moments = jnp.asarray(rng.normal(size=(len(rule.targets), POINTS)))
    one = jnp.vdot(rule.of_coefficients(geometry, tangent, coefficients), moments)
    other = jnp.vdot(coefficients, rule.of_moments(geometry, tangent, moments, len(terms)))
    np.testing.assert_allclose(one, other, rtol=1e-12)
