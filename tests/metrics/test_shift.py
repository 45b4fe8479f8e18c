"""Shifts against closed forms: waves moved analytically, a direct cosine sum."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aa_jax.metrics.shift import center_crop, circular_shift, crop, fractional_shift, shift_grid

amounts = st.floats(-3, 3, allow_nan=False, width=32)


def _wave(size, cycles, shift=0.0, phase=0.3):
    return np.cos(2 * np.pi * cycles * (np.arange(size) - shift) / size + phase)


@hypothesis.given(
    st.integers(5, 16), st.integers(5, 16), st.integers(0, 2), st.integers(0, 2), amounts, amounts
)
@hypothesis.settings(max_examples=40, deadline=None)
def test_a_sinusoid_moves_as_the_formula_says(height, width, low, high, rows, columns):
    image = np.outer(_wave(height, low), _wave(width, high))[None, :, :, None]
    moved = fractional_shift(image, (rows, columns), boundary="circular")
    expected = np.outer(_wave(height, low, rows), _wave(width, high, columns))
    np.testing.assert_allclose(moved[0, :, :, 0], expected, atol=1e-12)


@hypothesis.given(st.integers(3, 12), amounts)
@hypothesis.settings(max_examples=30, deadline=None)
def test_mirror_evaluates_the_cosine_series_between_samples(size, amount):
    signal = np.random.default_rng(size).standard_normal(size)
    # Cosine series through the samples at x = j + 1/2, evaluated at x - amount.
    order = np.arange(size)
    basis = np.cos(np.pi * order * (np.arange(size)[:, None] + 0.5) / size)
    series = np.linalg.solve(basis, signal)
    expected = np.cos(np.pi * order * (np.arange(size)[:, None] + 0.5 - amount) / size) @ series
    moved = fractional_shift(signal.reshape(1, 1, -1, 1), (0, amount))
    np.testing.assert_allclose(moved.ravel(), expected, atol=1e-11)


@pytest.mark.parametrize("size", [7, 8])
def test_whole_circular_shifts_are_rolls(rng, size):
    images = rng.standard_normal((2, size, size, 3))
    moved = fractional_shift(images, (2, -3), boundary="circular")
    np.testing.assert_allclose(moved, np.roll(images, (2, -3), (1, 2)), atol=1e-12)
    np.testing.assert_array_equal(circular_shift(images, (2, -3)), np.roll(images, (2, -3), (1, 2)))


def test_shifts_add_up_and_undo(rng):
    images = rng.standard_normal((2, 9, 11, 1))  # odd: no Nyquist frequency to lose
    there = fractional_shift(images, (0.3, -1.7), boundary="circular")
    back = fractional_shift(there, (-0.3, 1.7), boundary="circular")
    np.testing.assert_allclose(back, images, atol=1e-12)


def test_a_constant_stays_constant_at_the_border():
    moved = fractional_shift(np.full((1, 6, 6, 1), 0.7, np.float32), (0.5, 0.25))
    np.testing.assert_allclose(moved, 0.7, rtol=1e-6)
    assert moved.dtype == np.float32


def test_mirror_rings_less_than_circular_on_a_ramp():
    """Opposite sides that do not match are what makes the circular extension ring."""
    ramp = np.tile(np.arange(32.0)[None, None, :, None], (1, 4, 1, 1))
    inner = slice(6, 26)
    errors = {
        boundary: np.abs(
            fractional_shift(ramp, (0, 0.5), boundary=boundary)[0, 0, inner, 0]
            - (np.arange(32.0) - 0.5)[inner]
        ).max()
        for boundary in ("mirror", "circular")
    }
    assert errors["mirror"] < 0.02 < 0.5 < errors["circular"]


def test_fractional_crop_lies_between_its_neighbours():
    image = np.tile(_wave(16, 2)[None, None, :, None], (1, 16, 1, 1))
    view = crop(image, (0, 3.25), 8, boundary="circular")
    np.testing.assert_allclose(view[0, 0, :, 0], _wave(16, 2, -3.25)[:8], atol=1e-12)


def test_whole_crops_are_the_pixels(rng):
    images = rng.random((2, 10, 12, 3))
    np.testing.assert_array_equal(crop(images, (1, 4), 8), images[:, 1:9, 4:12])
    np.testing.assert_array_equal(center_crop(images, 5), images[:, 2:7, 3:8])


def test_grid():
    np.testing.assert_array_equal(shift_grid(2, start=1, step=3), [[1, 1], [1, 4], [4, 1], [4, 4]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: crop(x, (0, 3), 6), "does not lie inside"),
        (lambda x: crop(x, (-1, 0), 6), "does not lie inside"),
        (lambda x: circular_shift(x, (0.5, 0)), "whole pixels"),
        (lambda x: fractional_shift(x, (1, 2, 3)), "two finite numbers"),
        (lambda x: fractional_shift(x, (np.nan, 0)), "two finite numbers"),
        (lambda x: fractional_shift(x, (0, 0), boundary="reflect"), "boundary"),
        (lambda x: fractional_shift(x[:0], (0, 0)), "non-empty"),
        (lambda x: shift_grid(0), "at least 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.zeros((1, 8, 8, 1)))
