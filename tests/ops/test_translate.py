"""Translations: reference arrays, a direct NumPy sum, sinusoids moved by arithmetic, masks."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jax import numpy as jnp

from aa_jax.ops.translate import translate_lanczos, translate_sinc, translate_whole
from tests.tolerances import relative_error

HEIGHT, WIDTH = 13, 16
whole = jax.jit(translate_whole)
lanczos = jax.jit(translate_lanczos)
sinc = jax.jit(translate_sinc)


@pytest.fixture(scope="module")
def image():
    values = np.random.default_rng(3).standard_normal((2, HEIGHT, WIDTH, 3))
    return values.astype(np.float32)


def test_agree_with_reference(golden):
    arrays = golden("alias_free/eq_operators.npz")
    x = jnp.asarray(np.moveaxis(arrays["x"], 1, -1))
    for i in range(2):
        shift = np.round(arrays["t_int"][i, ::-1] * 48).astype(np.int32)
        fraction = (arrays["t_frac"][i, ::-1] * 48).astype(np.float32)
        for name, (moved, mask) in (
            (f"int{i}", whole(x, shift)),
            (f"frac{i}", lanczos(x, fraction)),
        ):
            assert relative_error(moved, np.moveaxis(arrays[name], 1, -1)) <= 1e-6, name
            np.testing.assert_array_equal(mask, arrays[f"{name}_mask"] == 1)


@given(st.integers(-20, 20), st.integers(-20, 20))
@settings(max_examples=25)
def test_whole_shift_moves_samples(rows, columns):
    x = np.arange(1.0, 1 + HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH, 1)
    moved, mask = whole(x, np.array([rows, columns], np.int32))
    expected = np.zeros_like(x)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            source = row - rows, column - columns
            if 0 <= source[0] < HEIGHT and 0 <= source[1] < WIDTH:
                expected[row, column] = x[source]
    np.testing.assert_array_equal(moved, expected)
    np.testing.assert_array_equal(mask, expected[..., 0] > 0)


@given(st.integers(-1280, 1280), st.integers(-1280, 1280))
@settings(max_examples=25)
def test_fractional_shift_is_the_published_sum(rows, columns):
    rows, columns = rows / 64, columns / 64
    x = np.random.default_rng(0).standard_normal((HEIGHT, WIDTH, 1)).astype(np.float32)
    moved, mask = lanczos(x, np.array([rows, columns], np.float32))
    expected, valid = x[..., 0].astype(np.float64), []
    for axis, amount in enumerate((rows, columns)):
        size = expected.shape[axis]
        floor = int(np.floor(amount))
        taps = np.arange(-2, 4)
        weights = np.sinc(taps - amount + floor) * np.sinc((taps - amount + floor) / 3)
        matrix = np.zeros((size, size))
        for tap, weight in zip(taps, weights / weights.sum(), strict=True):
            matrix += weight * np.eye(size, k=-(floor + tap))
        expected = np.moveaxis(np.tensordot(matrix, expected, ((1,), (axis,))), 0, axis)
        inside = np.zeros(size, bool)
        inside[max(floor + 3, 0) : max(size + min(floor - 2, 0), 0)] = True
        valid.append(inside)
    np.testing.assert_allclose(moved[..., 0], expected, atol=3e-6)
    np.testing.assert_array_equal(mask, valid[0][:, None] & valid[1])


@pytest.mark.parametrize(("move", "error"), [(lanczos, 0.03), (sinc, 1.5e-3)])
def test_sinusoids_move(move, error):
    rows, columns = np.mgrid[:40, :40].astype(np.float64)

    def waves(down, right):
        y, x = rows - down, columns - right
        return np.stack([np.sin(2 * np.pi * (0.21 * x + 0.3)), np.cos(2 * np.pi * 0.3 * y)], -1)

    moved, mask = move(waves(0, 0).astype(np.float32), np.array([1.4, -2.7], np.float32))
    assert mask.sum() > 600
    assert np.abs(moved - waves(1.4, -2.7))[np.asarray(mask)].max() <= error


@pytest.mark.parametrize("move", [lanczos, sinc])
def test_whole_amounts_are_exact_and_constants_pass(image, move):
    moved, mask = move(image, np.array([2.0, -3.0], np.float32))
    expected, _ = whole(image, np.array([2, -3], np.int32))
    np.testing.assert_allclose(moved, expected, atol=1e-5)
    ones, mask = move(np.ones_like(image), np.array([0.4, 0.9], np.float32))
    np.testing.assert_allclose(ones[:, np.asarray(mask)], 1, atol=1e-6)


def test_mask_of_the_long_kernel_marks_what_it_reads():
    for down in (0.5, -3.25, 4.0):
        x = np.ones((30, 30, 1), np.float32)
        shift = np.array([down, 0.5], np.float32)
        _, mask = sinc(x, shift)
        # The derivative by each row: which rows does an output read?
        reads = jax.jacobian(lambda x, s=shift: sinc(x, s)[0][:, 15, 0])(x)[..., 0].sum(2)
        inside = np.asarray(mask[:, 15])
        start = np.arange(30) - int(np.floor(down)) - 6
        np.testing.assert_array_equal(inside, (start >= 0) & (start + 11 < 30))
        if down % 1:
            assert (np.count_nonzero(np.abs(reads) > 1e-9, axis=1)[inside] == 12).all()


def test_bad_arguments(image):
    with pytest.raises(ValueError, match="translate_lanczos takes fractions"):
        translate_whole(image, (0.5, 1.0))
    with pytest.raises(ValueError, match="shift must be two numbers"):
        translate_lanczos(image, 1.0)
    with pytest.raises(ValueError, match="x must have shape"):
        translate_whole(image[0, 0], (1, 1))
    with pytest.raises(ValueError, match="x must be floating"):
        translate_sinc(image.astype(np.int32), (0.5, 1.0))
