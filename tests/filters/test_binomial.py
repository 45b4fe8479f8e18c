import numpy as np
import pytest

from aa_jax.filters import binomial

ROWS = {
    1: [1],
    2: [1, 1],
    3: [1, 2, 1],
    4: [1, 3, 3, 1],
    5: [1, 4, 6, 4, 1],
    6: [1, 5, 10, 10, 5, 1],
    7: [1, 6, 15, 20, 15, 6, 1],
}


@pytest.mark.parametrize("size", ROWS)
def test_rows_of_pascals_triangle(size):
    taps = binomial(size)
    np.testing.assert_array_equal(taps * 2 ** (size - 1), ROWS[size])
    assert taps.dtype == np.float64


@pytest.mark.parametrize("size", range(2, 8))
def test_a_row_is_the_previous_one_convolved_with_a_box(size):
    np.testing.assert_array_equal(binomial(size), np.convolve(binomial(size - 1), [0.5, 0.5]))


@pytest.mark.parametrize("size", range(1, 8))
def test_taps_are_exact_in_float32(size):
    taps = binomial(size)
    np.testing.assert_array_equal(taps.astype(np.float32).astype(np.float64), taps)


@pytest.mark.parametrize("size", range(1, 8))
def test_published_blur_kernels(golden, size):
    kernel = golden("anti_aliased/blurpool.npz")[f"filt_{size}"]
    np.testing.assert_array_equal(np.outer(binomial(size), binomial(size)), kernel)


@pytest.mark.parametrize("size", [0, 8, -1, 2.5, "3"])
def test_other_sizes_are_refused(size):
    with pytest.raises(ValueError, match=r"size must be an integer from 1 to 7, got"):
        binomial(size)
