import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import signal

from aa_jax.filters import (
    binomial,
    factorize,
    firwin_jinc,
    firwin_sinc,
    frequency_response,
    frequency_response_2d,
    gaussian,
    stopband_leakage,
)


@given(st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from([1.0, 2.0, 48000.0]))
def test_magnitude_is_scipys_freqz(numtaps, seed, rate):
    taps = np.random.default_rng(seed).standard_normal(numtaps)
    frequencies = np.linspace(0, rate / 2, 33)
    _, expected = signal.freqz(taps, worN=frequencies, fs=rate)
    response = frequency_response(taps, frequencies, rate=rate)
    np.testing.assert_allclose(np.abs(response), np.abs(expected), atol=1e-12 * numtaps)


@pytest.mark.parametrize("size", range(1, 8))
def test_binomial_response_is_a_power_of_a_cosine(size):
    frequencies = np.linspace(-0.5, 0.5, 21)
    expected = np.cos(np.pi * frequencies) ** (size - 1)
    np.testing.assert_allclose(
        frequency_response(binomial(size), frequencies), expected, atol=1e-15
    )


def test_wide_gaussian_has_a_gaussian_response():
    frequencies = np.linspace(0, 0.2, 9)
    expected = np.exp(-2 * (np.pi * 3.0 * frequencies) ** 2)
    response = frequency_response(gaussian(3.0, radius=40), frequencies)
    np.testing.assert_allclose(response, expected, atol=1e-13)


def test_two_dimensional_response_is_the_transform():
    taps = np.random.default_rng(0).standard_normal((5, 7))
    expected = np.fft.fft2(taps, (16, 16))
    response = frequency_response_2d(taps, np.fft.fftfreq(16), np.fft.fftfreq(16))
    np.testing.assert_allclose(np.abs(response), np.abs(expected), atol=1e-12)


def test_separable_and_low_rank_filters_have_their_dense_response():
    frequencies = np.linspace(-0.5, 0.5, 9)
    sinc = firwin_sinc(8, 0.2, 0.2, 1.0)
    one = frequency_response(sinc, frequencies)
    np.testing.assert_allclose(
        frequency_response_2d(sinc, frequencies, frequencies), np.outer(one, one), atol=1e-14
    )
    jinc = firwin_jinc(9, 0.2, 0.2, 1.0)
    np.testing.assert_allclose(
        frequency_response_2d(factorize(jinc, tolerance=1e-13), frequencies, frequencies),
        frequency_response_2d(jinc, frequencies, frequencies),
        atol=1e-11,
    )


def test_cutoff_is_where_the_amplitude_is_one_half():
    taps = firwin_sinc(101, 10.0, 4.0, 64.0)
    assert abs(frequency_response(taps, 10.0, rate=64.0)) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("size", range(2, 8))
def test_leakage_of_a_binomial_in_closed_form(size):
    # cos(πf)^(size-1) falls all the way, so that the edge is the worst.
    expected = 20 * (size - 1) * math.log10(math.cos(math.pi * 0.25))
    assert stopband_leakage(binomial(size), 0.25) == pytest.approx(expected, abs=1e-9)


def test_leakage_of_the_identity_and_of_a_perfect_zero():
    assert stopband_leakage(np.ones(1), 0.25) == pytest.approx(0.0, abs=1e-12)
    assert stopband_leakage(np.array([0.25, 0.5, 0.25]), 0.5) == -math.inf


@pytest.mark.parametrize("numtaps", [12, 24, 33])
def test_kaiser_designs_leak_about_what_they_promise(numtaps):
    width = 0.3
    promised = signal.kaiser_atten(numtaps, 2 * width)
    taps = firwin_sinc(numtaps, 0.2, width, 1.0)
    assert stopband_leakage(taps, 0.2 + width / 2) == pytest.approx(-promised, rel=0.15)


def test_leakage_finds_the_highest_lobe():
    taps = firwin_sinc(24, 4.0, 4.0, 64.0)
    dense = np.abs(frequency_response(taps, np.linspace(6.0, 32.0, 200_001), rate=64.0)).max()
    assert stopband_leakage(taps, 6.0, rate=64.0) == pytest.approx(20 * math.log10(dense), abs=0.05)


def test_two_dimensional_leakage_looks_in_every_direction():
    # The outer product passes the corner of its square: (0.2, 0.2) lies outside the disc of 0.25.
    sinc, jinc = firwin_sinc(24, 0.2, 0.1, 1.0), firwin_jinc(24, 0.2, 0.1, 1.0)
    square = stopband_leakage(np.outer(sinc, sinc), 0.25)
    diagonal = 0.25 / math.sqrt(2)
    at_corner = abs(frequency_response(sinc, diagonal)) ** 2
    assert square >= 20 * math.log10(at_corner) - 1e-9
    assert square > -6.0
    assert stopband_leakage(jinc, 0.25) < -20.0
    assert stopband_leakage(factorize(jinc), 0.25) == pytest.approx(
        stopband_leakage(jinc, 0.25), abs=1e-3
    )


@given(st.integers(0, 2**32 - 1))
def test_two_dimensional_leakage_bounds_a_grid_of_samples(seed):
    taps = np.random.default_rng(seed).uniform(0.1, 1.0, (4, 3))
    grid = np.linspace(-0.5, 0.5, 41)
    response = np.abs(frequency_response_2d(taps, grid, grid))
    outside = np.hypot(grid[:, None], grid[None, :]) >= 0.3
    worst = 20 * math.log10(response[outside].max() / taps.sum())
    assert stopband_leakage(taps, 0.3) >= worst - 0.05


def test_bad_arguments():
    with pytest.raises(ValueError, match="taps must be 1-D"):
        frequency_response(np.ones((2, 2)), [0.1])
    with pytest.raises(ValueError, match="taps must be 1-D .*, 2-D or LowRank"):
        frequency_response_2d(np.ones((2, 2, 2)), [0.1], [0.1])
    with pytest.raises(ValueError, match="horizontal must be 1-D"):
        frequency_response_2d(np.ones(2), [0.1], 0.1)
    with pytest.raises(ValueError, match="rate must be"):
        frequency_response(np.ones(2), [0.1], rate=0.0)
    with pytest.raises(ValueError, match="stopband must lie in"):
        stopband_leakage(np.ones(2), 0.6)
    with pytest.raises(ValueError, match="response at DC"):
        stopband_leakage(np.array([1.0, -1.0]), 0.2)
