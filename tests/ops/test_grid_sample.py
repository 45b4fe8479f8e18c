"""Reading at coordinates against a dense form: every pixel times its triangle."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.ops.grid_sample import grid_sample, identity_grid
from tests.tolerances import OP, relative_error

CORNERS = ("aligned", "half_pixel")
BORDERS = ("zero", "edge", "reflect")


def dense(images, grid, corners, border):
    """(N, H, W, C) at (N, P, 2): sums over all pixels; away from kinks, with its derivatives."""
    weights = []
    for axis, size in ((1, images.shape[1]), (0, images.shape[2])):
        g = grid[..., axis]
        p = (g + 1) / 2 * (size - 1) if corners == "aligned" else (g + 1) / 2 * size - 0.5
        low = 0.0 if corners == "aligned" else -0.5
        span = size - 1 - 2 * low
        if border == "reflect" and span:
            # A wave of triangles, by trigonometry.
            p = low + span / jnp.pi * jnp.arccos(jnp.cos(jnp.pi * (p - low) / span))
        if border != "zero":
            p = jnp.minimum(jnp.maximum(p, 0), size - 1)
        distance = jnp.abs(p[..., None] - jnp.arange(size))
        weights.append(jnp.maximum(1 - distance, 0))
    return jnp.einsum("npi,npj,nijc->npc", *weights, images)


@functools.partial(jax.jit, static_argnames=("which", "corners", "border"))
def with_gradients(images, grid, cotangent, *, which, corners, border):
    """Values and both gradients."""

    def read(images, grid):
        if which == "dense":
            return dense(images, grid, corners, border)
        return grid_sample(images, grid, corners=corners, border=border)

    values, vjp = jax.vjp(read, images, grid)
    return values, *vjp(cotangent)


def problem(rng, shape=(2, 5, 7, 3), points=40, reach=2.5):
    images = rng.normal(size=shape)
    grid = rng.uniform(-reach, reach, (shape[0], points, 2))
    return images, grid, rng.normal(size=(shape[0], points, shape[-1]))


@pytest.mark.parametrize("corners", CORNERS)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_and_gradients_agree_with_the_dense_form(rng, corners, border, dtype):
    with jax.enable_x64(True):
        exact = [jnp.asarray(v) for v in problem(rng)]
        expected = with_gradients(*exact, which="dense", corners=corners, border=border)
        given = [v.astype(dtype) for v in exact]
        actual = with_gradients(*given, which="ours", corners=corners, border=border)
    # The oracle's arccos loses half the digits where the wave turns.
    tolerance = 1e-10 if dtype == "float64" else 2e-5
    for a, b in zip(actual, expected, strict=True):
        assert a.dtype == dtype
        assert relative_error(a, b) < tolerance


@pytest.mark.parametrize("channels", [1, 17, 24, 64])
def test_every_number_of_channels(rng, channels):
    # 24 and 64 are summed in steps on CPUs.
    with jax.enable_x64(True):
        arrays = [jnp.asarray(v) for v in problem(rng, (2, 4, 5, channels), 12, 1.2)]
        options = {"corners": "aligned", "border": "zero"}
        expected = with_gradients(*arrays, which="dense", **options)
        actual = with_gradients(*arrays, which="ours", **options)
    for a, b in zip(actual, expected, strict=True):
        assert relative_error(a, b) < OP["float64"]


@pytest.mark.parametrize("shape", [(1, 1, 4, 2), (1, 4, 1, 2), (1, 1, 1, 1), (1, 2, 2, 1)])
@pytest.mark.parametrize("border", BORDERS)
def test_axes_of_one_or_two_pixels(rng, shape, border):
    with jax.enable_x64(True):
        arrays = [jnp.asarray(v) for v in problem(rng, shape, 20)]
        for corners in CORNERS:
            options = {"corners": corners, "border": border}
            expected = with_gradients(*arrays, which="dense", **options)
            actual = with_gradients(*arrays, which="ours", **options)
            for a, b in zip(actual, expected, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.parametrize("border", ["zero", "reflect"])
def test_gradients_of_second_order_in_both_modes(rng, border):
    with jax.enable_x64(True):
        images = jnp.asarray(rng.normal(size=(2, 4, 4, 2)))
        # A third of a pixel away from the kinks, some outside.
        pixels = rng.integers(-2, 6, (2, 6, 2)) + rng.choice([-0.3, 0.3], (2, 6, 2))
        grid = jnp.asarray(pixels / 1.5 - 1)
        read = functools.partial(grid_sample, corners="aligned", border=border)
        check_grads(lambda a, b: read(a, b) ** 2, (images, grid), order=2, modes=("fwd", "rev"))


def test_on_a_pixel_the_derivative_is_to_the_right():
    images = jnp.asarray([1.0, 3.0, 7.0]).reshape(1, 1, 3, 1)
    grid = jnp.stack([jnp.asarray([-1.0, 0.0, 1.0]), jnp.zeros(3)], -1)[None]

    def slopes(border):
        def total(grid):
            return jnp.sum(grid_sample(images, grid, border=border))

        return jax.grad(total)(grid)[0, :, 0]

    # A pixel is one unit of the coordinate here.
    np.testing.assert_allclose(slopes("zero"), [2, 4, -7])
    # The outermost pixels belong to the outside, where nothing changes.
    np.testing.assert_allclose(slopes("edge"), [0, 4, 0])
    np.testing.assert_allclose(slopes("reflect"), [0, 4, 0])


@pytest.mark.parametrize("corners", CORNERS)
@pytest.mark.parametrize("border", BORDERS)
def test_the_identity_grid_reads_every_pixel(rng, corners, border):
    images = jnp.asarray(rng.normal(size=(1, 4, 9, 2)), jnp.float32)
    grid = identity_grid(4, 9, corners=corners)[None]
    values = grid_sample(images, grid, corners=corners, border=border)
    np.testing.assert_allclose(values, images, atol=2e-6)


@pytest.mark.parametrize("size", [(4, 4), (58, 58), (5, 9), (4, 3)])
def test_identity_grid_agrees_with_the_reference(golden, size):
    expected = golden("motion_splat_face/fomm_misc.npz")["grid_{}x{}".format(*size)]
    np.testing.assert_allclose(identity_grid(*size), expected, atol=6e-8)


def test_the_two_conventions_of_the_identity_grid():
    np.testing.assert_allclose(identity_grid(1, 4)[0, :, 0], [-1, -1 / 3, 1 / 3, 1], rtol=1e-6)
    half = identity_grid(4, 1, corners="half_pixel")
    np.testing.assert_array_equal(half[:, 0], [[0, -0.75], [0, -0.25], [0, 0.25], [0, 0.75]])


@pytest.mark.parametrize("border", BORDERS)
def test_coordinates_that_are_no_places(border):
    images = jnp.arange(1.0, 7.0).reshape(1, 2, 3, 1)
    far = jnp.asarray([[[1e30, 1e30], [-1e30, 0.0], [jnp.nan, 0.0], [jnp.inf, jnp.inf]]])
    value_and_slope = jax.value_and_grad(lambda g: grid_sample(images, g, border=border)[0].sum())
    values = grid_sample(images, far, border=border)[0, :, 0]
    assert np.isnan(values[2])
    assert np.isfinite(values[:2]).all()
    if border == "zero":
        np.testing.assert_array_equal(values[jnp.asarray([0, 1, 3])], 0)
    if border == "edge":
        np.testing.assert_array_equal(values[jnp.asarray([0, 1, 3])], [6, 2.5, 6])
    if border == "reflect":
        assert np.isnan(values[3])
    else:
        _, slope = value_and_slope(far[:, [0, 1, 3]])
        np.testing.assert_array_equal(slope[0, jnp.asarray([0, 2])], 0)


def test_sixteen_bits_are_summed_in_more(rng):
    images = jnp.asarray(rng.uniform(size=(1, 6, 6, 4)), jnp.bfloat16)
    grid = jnp.asarray(rng.uniform(-1, 1, (1, 8, 8, 2)), jnp.float32)
    values = grid_sample(images, grid)
    exact = grid_sample(images.astype(jnp.float32), grid)
    assert values.dtype == jnp.bfloat16
    assert relative_error(values.astype(jnp.float32), exact) < 2**-8


def test_vmap_and_grids_of_any_rank(rng):
    images = jnp.asarray(rng.normal(size=(3, 2, 4, 5, 2)), jnp.float32)
    grid = jnp.asarray(rng.uniform(-1.2, 1.2, (3, 2, 6, 2)), jnp.float32)
    values = jax.vmap(grid_sample)(images, grid)
    for i in range(3):
        one = grid_sample(images[i], grid[i].reshape(2, 3, 2, 2))
        np.testing.assert_allclose(values[i].reshape(2, 3, 2, 2), one, atol=1e-6)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"images": (4, 4, 1)}, r"images must have shape \(N, H, W, C\)"),
        ({"images": (2, 0, 4, 1)}, "H and W at least 1"),
        ({"images": np.zeros((2, 4, 4, 1), int)}, "images must be floating"),
        ({"grid": (1, 3, 2)}, r"with N = 2 as in images, got \(1, 3, 2\)"),
        ({"grid": (2, 3, 3)}, r"grid must have shape \(N, ..., 2\)"),
        ({"grid": np.zeros((2, 3, 2), int)}, "grid must be floating"),
        ({"corners": "outer"}, "corners must be one of aligned, half_pixel, got 'outer'"),
        ({"border": "wrap"}, "border must be one of zero, edge, reflect, got 'wrap'"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"images": (2, 4, 4, 1), "grid": (2, 3, 2), **change}
    for name in ("images", "grid"):
        if isinstance(arguments[name], tuple):
            arguments[name] = np.zeros(arguments[name], np.float32)
    with pytest.raises(ValueError, match=message):
        grid_sample(**arguments)


def test_identity_grid_wants_pixels():
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        identity_grid(3, 0)
