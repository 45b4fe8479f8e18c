"""Sums of four pixels against NumPy loops, and their derivatives under every transformation."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from aa_jax.ops.four_taps import FourTaps, read_taps
from tests.tolerances import OP, relative_error

BATCH, HEIGHT, WIDTH, POINTS = 2, 3, 4, 9


def problem(rng, channels, batch=BATCH):
    pixels = rng.normal(size=(batch, HEIGHT * WIDTH, channels))
    weights = rng.normal(size=(batch, 4, POINTS))
    values = rng.normal(size=(batch, POINTS, channels))
    corner = rng.integers((HEIGHT - 1, WIDTH - 1), size=(batch, POINTS, 2))
    index = (corner @ [WIDTH, 1]).astype(np.int32)  # 6 squares for 9 points: some twice
    return pixels, weights, values, index


def by_loops(pixels, weights, values, index):
    """The gradients of the form by values, pixels and weights."""
    read, spread, compared = (np.zeros_like(v) for v in (values, pixels, weights))
    for n, p in np.ndindex(index.shape):
        for k, offset in enumerate((0, 1, WIDTH, WIDTH + 1)):
            place = index[n, p] + offset
            read[n, p] += weights[n, k, p] * pixels[n, place]
            spread[n, place] += weights[n, k, p] * values[n, p]
            compared[n, k, p] = pixels[n, place] @ values[n, p]
    return read, spread, compared


@pytest.mark.parametrize("channels", [1, 3, 32])
@pytest.mark.parametrize("method", ["apply", "apply_on_cpu"])
def test_all_three_gradients_of_the_form(rng, channels, method):
    *arrays, index = problem(rng, channels)
    expected = by_loops(*arrays, index)
    roles = dict(zip("pwv", arrays, strict=True))
    with jax.enable_x64(True):
        # Either order of the two that are given.
        for a, b, result in ("pwv", "wpv", "wvp", "vwp", "vpw", "pvw"):
            form = FourTaps(first=a, second=b, width=WIDTH, samples=HEIGHT * WIDTH)
            assert form.third == result
            given = [jnp.asarray(roles[role]) for role in (a, b)]
            actual = getattr(form, method)(*given, jnp.asarray(index))
            assert relative_error(actual, expected["vpw".index(result)]) < OP["float64"]


def test_reverse_mode_of_a_tangent(rng):
    pixels, weights, values, index = (jnp.asarray(v) for v in problem(rng, 2))

    def along(pixels, weights):
        def read(p):
            return read_taps(p, weights, index, width=WIDTH)

        return jnp.sum(jax.jvp(read, (pixels,), (pixels,))[1] * values)

    # Linear in the pixels: the tangent is the result, and its gradients are the form's.
    gradients = jax.jit(jax.grad(along, (0, 1)))(pixels, weights)
    _, *expected = by_loops(*(np.asarray(v) for v in (pixels, weights, values, index)))
    for a, b in zip(gradients, expected, strict=True):
        assert relative_error(a, b) < OP["float32"]


def gradients_of_squares(pixels, weights, index):
    def total(pixels, weights):
        return jnp.sum(read_taps(pixels, weights, index, width=WIDTH) ** 2)

    return jax.grad(total, (0, 1))(pixels, weights)


def test_images_on_several_devices(rng):
    pixels, weights, _, index = (jnp.asarray(v) for v in problem(rng, 3, batch=4))
    expected = gradients_of_squares(pixels, weights, index)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = [
        jax.device_put(v, NamedSharding(mesh, PartitionSpec("data")))
        for v in (pixels, weights, index)
    ]
    actual = jax.jit(gradients_of_squares)(*spread)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_shared_weight_under_shard_map(rng):
    pixels, weights, _, index = (jnp.asarray(v) for v in problem(rng, 3, batch=4))
    shared, places = weights[:1], index[:1]
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def of_shards(pixels, shared):
        return gradients_of_squares(pixels, shared, places)

    data, whole = PartitionSpec("data"), PartitionSpec()
    mapped = jax.shard_map(of_shards, mesh=mesh, in_specs=(data, whole), out_specs=(data, whole))
    by_pixels, by_weight = jax.jit(mapped)(pixels, shared)
    expected = [gradients_of_squares(pixels[i : i + 1], shared, places) for i in range(len(pixels))]
    np.testing.assert_allclose(by_pixels, np.concatenate([p for p, _ in expected]), atol=1e-5)
    np.testing.assert_allclose(by_weight, sum(w for _, w in expected), atol=1e-4)
