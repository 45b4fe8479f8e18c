"""Image quality against the golden arrays, scikit-image and closed forms."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads
from skimage.metrics import peak_signal_noise_ratio, structural_similarity as oracle_similarity

from aa_jax.ops.image_quality import (
    luma_bt601,
    mean_absolute_error,
    peak_signal_to_noise,
    structural_similarity,
)

PAIRS = range(4)
SIMILARITY = {"float64": 1e-9, "float32": 2e-5}
DECIBELS = {"float64": 1e-9, "float32": 2e-4}
ORACLE_OPTIONS = {
    "gaussian": dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False),
    "uniform": {},
}


@pytest.fixture(scope="module")
def arrays(golden):
    return golden("motion_splat_face/psnr_ssim.npz")


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    with jax.enable_x64(request.param == "float64"):
        yield request.param


def images(arrays, pair: int, dtype: str, scale: float):
    """A stored pair as floats: bytes divided by `scale`."""
    return tuple(jnp.asarray(arrays[f"{name}{pair}"] / scale, dtype) for name in "ab")


@pytest.fixture
def two_pairs(rng):
    """Images that are not square, and their noisy copies."""
    a = rng.uniform(size=(2, 23, 31, 3))
    return a, a + 0.1 * rng.normal(size=a.shape)


@pytest.mark.parametrize("pair", PAIRS)
def test_similarity_agrees_with_the_golden_arrays(arrays, dtype, pair):
    bytes_as_floats, units = images(arrays, pair, dtype, 1), images(arrays, pair, dtype, 255)
    uniform = structural_similarity(*bytes_as_floats, data_range=255, window="uniform")
    gaussian = structural_similarity(*units)
    assert gaussian.dtype == uniform.dtype == dtype
    assert abs(float(uniform) - arrays[f"ssim_uniform7{pair}"]) <= SIMILARITY[dtype]
    assert abs(float(gaussian) - arrays[f"ssim_gauss11{pair}"]) <= SIMILARITY[dtype]
    channels = [structural_similarity(*(x[..., c : c + 1] for x in units)) for c in range(3)]
    expected = arrays[f"ssim_gauss11_perch{pair}"]
    np.testing.assert_allclose(channels, expected, rtol=0, atol=SIMILARITY[dtype])


@pytest.mark.parametrize("pair", PAIRS)
def test_signal_to_noise_agrees_with_the_golden_arrays(arrays, dtype, pair):
    a, b = images(arrays, pair, dtype, 255)
    assert abs(float(peak_signal_to_noise(a, b)) - arrays[f"psnr{pair}"]) <= DECIBELS[dtype]
    luma = peak_signal_to_noise(luma_bt601(a), luma_bt601(b), data_range=255)
    assert abs(float(luma) - arrays[f"psnr_y_bt601{pair}"]) <= DECIBELS[dtype]


@pytest.mark.parametrize("window", ["gaussian", "uniform"])
@pytest.mark.parametrize("offset, data_range", [(0, 1.0), (-1, 2.0), (100, 4.0)])
def test_similarity_agrees_with_scikit_image(two_pairs, dtype, window, offset, data_range):
    """Also where the mean is large for the contrast, which costs a sum of squares its digits."""
    a, b = (x + offset for x in two_pairs)
    options = dict(channel_axis=-1, data_range=data_range, **ORACLE_OPTIONS[window])
    expected = [oracle_similarity(x, y, **options) for x, y in zip(a, b, strict=True)]
    a, b = jnp.asarray(a, dtype), jnp.asarray(b, dtype)
    actual = structural_similarity(a, b, data_range=data_range, window=window)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=SIMILARITY[dtype])


def test_errors_of_each_image_agree_with_numpy_and_scikit_image(two_pairs, dtype):
    a, b = two_pairs
    x, y = jnp.asarray(a[None], dtype), jnp.asarray(b[None], dtype)
    ratio = [peak_signal_noise_ratio(p, q, data_range=3.0) for p, q in zip(a, b, strict=True)]
    actual = peak_signal_to_noise(x, y, data_range=3.0)
    np.testing.assert_allclose(actual, [ratio], rtol=0, atol=DECIBELS[dtype])
    actual = mean_absolute_error(x, y)
    expected = [[np.abs(p - q).mean() for p, q in zip(a, b, strict=True)]]
    np.testing.assert_allclose(actual, expected, rtol=SIMILARITY[dtype])


def test_luma_of_black_white_and_primaries(dtype):
    colours = jnp.asarray([[[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]], dtype)
    expected = [[[16], [235], [81.481], [144.553], [40.966]]]
    np.testing.assert_allclose(luma_bt601(colours), expected, rtol=1e-6)


@pytest.mark.parametrize("window", ["gaussian", "uniform"])
def test_identical_images(rng, window):
    """The optimum: similarity exactly 1, an infinite ratio, and gradients of zero, not NaN."""
    x = jnp.asarray(rng.uniform(size=(13, 17, 2)), jnp.float32).at[:, 8:].set(0.25)  # half is flat
    similarity = functools.partial(structural_similarity, window=window)
    for function, expected in ((similarity, 1.0), (mean_absolute_error, 0.0)):
        value, gradients = jax.value_and_grad(function, argnums=(0, 1))(x, x)
        assert float(value) == expected
        np.testing.assert_allclose(gradients, np.zeros((2, *x.shape)), atol=1e-7)
    assert float(peak_signal_to_noise(x, x)) == np.inf


@pytest.mark.parametrize(
    "function",
    [
        peak_signal_to_noise,
        structural_similarity,
        functools.partial(structural_similarity, window="uniform", data_range=2.0),
        mean_absolute_error,
        lambda a, b: jnp.mean(luma_bt601(a) * luma_bt601(b)) / 1e4,
    ],
)
def test_gradients_in_both_modes(rng, function):
    with jax.enable_x64(True):
        a, b = (jnp.asarray(rng.uniform(size=(11, 12, 3))) for _ in range(2))
        check_grads(function, (a, b), order=1, modes=("fwd", "rev"), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_sums_of_half_precision_are_in_float32(rng, half):
    """Squares of bytes are larger than the largest float16, and sums longer than its digits."""
    a, b = (jnp.asarray(rng.integers(0, 256, (40, 40, 3)), half) for _ in range(2))
    exact = [x.astype(jnp.float32) for x in (a, b)]
    ranged = [
        functools.partial(structural_similarity, data_range=255),
        functools.partial(peak_signal_to_noise, data_range=255),
    ]
    for function in (*ranged, mean_absolute_error):
        result = function(a, b)
        assert result.dtype == half
        assert result == function(*exact).astype(half)


def test_batches_by_jit_and_vmap(two_pairs):
    a, b = (jnp.asarray(x, jnp.float32) for x in two_pairs)
    mapped = jax.jit(jax.vmap(structural_similarity))(a, b)
    np.testing.assert_allclose(mapped, structural_similarity(a, b), rtol=1e-6)


PAIR_FUNCTIONS = [mean_absolute_error, peak_signal_to_noise, structural_similarity]
IMAGE = np.zeros((16, 16, 3), np.float32)


@pytest.mark.parametrize("function", PAIR_FUNCTIONS)
@pytest.mark.parametrize(
    "a, b, message",
    [
        (IMAGE, IMAGE[1:], r"b must have the shape of a, \(16, 16, 3\), got \(15, 16, 3\)"),
        (IMAGE, IMAGE[..., :1], r"b must have the shape of a, \(16, 16, 3\), got \(16, 16, 1\)"),
        (IMAGE.astype(np.uint8), IMAGE, "a must be a floating-point .* uint8; cast it first"),
        (IMAGE, IMAGE.astype(np.int32), "b must be a floating-point .* int32; cast it first"),
        (IMAGE[0], IMAGE[0], r"a must have shape \(..., height, width, channels\).*got \(16, 3\)"),
        (IMAGE[:0], IMAGE[:0], r"a must have shape .* none of them 0, got \(0, 16, 3\)"),
    ],
)
def test_bad_images_are_named(function, a, b, message):
    with pytest.raises(ValueError, match=message):
        function(a, b)


@pytest.mark.parametrize("function", PAIR_FUNCTIONS[1:])
@pytest.mark.parametrize("value", [0, -1.0, np.inf, np.nan])
def test_bad_range_is_named(function, value):
    with pytest.raises(ValueError, match="data_range must be positive and finite, got "):
        function(IMAGE, IMAGE, data_range=value)


def test_traced_range_is_named():
    with pytest.raises(ValueError, match="data_range must be a number known before tracing"):
        jax.jit(lambda r: peak_signal_to_noise(IMAGE, IMAGE, data_range=r))(1.0)


@pytest.mark.parametrize("window, size", [("gaussian", 11), ("uniform", 7)])
def test_image_smaller_than_the_window_is_named(window, size):
    assert structural_similarity(IMAGE[:size, :size], IMAGE[:size, :size], window=window) == 1
    small = IMAGE[:, : size - 1]
    with pytest.raises(ValueError, match=f"a and b must have at least the {size} x {size} pixels"):
        structural_similarity(small, small, window=window)


def test_other_bad_arguments_are_named():
    with pytest.raises(ValueError, match="window must be one of gaussian, uniform, got 'box'"):
        structural_similarity(IMAGE, IMAGE, window="box")
    with pytest.raises(ValueError, match=r"rgb must have shape .* 3\), got \(16, 16, 1\)"):
        luma_bt601(IMAGE[..., :1])
    with pytest.raises(ValueError, match="rgb must be a floating-point array, got dtype uint8"):
        luma_bt601(IMAGE.astype(np.uint8))
