import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import integrate, signal

from aa_jax.filters import firwin_jinc, firwin_sinc, kaiser_attenuation, kaiser_beta
from tests.tolerances import STORED, relative_error

# (numtaps, cutoff, width, rate): even and odd lengths, all three branches of beta.
DESIGNS = [(12, 2.0, 12.0, 32.0), (11, 0.21, 0.3, 1.0), (24, 4.0, 8.0, 64.0), (6, 8.0, 5.0, 32.0)]


@pytest.mark.parametrize("design", DESIGNS)
def test_attenuation_and_beta_are_scipys(design):
    numtaps, _, width, rate = design
    attenuation = kaiser_attenuation(numtaps, width, rate)
    assert attenuation == pytest.approx(signal.kaiser_atten(numtaps, width / (rate / 2)), 1e-14)
    assert kaiser_beta(attenuation) == pytest.approx(signal.kaiser_beta(attenuation), 1e-14)


@pytest.mark.parametrize("attenuation", [0.0, 21.0, 21.0001, 35.0, 50.0, 50.0001, 90.0])
def test_beta_at_the_branch_points(attenuation):
    assert kaiser_beta(attenuation) == pytest.approx(signal.kaiser_beta(attenuation), rel=1e-14)


@pytest.mark.parametrize("design", DESIGNS)
def test_sinc_is_scipys_firwin(design):
    numtaps, cutoff, width, rate = design
    expected = signal.firwin(numtaps, cutoff, width=width, fs=rate)
    np.testing.assert_allclose(firwin_sinc(*design), expected, rtol=0, atol=1e-15)


def test_published_designs(golden):
    arrays = golden("alias_free/filters.npz")
    cases = sorted(key[6:] for key in arrays if key.startswith("params"))
    assert len(cases) == 12
    for case in cases:
        numtaps, cutoff, width, rate, radial = arrays[f"params{case}"]
        design = firwin_jinc if radial else firwin_sinc
        taps = design(int(numtaps), cutoff, width, rate)
        assert relative_error(taps, arrays[f"taps{case}"]) <= STORED["float32"], case
        attenuation, beta = arrays[f"atten_beta{case}"]
        assert kaiser_attenuation(int(numtaps), width, rate) == pytest.approx(attenuation, 1e-12)
        assert kaiser_beta(attenuation) == pytest.approx(beta, rel=1e-12)


@pytest.mark.parametrize("numtaps", [11, 12])
def test_jinc_is_the_inverse_transform_of_a_disc(numtaps):
    cutoff, width, rate = 0.2, 0.3, 1.0
    beta = signal.kaiser_beta(signal.kaiser_atten(numtaps, 2 * width))
    window = signal.windows.kaiser(numtaps, beta)

    def ideal(y, x):
        # The disc's transform is real: cosines, one axis done by hand.
        def strip(f):
            half = np.sqrt(cutoff**2 - f**2)
            return np.cos(2 * np.pi * f * x) * 2 * half * np.sinc(2 * half * y)

        return integrate.quad(strip, -cutoff, cutoff, epsabs=1e-13, limit=200)[0]

    offsets = np.arange(numtaps) - (numtaps - 1) / 2
    expected = np.array([[ideal(y, x) for x in offsets] for y in offsets])
    expected *= window[:, None] * window[None, :]
    expected /= expected.sum()
    assert relative_error(firwin_jinc(numtaps, cutoff, width, rate), expected) < 1e-9


@given(
    numtaps=st.integers(1, 40),
    cutoff=st.floats(0.02, 0.5),
    width=st.floats(0.01, 0.6),
    rate=st.sampled_from([1.0, 32.0, 1024.0]),
)
def test_designs_are_symmetric_and_pass_a_constant(numtaps, cutoff, width, rate):
    design = (numtaps, cutoff * rate, width * rate, rate)
    taps = firwin_sinc(*design)
    assert taps.shape == (numtaps,) and taps.dtype == np.float64
    assert taps.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(taps, taps[::-1], atol=1e-12)
    # Only the ratio of frequencies to the rate counts.
    np.testing.assert_allclose(taps, firwin_sinc(numtaps, cutoff, width, 1.0), atol=1e-11)
    square = firwin_jinc(*design)
    assert square.shape == (numtaps, numtaps)
    assert square.sum() == pytest.approx(1.0, abs=1e-12)
    for mirrored in (square.T, square[::-1], square[:, ::-1]):
        np.testing.assert_allclose(square, mirrored, atol=1e-12)


def test_one_tap_is_the_identity_even_at_nyquist():
    np.testing.assert_array_equal(firwin_sinc(1, 128.0, 59.0, 256.0), [1.0])
    np.testing.assert_array_equal(firwin_jinc(1, 128.0, 59.0, 256.0), [[1.0]])


@pytest.mark.parametrize("design", [firwin_sinc, firwin_jinc])
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((0, 0.2, 0.1, 1.0), "numtaps"),
        ((2.5, 0.2, 0.1, 1.0), "numtaps"),
        ((12, 0.0, 0.1, 1.0), "cutoff"),
        ((12, 0.6, 0.1, 1.0), "cutoff"),
        ((12, float("nan"), 0.1, 1.0), "cutoff"),
        ((12, 0.2, 0.0, 1.0), "width"),
        ((12, 0.2, 0.1, -1.0), "rate"),
        ((12, 0.2, 0.1, float("inf")), "rate"),
    ],
)
def test_bad_arguments_are_named(design, arguments, named):
    with pytest.raises(ValueError, match=f"^{named} must"):
        design(*arguments)


def test_beta_refuses_what_is_not_a_number():
    with pytest.raises(ValueError, match="attenuation"):
        kaiser_beta(float("nan"))
