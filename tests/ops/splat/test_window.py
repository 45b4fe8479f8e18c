"""The profiles of windows, numerically."""

import math

import numpy as np
import pytest

from aa_jax.ops.splat.window import Window


def profile(window, n, r):
    return np.asarray(window.profile(n, r, np.exp(-r / 2)))


def test_smooth_profile(x64):
    """A Gaussian's, times a step of fifth degree that ends at the edge."""
    r = np.array([0, 1.0, 4.5, 9, 30])
    step = [1, *(1 - 10 * t**3 + 15 * t**4 - 6 * t**5 for t in (1 / 9, 1 / 2)), 0, 0]
    np.testing.assert_allclose(
        profile(Window(3.0, "smooth"), 0, r), np.exp(-r / 2) * step, rtol=1e-12, atol=1e-16
    )


@pytest.mark.parametrize("n", [0, 1, 2])
def test_derivatives_of_the_profile(x64, n):
    window = Window(2.5, "smooth")
    # Across the edge too, at 6.25, where the third derivative jumps: sums cut it off themselves.
    r, step = np.linspace(0.01, 7 if n < 2 else 6.2, 40), 1e-6
    slope = (profile(window, n, r + step) - profile(window, n, r - step)) / (2 * step)
    np.testing.assert_allclose(profile(window, n + 1, r), slope, atol=1e-8)


@pytest.mark.parametrize(
    "window", [Window(), Window(2.0), Window(2.0, "smooth"), Window(2.0, "square")]
)
def test_log_profile(x64, window):
    r = np.array([0.0, 0.7, 3.9, 4.1, 12])
    log = np.asarray(window.log_profile(r))
    ends = window.kind != "square" and not math.isinf(window.radius)
    expected = np.where(ends & (r > 4), 0, profile(window, 0, r))
    np.testing.assert_allclose(np.exp(log), expected, rtol=1e-12)


def test_two_derivatives_vanish_at_the_edge(x64):
    window = Window(3.0, "smooth")
    for n in range(3):
        assert profile(window, n, np.array([9.0]))[0] == 0
    assert profile(window, 3, np.array([9.0 - 1e-9]))[0] != 0
