"""Affine warps against exact bilinear reference arrays and OpenCV 5."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.ops.grid_sample import grid_sample
from aa_jax.ops.warp_affine import affine_grid, warp_affine

BORDERS = {"zero": "zero", "edge": "replicate", "reflect101": "reflect101"}
CASES = range(5)


@pytest.fixture(scope="module")
def reference(golden):
    return golden("motion_splat_face/warp_affine.npz")


# Stored in float32; a float32 place 60 pixels from the corner is known to 1e-5 pixel.
TOLERANCES = {"float64": 1e-7, "float32": 2e-5}


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    with jax.enable_x64(request.param == "float64"):
        yield request.param


def given(reference, case, dtype):
    image = jnp.asarray(reference["image_u8"] / 255, dtype)[None]
    matrix = jnp.asarray(reference[f"M{case}"], dtype)
    return image, matrix, tuple(int(n) for n in reference[f"dsize{case}"])


@pytest.mark.parametrize("case", CASES)
def test_pixel_warps_agree_with_exact_sums_and_with_opencv(reference, case, dtype):
    image, matrix, size = given(reference, case, dtype)
    for border, name in BORDERS.items():
        warped = warp_affine(image, matrix, size, border=border)[0]
        expected = reference[f"exact_{name}{case}"]
        np.testing.assert_allclose(warped, expected, atol=TOLERANCES[dtype])
        np.testing.assert_allclose(warped, reference[f"cv2_f32_{name}{case}"], atol=1e-5)
    warped = warp_affine(image, matrix, size, maps="destination_to_source")[0]
    np.testing.assert_allclose(warped, reference[f"cv2_invmap_f32_zero{case}"], atol=1e-5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("corners, key", [("aligned", "ac1"), ("half_pixel", "ac0")])
def test_normalised_warps_agree_with_the_reference(reference, case, corners, key, dtype):
    image, _, size = given(reference, case, dtype)
    theta = jnp.asarray(reference[f"theta{case}"], dtype)
    grid = affine_grid(theta, size, corners=corners)
    expected = reference[f"affine_grid_{key}_{case}"]
    np.testing.assert_allclose(grid, expected, atol=TOLERANCES[dtype] / 10)
    sampled = grid_sample(image, grid[None], corners=corners)[0]
    expected = reference[f"affine_sample_{key}_{case}"]
    np.testing.assert_allclose(sampled, expected, atol=TOLERANCES[dtype])


def test_a_shift_by_whole_pixels_is_a_slice(rng):
    images = jnp.asarray(rng.normal(size=(2, 5, 6, 1)), jnp.float32)
    shifts = jnp.asarray([[[1.0, 0, 2], [0, 1, 1]], [[1.0, 0, -1], [0, 1, 0]]])
    moved = warp_affine(images, shifts, (5, 6), border="reflect101")
    np.testing.assert_array_equal(moved[0, 1:, 2:], images[0, :-1, :-2])
    np.testing.assert_array_equal(moved[0, 0, 2:], images[0, 1, :-2])
    np.testing.assert_array_equal(moved[1, :, :-1], images[1, :, 1:])
    np.testing.assert_array_equal(moved[1, :, -1], images[1, :, -2])


def test_there_and_back_are_one_matrix(rng):
    image = jnp.asarray(rng.normal(size=(1, 6, 6, 2)), jnp.float32)
    forward = np.asarray([[0.9, 0.3, 1.0], [-0.2, 1.1, 0.5]])
    whole = np.linalg.inv(np.vstack([forward, [0, 0, 1]]))[:2]
    there = warp_affine(image, forward, (7, 5))
    same = warp_affine(image, whole, (7, 5), maps="destination_to_source")
    np.testing.assert_allclose(there, same, atol=1e-5)


def test_gradients_with_respect_to_image_and_matrix(rng):
    with jax.enable_x64(True):
        image = jnp.asarray(rng.normal(size=(1, 5, 5, 1)))
        matrix = jnp.asarray([[0.91, 0.22, 0.37], [-0.18, 1.07, 0.41]])
        warp = jax.jit(functools.partial(warp_affine, size=(3, 3), border="edge"))
        check_grads(lambda x, m: warp(x, m) ** 2, (image, matrix), order=2, eps=1e-5)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"images": np.zeros((4, 4, 3), np.float32)}, "images must have shape"),
        ({"matrix": np.eye(3)}, r"matrix must have shape \(2, 3\) or \(N, 2, 3\), got \(3, 3\)"),
        ({"matrix": np.zeros((3, 2, 3))}, r"or \(2, 2, 3\), one an image, got \(3, 2, 3\)"),
        ({"matrix": np.ones((2, 3))}, "matrix must have an inverse"),
        ({"size": (0, 4)}, r"size must be \(height, width\), both at least 1, got \(0, 4\)"),
        ({"border": "reflect"}, "border must be one of zero, edge, reflect101"),
        ({"maps": "inverse"}, "maps must be one of source_to_destination"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"images": np.zeros((2, 4, 4, 1), np.float32), "matrix": np.eye(2, 3)}
    with pytest.raises(ValueError, match=message):
        warp_affine(**{**arguments, "size": (3, 3), **change})


def test_a_grid_wants_an_affine_map():
    with pytest.raises(ValueError, match=r"theta must have shape \(2, 3\)"):
        affine_grid(jnp.eye(2), (3, 3))
