"""Average spectra of pictures whose spectrum is known: noise, a wave, a direct sum."""

import numpy as np
import pytest

from aa_jax.metrics.spectrum import average_spectrum, pixel_statistics

SIZE = 24


@pytest.fixture(scope="module")
def noise():
    values = np.random.default_rng(1).standard_normal((150, SIZE, SIZE, 2))
    return (4 * values + 10).astype(np.float32)


def test_white_noise_has_power_one(noise):
    spectrum = average_spectrum(noise, mean=10.0, std=4.0)
    assert spectrum.power.shape == (96, 96) and (spectrum.size, spectrum.images) == (SIZE, 150)
    # The average of 300 exponential variables at each frequency.
    assert spectrum.power.mean() == pytest.approx(1, abs=0.02)
    assert spectrum.power.std() == pytest.approx(300**-0.5, rel=0.25)


def test_agrees_with_a_direct_sum(rng):
    images = rng.uniform(size=(3, 9, 9, 2))
    spectrum = average_spectrum(images, mean=0.4, std=0.2, beta=5.0, interpolation=3)
    window = np.kaiser(9, 5.0) / np.linalg.norm(np.kaiser(9, 5.0))
    place = np.arange(9)
    waves = np.exp(-2j * np.pi * np.outer(spectrum.frequencies, place)) * window
    transformed = np.einsum("ay,nyxc,bx->nabc", waves, (images - 0.4) / 0.2, waves)
    expected = (np.abs(transformed) ** 2).mean((0, 3))
    np.testing.assert_allclose(spectrum.power, expected, rtol=2e-4, atol=1e-6)


def test_a_wave_is_found_where_it_is():
    place = np.arange(SIZE)
    diagonal = np.cos(2 * np.pi * 0.25 * (place[:, None] + place))[None, :, :, None]
    spectrum = average_spectrum(diagonal, mean=0.0, std=1.0)
    row, column = np.unravel_index(spectrum.power.argmax(), spectrum.power.shape)
    assert abs(spectrum.frequencies[row]) == abs(spectrum.frequencies[column]) == 0.25
    frequency, decibels = spectrum.slice(45)
    assert frequency[decibels.argmax()] == pytest.approx(0.25 * 2**0.5)
    assert frequency[-1] == pytest.approx(0.5**0.5) and frequency[0] == 0
    across, other = spectrum.slice(0)
    assert across[-1] == 0.5 and other.max() < decibels.max() - 40


def test_batches_do_not_matter(noise):
    whole = average_spectrum(noise[:20], mean=10.0, std=4.0)
    parts = average_spectrum([noise[:16], noise[16:20]], mean=10.0, std=4.0)
    np.testing.assert_allclose(parts.power, whole.power, rtol=1e-4)
    assert parts.images == 20


def test_statistics(noise):
    expected = noise.astype(np.float64).mean(), noise.astype(np.float64).std()
    assert pixel_statistics(noise) == pytest.approx(expected)
    assert pixel_statistics(iter([noise[:7], noise[7:]])) == pytest.approx(expected)
    assert pixel_statistics(np.full((1, 2, 2, 1), 200, np.uint8)) == (200, 0)


def test_bad_arguments(noise):
    with pytest.raises(ValueError, match="std must be positive"):
        average_spectrum(noise, mean=0.0, std=0.0)
    with pytest.raises(ValueError, match="interpolation must be a positive integer"):
        average_spectrum(noise, mean=0.0, std=1.0, interpolation=0)
    with pytest.raises(ValueError, match="beta must not be negative"):
        average_spectrum(noise, mean=0.0, std=1.0, beta=-1.0)
    with pytest.raises(ValueError, match="square and of one size"):
        average_spectrum([noise[:2], noise[:2, :8, :8]], mean=0.0, std=1.0)
    with pytest.raises(ValueError, match="at least one image, got none"):
        average_spectrum([], mean=0.0, std=1.0)
    with pytest.raises(ValueError, match="at least one image, got none"):
        pixel_statistics([])
    with pytest.raises(ValueError, match=r"images must be \(N, size, size, C\)"):
        pixel_statistics(noise[0, 0])
    spectrum = average_spectrum(noise[:2], mean=0.0, std=1.0)
    with pytest.raises(ValueError, match="degrees must be one of"):
        spectrum.slice(30)
