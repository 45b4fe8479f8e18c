"""Mistakes are named."""

import numpy as np
import pytest

from aa_jax.ops.downsample import (
    METHODS,
    antialias_interpolate,
    average_pool,
    downsample,
    interpolate_cells,
)

IMAGE = np.zeros((12, 9, 3), np.float32)


@pytest.mark.parametrize(
    ("images", "factor", "options", "words"),
    [
        (IMAGE[0], 4, {}, r"images must be floats of shape .* got float32 of shape \(9, 3\)"),
        (IMAGE[None, None], 4, {}, "images must be floats of shape"),
        (IMAGE.astype(np.uint8), 4, {}, "images must be floats .* got uint8"),
        (IMAGE[:0], 4, {}, r"got float32 of shape \(0, 9, 3\)"),
        (IMAGE.tolist(), 10, {}, r"images must not be smaller than factor=10"),
        (IMAGE, 10, {}, r"images must not be smaller than factor=10, got shape \(12, 9, 3\)"),
        (IMAGE, 0.5, {}, "factor must be a number, at least 1, got 0.5"),
        (IMAGE, float("nan"), {}, "factor must be a number, at least 1, got nan"),
        (IMAGE, True, {}, "factor must be a number, at least 1, got True"),
        (IMAGE, "4", {}, "factor must be a number, at least 1, got '4'"),
        (IMAGE, 4, {"method": "mean"}, "method must be one of gaussian, .* got 'mean'"),
        (IMAGE, 4, {"phase": "centred"}, "phase must be one of native, aligned, got 'centred'"),
    ],
)
def test_wrong_calls(images, factor, options, words):
    with pytest.raises(ValueError, match=words):
        downsample(images, factor, **options)


def test_a_whole_number_first_does_not_hide_a_mistake():
    downsample(IMAGE, 1, method="subsample")
    with pytest.raises(ValueError, match="got True"):
        downsample(IMAGE, True, method="subsample")


@pytest.mark.parametrize("method", METHODS)
def test_which_methods_need_a_whole_factor(method):
    if method in ("gaussian", "nearest", "bicubic", "bilinear", "lanczos", "ideal"):
        downsample(IMAGE, 2.5, method=method)
    else:
        with pytest.raises(ValueError, match=f"factor must be whole for method='{method}'"):
            downsample(IMAGE, 2.5, method=method)


@pytest.mark.parametrize("scale", [0, -0.5, 1.5, float("nan")])
def test_scales_out_of_range(scale):
    with pytest.raises(ValueError, match="scale must lie in"):
        antialias_interpolate(IMAGE, scale)


def test_single_filters():
    with pytest.raises(ValueError, match="images must be floats"):
        antialias_interpolate(IMAGE.astype(int), 0.5)
    with pytest.raises(ValueError, match="size must be an integer, at least 1, got 2.5"):
        average_pool(IMAGE, 4, size=2.5)
    with pytest.raises(ValueError, match="outside must be 'excluded' or 'zero', got 'edge'"):
        average_pool(IMAGE, 4, size=3, outside="edge")
    with pytest.raises(ValueError, match="size=10 must fit the images"):
        average_pool(IMAGE, 4, size=10)
    with pytest.raises(ValueError, match="method must be one of bilinear, .* got 'lanczos'"):
        interpolate_cells(IMAGE, 4, method="lanczos")
