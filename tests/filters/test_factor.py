import dataclasses

import numpy as np
import pytest
from hypothesis import given, strategies as st

from aa_jax.filters import LowRank, binomial, factorize, firwin_jinc

# Radial filters of an alias-free generator at 256 pixels: (numtaps, cutoff, width, rate).
RADIAL = [
    (12, 2.0, 12.0, 32.0),
    (12, 5.65685425, 20.6862915, 64.0),
    (12, 45.254834, 37.49033201, 256.0),
]


@pytest.mark.parametrize("design", RADIAL)
def test_radial_filters_have_small_rank(design):
    taps = firwin_jinc(*design)
    factors = factorize(taps, tolerance=1e-6)
    assert factors.rank <= 4
    deviation = np.max(np.abs(factors.dense() - taps)) / np.max(np.abs(taps))
    assert deviation <= 1e-6
    assert factors.error == pytest.approx(deviation, rel=1e-6)


@given(st.integers(1, 7), st.integers(1, 7))
def test_separable_filters_have_rank_one(height, width):
    taps = np.outer(binomial(height), binomial(width))
    factors = factorize(taps, tolerance=1e-12)
    assert factors.rank == 1 and factors.shape == (height, width)
    np.testing.assert_allclose(factors.dense(), taps, atol=1e-15)


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_full_rank_is_exact_for_any_filter(height, width, seed):
    taps = np.random.default_rng(seed).standard_normal((height, width))
    factors = factorize(taps, tolerance=0.0)
    assert factors.rank <= min(height, width)
    np.testing.assert_allclose(factors.dense(), taps, atol=1e-13)


def test_rank_is_the_smallest_that_meets_the_tolerance():
    taps = firwin_jinc(13, 0.25, 0.2, 1.0)
    for tolerance in (1e-1, 1e-3, 1e-5, 1e-8):
        factors = factorize(taps, tolerance=tolerance)
        assert factors.error <= tolerance
        if factors.rank > 1:
            assert factorize(taps, max_rank=factors.rank - 1, tolerance=0.0).error > tolerance


def test_truncation_is_optimal_in_least_squares():
    taps = np.random.default_rng(1).standard_normal((6, 9))
    eigenvalues = np.sort(np.linalg.eigvalsh(taps @ taps.T))[::-1]
    for rank in range(1, 6):
        residual = factorize(taps, max_rank=rank, tolerance=0.0).dense() - taps
        # Eckart-Young: the squared residual is the sum of the eigenvalues left out.
        assert np.sum(residual**2) == pytest.approx(eigenvalues[rank:].sum(), rel=1e-10)


def test_max_rank_wins_and_the_error_says_so():
    factors = factorize(np.eye(5), tolerance=1e-9, max_rank=2)
    assert factors.rank == 2
    assert factors.error == pytest.approx(1.0)


def test_filter_of_zeros():
    assert factorize(np.zeros((3, 4))).error == 0.0


def test_equal_contents_are_equal_and_hash_alike():
    taps = firwin_jinc(*RADIAL[0])
    first, second = factorize(taps), factorize(taps.copy())
    assert first == second and hash(first) == hash(second) and first is not second
    assert len({first, second}) == 1
    assert first != factorize(taps, max_rank=1)
    assert first != dataclasses.replace(first, vertical=first.vertical * 2)
    assert first != "a filter"
    zeros = LowRank([[0.0, 1.0]], [[1.0]]), LowRank([[-0.0, 1.0]], [[1.0]])
    assert zeros[0] == zeros[1] and hash(zeros[0]) == hash(zeros[1])


def test_same_bytes_in_another_shape_are_another_filter():
    assert LowRank(np.ones((2, 3)), np.ones((2, 1))) != LowRank(np.ones((1, 6)), np.ones((1, 2)))


def test_contents_cannot_change():
    source = np.ones((1, 3))
    factors = LowRank(source, np.ones((1, 2)))
    source[:] = 7.0
    np.testing.assert_array_equal(factors.vertical, np.ones((1, 3)))
    with pytest.raises(ValueError, match="read-only"):
        factors.vertical[0, 0] = 2.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        factors.error = 1.0


@pytest.mark.parametrize(
    ("vertical", "horizontal", "message"),
    [
        (np.ones(3), np.ones((1, 3)), "vertical must have shape"),
        (np.ones((1, 3)), np.ones((1, 0)), "horizontal must have shape"),
        (np.ones((2, 3)), np.ones((1, 3)), "same rank .* got 2 and 1"),
        (np.full((1, 3), np.nan), np.ones((1, 3)), "vertical must hold finite"),
    ],
)
def test_bad_factors(vertical, horizontal, message):
    with pytest.raises(ValueError, match=message):
        LowRank(vertical, horizontal)


@pytest.mark.parametrize(
    ("taps", "options", "message"),
    [
        (np.ones(3), {}, r"filter_2d must be .* got shape \(3,\)"),
        (np.ones((0, 3)), {}, "filter_2d must be a non-empty"),
        (np.full((2, 2), np.inf), {}, "filter_2d must hold finite"),
        (np.ones((2, 2)), {"tolerance": -1.0}, "tolerance"),
        (np.ones((2, 2)), {"tolerance": float("nan")}, "tolerance"),
        (np.ones((2, 2)), {"max_rank": 0}, "max_rank"),
    ],
)
def test_bad_filters(taps, options, message):
    with pytest.raises(ValueError, match=message):
        factorize(taps, **options)
