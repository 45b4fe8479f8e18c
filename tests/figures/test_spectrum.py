"""What the figure of spectra shows: read back from its axes."""

import numpy as np
import pytest
from PIL import Image

from aa_jax.figures import draw_spectra
from aa_jax.metrics.spectrum import Spectrum


def test_maps_and_cuts(tmp_path):
    place = np.hypot(*np.meshgrid(np.arange(-16, 16), np.arange(-16, 16)))
    real = Spectrum(10.0 ** (1 - place / 8), size=8, images=5)
    generated = Spectrum(np.full((32, 32), 0.1), size=8, images=7)
    path = tmp_path / "spectra.png"
    figure = draw_spectra({"real": real, "generated": generated}, path, smoothing=0)
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == ["real (5 images)", "generated (7 images)", "cut at 0°", "cut at 45°"]
    by_title = {axis.get_title(): axis for axis in figure.axes}
    shown = by_title["real (5 images)"].images[0].get_array()
    np.testing.assert_allclose(shown, 10 - place / 8 * 10, atol=1e-9)
    for title, stretch in (("cut at 0°", 1), ("cut at 45°", 2**0.5)):
        first, second = (line.get_xydata() for line in by_title[title].lines)
        np.testing.assert_allclose(first[:, 0], np.arange(17) / 32 * stretch)
        np.testing.assert_allclose(first[:, 1], 10 - np.arange(17) * stretch / 8 * 10, atol=1e-9)
        np.testing.assert_allclose(second[:, 1], -10, atol=1e-9)
    with Image.open(path) as image:
        assert np.ptp(np.asarray(image.convert("L"))) > 200


def test_needs_a_spectrum():
    with pytest.raises(ValueError, match="at least one spectrum"):
        draw_spectra({})
