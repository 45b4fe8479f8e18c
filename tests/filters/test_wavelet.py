"""Wavelet filters: published taps, what defines them, and the octave bank."""

import numpy as np
import pytest

from aa_jax.filters import frequency_response, octave_filter_bank, symlet
from tests.tolerances import STORED, relative_error


def test_published_filters(golden):
    arrays = golden("alias_free/augment.npz")
    assert relative_error(symlet(6), arrays["Hz_geom"]) <= STORED["float32"]
    assert relative_error(octave_filter_bank(2, 4), arrays["Hz_fbank"]) <= STORED["float32"]


@pytest.mark.parametrize(
    ("order", "outer"),
    # First and last tap of the filters of unit norm, as tabulated everywhere.
    [
        (1, (0.7071067812, 0.7071067812)),
        (2, (0.4829629131, -0.1294095226)),
        (3, (0.3326705530, 0.0352262919)),
        (4, (-0.0757657148, 0.0322231006)),
        (5, (0.0273330683, 0.0195388827)),
        (7, (0.0102681767, 0.0026818146)),
        (8, (-0.0033824160, 0.0018899503)),
        (9, (0.0014009155, 0.0010694900)),
    ],
)
def test_tabulated_taps(order, outer):
    taps = symlet(order) * np.sqrt(2)
    np.testing.assert_allclose(taps[[0, -1]], outer, atol=1e-8)


@pytest.mark.parametrize("order", range(1, 10))
def test_orthogonal_to_even_shifts_and_flat_at_nyquist(order):
    taps = symlet(order)
    correlation = np.convolve(taps, taps[::-1])[2 * order - 1 :: 2]
    np.testing.assert_allclose(2 * correlation, np.eye(1, order)[0], atol=1e-12)
    assert abs(taps.sum() - 1) < 1e-14
    # Alternating sums of powers up to order - 1 vanish: as many zeros at Nyquist.
    places = np.linspace(-1, 1, 2 * order)
    alternating = taps * (-1.0) ** np.arange(2 * order)
    moments = [alternating @ places**power for power in range(order)]
    np.testing.assert_allclose(moments, 0, atol=1e-11)


def test_energy_lies_before_the_middle():
    for order in range(2, 10):
        taps = symlet(order) ** 2
        assert taps @ np.arange(2 * order) < taps.sum() * (order - 0.5)


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5])
def test_bands_are_symmetric_octaves_that_add_up_to_the_signal(bands):
    bank = octave_filter_bank(2, bands)
    assert bank.shape == (bands, 2 ** (bands - 1) * 6 - 5)
    impulse = np.zeros(bank.shape[1])
    impulse[bank.shape[1] // 2] = 1
    np.testing.assert_allclose(bank.sum(0), impulse, atol=1e-14)
    np.testing.assert_allclose(bank, bank[:, ::-1], atol=1e-14)
    # Cycles per sample; at the centre of an octave its band has more than the others together.
    edges = 0.5 ** np.arange(bands + 1, 0, -1.0)
    edges[0] = 0
    for band in range(bands):
        centre = (edges[band] + edges[band + 1]) / 2
        response = [abs(frequency_response(taps, np.array([centre]))[0]) for taps in bank]
        assert 2 * response[band] > sum(response) * 1.2


@pytest.mark.parametrize("order", [0, 10, 2.0, True, "6"])
def test_other_orders_are_refused(order):
    with pytest.raises(ValueError, match=r"order must be an integer from 1 to 9, got"):
        symlet(order)


@pytest.mark.parametrize("bands", [0, 1.5, True])
def test_other_numbers_of_bands_are_refused(bands):
    with pytest.raises(ValueError, match="bands must be a positive integer, got"):
        octave_filter_bank(2, bands)
