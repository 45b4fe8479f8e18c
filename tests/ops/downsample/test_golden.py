"""Reference arrays of all published methods: PyTorch's, OpenCV's, and the motion model's own."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.ops.bilateral import bilateral_filter
from aa_jax.ops.downsample import (
    antialias_interpolate,
    average_pool,
    downsample,
    interpolate_cells,
)
from aa_jax.ops.order_filters import median_filter
from tests.tolerances import STORED

PICTURES = ["astronaut", "chelsea", "imagenet000"]


def by_name(method):
    return lambda x: downsample(x, 4, method=method)


def scaled(scale):
    return lambda x: antialias_interpolate(x, scale)


def averaged(size, outside):
    return lambda x: average_pool(x, 4, size=size, outside=outside)


def median(size, border):
    return lambda x: median_filter(x, size=size, stride=4, border=border)


def bilateral(size, window="square"):
    return lambda x: bilateral_filter(x, size=size, stride=4, window=window)


VARIANTS = {
    "aa_0.5": scaled(0.5),
    "aa_0.25": by_name("gaussian"),
    "aa_0.125": scaled(0.125),
    "m2_subsample": by_name("subsample"),
    "m3_nearest": by_name("nearest"),
    "m3b_nearest_exact": lambda x: interpolate_cells(x, 4, method="nearest"),
    "m4_bicubic_aa": by_name("bicubic"),
    "m4_bicubic_noaa": lambda x: interpolate_cells(x, 4, method="bicubic"),
    "m5_bilinear_aa": by_name("bilinear"),
    "m5_bilinear_noaa": lambda x: interpolate_cells(x, 4, method="bilinear"),
    "m6_area": by_name("area"),
    "m7_avg_k4s4p0": averaged(4, "zero"),
    "m7_avg_k3s4p1_zero": averaged(3, "zero"),
    "m7_avg_k3s4p1_excl": averaged(3, "excluded"),
    "m7_avg_k5s4p2_zero": averaged(5, "zero"),
    "m7_avg_k5s4p2_excl": by_name("average_pool"),
    "m8_median3_zero": by_name("median"),
    "m8_median3_edge": median(3, "edge"),
    "m8_median5_zero": median(5, "zero"),
    "m8_median5_edge": median(5, "edge"),
    "m9_bilateral_k3_sc0.1_ss1.5": bilateral(3),
    "m9_bilateral_k5_sc0.1_ss1.5": by_name("bilateral"),
    "m9_bilateral_k13_sc0.1_ss1.5": bilateral(13),
    "m9_cv2_bilateral_d5_sc0.1_ss1.5_f32": bilateral(5, "disc"),
}
EXACT = ("m2_subsample", "m3_nearest", "m3b_nearest_exact", "m8_median3_zero", "m8_median5_edge")


@pytest.fixture(scope="module")
def pictures(golden):
    return [golden(f"motion_splat_face/downsample_{name}.npz") for name in PICTURES]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_on_photographs(pictures, variant):
    for arrays in pictures:
        if variant in arrays:
            x = (arrays["image_u8"] / 255).astype(np.float32)
            ours = VARIANTS[variant](x)
            assert ours.dtype == jnp.float32
            tolerance = 0 if variant in EXACT else 2e-6
            np.testing.assert_allclose(ours, arrays[variant], rtol=0, atol=tolerance)


def test_every_float_array_of_the_files_is_compared(pictures):
    stored = set().union(*pictures) - {"image_u8", "m9_cv2_bilateral_d5_sc25_ss1.5_u8"}
    assert {name for name in stored if not name.endswith("_kernel")} == set(VARIANTS)


def test_bytes_of_opencv_up_to_their_rounding(pictures):
    arrays = pictures[0]
    x = arrays["image_u8"].astype(np.float32)
    ours = bilateral_filter(x, size=5, sigma_colour=25, window="disc", stride=4)
    expected = arrays["m9_cv2_bilateral_d5_sc25_ss1.5_u8"].astype(float)
    if expected.max() <= 1:
        expected = expected * 255
    assert np.abs(np.asarray(ours) - expected).max() <= 1


def test_the_model_rule_at_every_scale_and_shape(golden):
    arrays = golden("motion_splat_face/downsample_aa_shapes.npz")
    compared = 0
    with jax.enable_x64(True):
        for key in arrays:
            if not key.startswith("y"):
                continue
            case, scale = key[1:].split("_s")
            scale = 1 / 3 if scale == "0.3333" else float(scale)
            planes, expected = arrays[f"x{case}"], arrays[key]
            magnitude = np.abs(expected).max()
            exact = strided_gaussian(planes, scale, np.float64)
            for dtype, tolerance in (("float32", 1e-6), ("float64", 1e-13)):
                x = jnp.asarray(planes.transpose(0, 2, 3, 1), dtype)
                ours = np.asarray(antialias_interpolate(x, scale)).transpose(0, 3, 1, 2)
                np.testing.assert_allclose(ours, exact, rtol=0, atol=tolerance * magnitude)
                np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6 * magnitude)
            # The rest of the difference: the module's kernels and the arrays are in float32.
            rounded = strided_gaussian(planes, scale, np.float32)
            np.testing.assert_allclose(
                rounded, expected, rtol=0, atol=STORED["float32"] * magnitude
            )
            compared += 1
    assert compared == 33


def strided_gaussian(planes, scale, kernel_dtype):
    """The published module by its definition: (N, C, H, W), a two-dimensional sum in float64."""
    if scale == 1:
        return planes.astype(np.float64)
    sigma, stride = (1 / scale - 1) / 2, int(1 / scale)
    size = 2 * round(4 * sigma) + 1
    t = np.arange(size) - (size - 1) / 2
    row = np.exp(-(t**2) / (2 * sigma**2))
    kernel = np.outer(row, row)
    kernel = (kernel / kernel.sum()).astype(kernel_dtype).astype(np.float64)
    half = size // 2
    padded = np.pad(planes.astype(np.float64), ((0, 0), (0, 0), (half, half), (half, half)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (2, 3))
    return np.einsum("nchwuv,uv->nchw", windows[:, :, ::stride, ::stride], kernel)
