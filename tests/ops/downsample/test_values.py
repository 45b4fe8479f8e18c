"""Every method against an independent form; where outputs lie; sizes that do not divide."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from PIL import Image
from scipy import fft, ndimage

from aa_jax.filters import firwin_jinc, firwin_sinc, gaussian
from aa_jax.ops.adaptive_filter import adaptive_filter
from aa_jax.ops.downsample import (
    METHODS,
    antialias_interpolate,
    downsample,
    low_pass as low_pass_module,
)
from aa_jax.ops.resample import upfirdn2d

CELLS = ("bicubic", "bilinear", "area", "lanczos", "kaiser_sinc", "jinc", "ideal")
PILLOW = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


@pytest.mark.parametrize("phase", ["native", "aligned"])
@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("median", "gaussian")])
def test_constants_stay(method, phase):
    ours = downsample(np.full((1, 26, 33, 2), 0.7, np.float32), 4, method=method, phase=phase)
    np.testing.assert_allclose(ours, 0.7, rtol=1e-5)


@pytest.mark.parametrize("factor", [3, 4])
@pytest.mark.parametrize("method", METHODS)
def test_a_ramp_shows_where_outputs_lie(method, factor):
    """Away from borders, each output of a ramp is the place that it stands for."""
    size = 48 * factor
    ramp = np.broadcast_to(np.arange(size, dtype=np.float32)[:, None, None], (size, 8, 1)) / size
    middle = slice(18, 30)
    beside = (factor - 1) / 2 if method in CELLS else 0
    for phase, shift in (("native", beside), ("aligned", 0)):
        ours = downsample(ramp, factor, method=method, phase=phase)[middle, 1, 0] * size
        expected = factor * np.arange(48)[middle] + shift
        if method == "gaussian":
            ours = ours / downsample(np.ones_like(ramp), factor)[middle, 1, 0]
        # The ideal filter sees the mirror image's corners from afar.
        tolerance = 0.5 if method == "ideal" else 0.02
        np.testing.assert_allclose(ours, expected, atol=tolerance)


@pytest.mark.parametrize("method", [m for m in METHODS if m not in CELLS])
def test_methods_centred_on_kept_pixels_do_not_heed_the_phase(method):
    x = noise(1, 32, 40, 3)
    native, aligned = (downsample(x, 4, method=method, phase=p) for p in ("native", "aligned"))
    np.testing.assert_array_equal(native, aligned)


@pytest.mark.parametrize("factor", [1, 2.5, 4, 4.3])
@pytest.mark.parametrize("method", PILLOW)
def test_pillow_in_mode_f(method, factor):
    x = noise(41, 58, 1)
    ours = downsample(x, factor, method=method)
    size = (int(58 / factor), int(41 / factor))
    expected = np.asarray(Image.fromarray(x[..., 0]).resize(size, PILLOW[method]))
    np.testing.assert_allclose(ours[..., 0], expected, atol=1e-6)


@pytest.mark.parametrize("method", PILLOW)
def test_an_aligned_kernel_is_the_native_one_of_a_shifted_image(method):
    """By an odd factor the centres differ by whole pixels; borders apart, a shift makes up."""
    x = noise(60, 60, 1)
    aligned = downsample(x, 5, method=method, phase="aligned")
    shifted = downsample(np.roll(x, (2, 2), (0, 1)), 5, method=method)
    np.testing.assert_allclose(aligned[4:8, 4:8], shifted[4:8, 4:8], atol=1e-6)


@pytest.mark.parametrize("factor", [4, 5])
def test_aligned_area_is_the_box_around_a_pixel(factor):
    x = noise(8 * factor, 8 * factor, 1).astype(float)
    fine = np.repeat(np.repeat(x[..., 0], 2, 0), 2, 1)  # halves of pixels
    ours = downsample(x[None], factor, method="area", phase="aligned")[0, ..., 0]
    for i, j in ((1, 2), (3, 1), (5, 6)):
        a, b = (2 * factor * k + 1 - factor for k in (i, j))
        expected = fine[a : a + 2 * factor, b : b + 2 * factor].mean()
        np.testing.assert_allclose(ours[i, j], expected, atol=1e-6)


@pytest.mark.parametrize(("phase", "length"), [("native", 24), ("aligned", 25)])
@pytest.mark.parametrize("form", ["kaiser_sinc", "jinc"])
def test_our_low_pass_filters_are_kaiser_designs(form, phase, length):
    x = noise(2, 33, 40, 3)
    design = {"kaiser_sinc": firwin_sinc, "jinc": firwin_jinc}[form]
    taps = design(length, cutoff=1 / 8, width=1 / 8, rate=1.0)
    before = 10 if phase == "native" else 12
    whole = upfirdn2d(x, taps, padding=(before, 14, before, 14), mode="edge")
    ours = downsample(x, 4, method=form, phase=phase)
    rows, columns = ours.shape[1:3]
    assert (rows, columns) == ((8, 10) if phase == "native" else (9, 10))
    expected = whole[:, ::4, ::4][:, :rows, :columns]
    np.testing.assert_allclose(ours, expected, atol=3e-6)


@pytest.mark.parametrize("long", [False, True])
def test_native_ideal_is_a_truncated_cosine_transform(long, monkeypatch):
    if long:
        monkeypatch.setattr(low_pass_module, "_LONG", 8)
        jax.clear_caches()
    x = noise(1, 24, 33, 2)
    ours = downsample(x, 3, method="ideal")
    jax.clear_caches()
    spectrum = fft.dctn(x.astype(float), axes=(1, 2), norm="ortho")[:, :8, :11]
    expected = fft.idctn(spectrum, axes=(1, 2), norm="ortho") / 3
    np.testing.assert_allclose(ours, expected, atol=2e-6)


def test_fourier_transforms_and_matrices_agree_on_aligned_places(monkeypatch):
    x = noise(1, 24, 36, 2)
    matrices = downsample(x, 4, method="ideal", phase="aligned")
    monkeypatch.setattr(low_pass_module, "_LONG", 8)
    jax.clear_caches()
    transforms = downsample(x, 4, method="ideal", phase="aligned")
    jax.clear_caches()
    np.testing.assert_allclose(transforms, matrices, atol=2e-6)


def test_ideal_passes_what_fits_and_nothing_else():
    places = np.arange(64) + 0.5
    for cycles, gain in ((15, 1), (17, 0)):  # half cycles in 64 pixels; the new grid holds 16
        wave = np.cos(np.pi * cycles * places / 64).astype(np.float32)
        ours = downsample(np.broadcast_to(wave[:, None, None], (64, 8, 1)), 4, method="ideal")
        expected = gain * np.cos(np.pi * cycles * (np.arange(16) + 0.5) / 16)
        np.testing.assert_allclose(ours[:, 0, 0], expected, atol=1e-5)


def test_adaptive_is_a_filter_of_its_own_for_every_pixel():
    """The same by `adaptive_filter`, with shares from SciPy's Gaussians."""
    x = noise(1, 24, 28, 3)
    x[:, :, 14:] = np.linspace(0.2, 0.8, 14)[:, None]  # half noise, half smooth

    def blurred(v, sigma):
        for axis in (1, 2):
            radius = round(4 * sigma)
            v = ndimage.correlate1d(v, gaussian(sigma, radius=radius), axis, mode="nearest")
        return v

    low = blurred(x.astype(float), 1.5)
    aliasing = blurred(((x - low) ** 2).sum(-1), 2.0)[:, ::4, ::4]
    mean, square = (blurred(v, 2.0)[:, ::4, ::4] for v in (low, (low**2).sum(-1)))
    variance = square - (mean**2).sum(-1)
    share = (aliasing / (aliasing + variance + (0.5 / 255) ** 2))[..., None]
    rows = [np.pad(gaussian(s), (17 - len(gaussian(s))) // 2) for s in (1.0, 2.0)]
    narrow, wide = (np.outer(row, row).ravel() for row in rows)
    filters = (1 - share) * narrow + share * wide
    expected = adaptive_filter(
        jnp.asarray(x), jnp.asarray(filters, jnp.float32), size=17, stride=4, mode="edge"
    )
    ours = downsample(x, 4, method="adaptive")
    np.testing.assert_allclose(ours, expected, atol=2e-6)
    assert share[0, 3, 1, 0] > 0.5 > share[0, 3, 6, 0]


@pytest.mark.parametrize("phase", ["native", "aligned"])
@pytest.mark.parametrize("method", METHODS)
def test_sizes_that_do_not_divide(method, phase):
    ours = downsample(noise(2, 21, 30, 1), 4, method=method, phase=phase)
    whole = phase == "native" and method in (*CELLS, "nearest")
    assert ours.shape == (2, 5, 7, 1) if whole else (2, 6, 8, 1)


def test_factors_that_are_not_whole():
    x = noise(1, 20, 30, 2)
    np.testing.assert_array_equal(downsample(x, 2.5), antialias_interpolate(x, 0.4))
    nearest = downsample(x, 2.5, method="nearest")
    rows, columns = ([int(2.5 * i) for i in range(n)] for n in (8, 12))
    np.testing.assert_array_equal(nearest, x[:, rows][:, :, columns])
    assert downsample(x, 2.5, method="ideal", phase="aligned").shape == (1, 8, 12, 2)


@pytest.mark.parametrize("method", METHODS)
def test_one_image_many_channels_and_half_precision(method):
    x = noise(2, 16, 24, 11)
    batch = downsample(x, 4, method=method)
    if method in ("adaptive", "bilateral"):  # channels share their weights
        parts = np.stack([downsample(image, 4, method=method) for image in x])
    else:
        parts = np.concatenate(
            [downsample(x[..., c : c + 1], 4, method=method) for c in range(11)], -1
        )
    np.testing.assert_allclose(batch, parts, atol=1e-6)
    low = downsample(jnp.asarray(x[0], jnp.bfloat16), 4, method=method)
    assert low.dtype == jnp.bfloat16 and low.shape == (4, 6, 11)
