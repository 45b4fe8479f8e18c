"""Mixtures against the stored arrays of an independent implementation, values and gradients."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.ops.splat import interpolate
from tests.tolerances import relative_error

CASES = [
    ("edge_outside_tiny", "full"),
    ("edge_outside_tiny", "r2"),
    ("random64_scalar", "full"),
    ("random64_scalar", "r5"),
    ("jitter256_aniso", "full"),
    ("jitter256_aniso", "r6"),
    ("random1024_scalar", "full"),
    ("random1024_scalar", "r8"),
    ("jitter4096_128", "full"),
    ("jitter4096_128", "r4"),
]
LARGE = [("random1024_scalar", "full"), ("jitter4096_128", "full")]
VALUES = {"float32": 1e-5, "float64": 1e-9}
GRADIENTS = {"float32": 1e-4, "float64": 1e-9}
ROUNDED = 1e-7  # of arrays stored as float32


def window(tag: str) -> dict:
    """Options of a tag: no window, or the published square."""
    if tag == "full":
        return {"support": None}
    return {"support": int(tag[1:]), "window": "square"}


def measured(stored, tag):
    """Rendering and the gradients of sum(image * G), compiled together."""
    options = window(tag)
    if tag != "full":  # traced widths leave only a guess of how many cells are reached
        options["capacity"] = len(stored["points"]) * (2 * options["support"] // 8 + 2) ** 2
    *arguments, signal = (jnp.asarray(stored[key]) for key in ("points", "colors", "sigma", "G"))

    @functools.partial(jax.value_and_grad, argnums=(0, 1, 2), has_aux=True)
    def loss(points, colors, sigma):
        size = tuple(int(n) for n in stored["size"])
        result = interpolate(points, colors, sigma, size=size, fallback=0.0, **options)
        return jnp.sum(result.image * signal), result

    (_, result), gradients = jax.jit(loss)(*arguments)
    return result, dict(zip(("d_points", "d_colors", "d_sigma"), gradients, strict=True))


@pytest.mark.parametrize(
    "name, tag, dtype",
    [(*case, "float32") for case in CASES]
    # Without a window in float64, the small ones do: the large ones have millions of pairs.
    + [(*case, "float64") for case in CASES if case not in LARGE],
)
def test_values_and_gradients(golden, name, tag, dtype):
    stored = golden(f"motion_splat_face/gmm_{name}.npz")
    with jax.enable_x64(dtype == "float64"):
        result, gradients = measured(stored, tag)
    assert result.image.dtype == dtype
    expected = stored[f"{tag}_out"]
    limit = VALUES[dtype] if expected.dtype == np.float64 else max(VALUES[dtype], ROUNDED)
    assert np.abs(np.asarray(result.image) - expected).max() <= limit
    assert int((~result.covered).sum()) == stored[f"{tag}_uncovered"]
    np.testing.assert_array_equal(result.covered, stored[f"{tag}_Z"] > 0)
    for key, gradient in gradients.items():
        reference = stored[f"{tag}_{key}"]
        assert reference.dtype == np.float64
        assert relative_error(gradient, reference) <= GRADIENTS[dtype], key


@pytest.mark.parametrize("tag", ["full", "r10"])
def test_narrow_points_do_not_underflow(golden, rng, tag):
    stored = golden("motion_splat_face/gmm_underflow_sigma0.1.npz")
    assert stored[f"{tag}_uncovered"] > 0  # a plain sum of exponentials is 0 / 0 there
    # The inputs are float32 numbers; these are as far from them as rounding could have taken them.
    points = stored["points"]
    half_a_step = np.spacing(points.astype(np.float32)).astype(np.float64) / 2
    neighbours = points + half_a_step * rng.choice([-1, 1], points.shape)
    with jax.enable_x64(True):
        exact, exact_gradients = measured(stored, tag)
        _, of_neighbours = measured({**stored, "points": neighbours}, tag)
    single, single_gradients = measured(stored, tag)
    reference = stored[f"stable_{tag}_out"]
    assert exact.covered.all() and single.covered.all()
    assert np.abs(np.asarray(exact.image) - reference).max() <= 1e-9
    assert np.abs(np.asarray(single.image) - reference).max() <= 1e-4
    for key in exact_gradients:
        reference = stored[f"stable_{tag}_{key}"]
        assert relative_error(exact_gradients[key], reference) <= 1e-9, key
        # At 0.1 px a point 10 px off has a log weight of -5000, with three digits after the point
        # in float32. Points moved by half a step of float32 change d_sigma by up to 9e-4 (and
        # d_points by 8e-5) in float64, so that no result in float32 can be more exact.
        conditioning = relative_error(of_neighbours[key], reference)
        assert relative_error(single_gradients[key], reference) <= max(1e-4, 5 * conditioning), key


def bilinear(image, points):
    """Image (height, width, channels) read between its pixels."""
    corner = jnp.clip(jnp.floor(points), 0, jnp.array(image.shape[1::-1]) - 2).astype(int)
    fx, fy = (points - corner).T[:, :, None]
    x, y = corner.T
    top = (1 - fx) * image[y, x] + fx * image[y, x + 1]
    return (1 - fy) * top + fy * ((1 - fx) * image[y + 1, x] + fx * image[y + 1, x + 1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_colours_read_from_an_image(golden, dtype):
    stored = golden("motion_splat_face/gmm_imagecolors_exact_vs_official.npz")
    with jax.enable_x64(dtype == "float64"):
        image = jnp.asarray(stored["image_u8"] / 255)
        radius = int(stored["radius"])

        @functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
        def loss(means, widths):
            result = interpolate(
                means,
                bilinear(image, means),
                widths,
                size=image.shape[:2],
                support=radius,
                window="square",
                capacity=16 * len(means),
            )
            return jnp.mean(jnp.abs(result.image - image)), result

        arguments = jnp.asarray(stored["means"]), jnp.asarray(stored["stds"])
        (l1, result), gradients = jax.jit(loss)(*arguments)
    assert np.abs(np.asarray(result.image) - stored["out"]).max() <= max(VALUES[dtype], ROUNDED)
    assert result.covered.all()
    assert abs(float(l1) - stored["l1"]) <= VALUES[dtype]
    for gradient, key in zip(gradients, ("d_means_exact", "d_stds_exact"), strict=True):
        assert relative_error(gradient, stored[key]) <= GRADIENTS[dtype], key
