"""The kernel distance against a plain sum over pairs, and the moments of Gaussians."""

import numpy as np
import pytest

from aa_jax.metrics.kernel_distance import draw_subsets, kernel_distance


def by_pairs(x, y) -> float:
    """The published formula, pair by pair in extended precision."""
    x, y = x.astype(np.longdouble), y.astype(np.longdouble)
    size, dim = x.shape

    def kernels(a, b):
        return ((a[:, None] * b).sum(-1) / dim + 1) ** 3

    others = ~np.eye(size, dtype=bool)
    same = (kernels(x, x)[others].sum() + kernels(y, y)[others].sum()) / (size - 1)
    return (same - 2 * kernels(x, y).sum() / size) / size


@pytest.mark.parametrize(("counts", "size"), [((90, 70), 40), ((30, 50), 30)])
def test_equals_the_sum_over_pairs(rng, counts, size):
    real, fake = (np.maximum(rng.standard_normal((n, 24)), 0).astype(np.float32) for n in counts)
    fake *= 1.02
    result = kernel_distance(real, fake, subsets=6, subset_size=40, seed=3)
    drawn = list(draw_subsets(counts, subsets=6, subset_size=size, seed=3))
    expected = np.array([by_pairs(real[i], fake[j]) for i, j in drawn], np.float64)
    np.testing.assert_allclose(result.estimates, expected, rtol=1e-9, atol=1e-14)
    assert result.value == pytest.approx(expected.mean(), rel=1e-9)
    deviation = np.sqrt(np.sum((expected - expected.mean()) ** 2) / 5)
    assert result.standard_error == pytest.approx(deviation / 6**0.5)
    assert result.subset_size == size


def test_unbiased_for_gaussians():
    """In one dimension E k(x, y) = E x^3 E y^3 + 3 E x^2 E y^2 + 3 E x E y + 1."""
    random = np.random.default_rng(8)
    shift = 0.5
    real, fake = random.standard_normal((2, 200_000, 1))
    result = kernel_distance(real, fake + shift, subsets=1000, subset_size=10, seed=1)
    moments = np.array([[0, 1, 0], [shift, 1 + shift**2, 3 * shift + shift**3]])  # raw moments
    difference = moments[1] - moments[0]
    expected = 3 * difference[0] ** 2 + 3 * difference[1] ** 2 + difference[2] ** 2
    assert abs(result.value - expected) < 3 * result.standard_error
    assert result.standard_error < 0.1 * expected
    same = kernel_distance(real[:100_000], real[100_000:], subsets=1000, subset_size=10)
    assert abs(same.value) < 3 * same.standard_error


def test_points_have_a_closed_form():
    real, fake = np.full((5, 2), 2.0), np.full((4, 2), 3.0)
    result = kernel_distance(real, fake, subsets=1)
    assert result.value == 5**3 + 10**3 - 2 * 7**3
    assert np.isnan(result.standard_error)


def test_subsets_are_without_replacement_and_seeded():
    few = list(draw_subsets((9, 20), subsets=3, subset_size=9, seed=5))
    more = list(draw_subsets((9, 20), subsets=5, subset_size=9, seed=5))
    for (rows, columns), (same_rows, same_columns) in zip(few, more, strict=False):
        assert sorted(rows) == list(range(9)) and len(set(columns)) == 9
        np.testing.assert_array_equal(rows, same_rows)
        np.testing.assert_array_equal(columns, same_columns)
    other = next(draw_subsets((9, 20), subsets=1, subset_size=9, seed=6))
    assert (other[1] != few[0][1]).any()


def test_prints():
    result = kernel_distance(np.zeros((4, 1)), np.zeros((5, 1)), subsets=2, seed=7)
    assert str(result) == (
        "kernel distance 0.0000 ± 0.0000 (× 10⁻³; 2 subsets of 4, 4 real and 5 generated, seed 7)"
    )


def test_bad_arguments():
    good = np.zeros((4, 3))
    with pytest.raises(ValueError, match=r"fake must be features .* got shape \(1, 3\)"):
        kernel_distance(good, good[:1])
    with pytest.raises(ValueError, match="one dimension, got 3 and 2"):
        kernel_distance(good, good[:, :2])
    with pytest.raises(ValueError, match="real must be finite"):
        kernel_distance(np.where(np.eye(4, 3) > 0, np.nan, 0), good)
    with pytest.raises(ValueError, match="subsets must be a positive integer"):
        kernel_distance(good, good, subsets=0)
    with pytest.raises(ValueError, match="subset_size must be at least 2"):
        kernel_distance(good, good, subset_size=1)
