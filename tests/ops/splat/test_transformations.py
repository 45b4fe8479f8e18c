"""Mixtures under vmap and jit, and the dtypes they return."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.ops.splat import interpolate, splat
from tests.tolerances import relative_error

SIZE = 9, 10


@pytest.fixture
def batch(rng):
    """Three mixtures of ten points."""
    return (
        jnp.asarray(rng.uniform(-1, 10, (3, 10, 2))),
        jnp.asarray(rng.normal(size=(3, 10, 2))),
        jnp.asarray(rng.uniform(0.6, 1.5, (3, 10))),
    )


def test_vmap_is_a_loop(batch, x64):
    """Images, masks and gradients, each of the mapped mixtures with lists of its own."""

    def run(points, values, width):
        def loss(*arguments):
            result = interpolate(*arguments, size=SIZE, capacity=40)
            return jnp.sum(result.image**2), result

        return jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(points, values, width)

    mapped = jax.jit(jax.vmap(run))(*batch)
    single = jax.jit(run)
    for i in range(3):
        one = single(*(a[i] for a in batch))
        for ours, alone in zip(jax.tree.leaves(mapped), jax.tree.leaves(one), strict=True):
            assert relative_error(ours[i], alone) < 1e-12


def test_vmap_of_values_alone(batch):
    points, values, width = batch

    def run(some):
        return splat(points[0], some, width[0], size=SIZE, capacity=40).image

    mapped = jax.jit(jax.vmap(run))(values)
    together = splat(
        points[0], jnp.concatenate(list(values), 1), width[0], size=SIZE, capacity=40
    ).image
    assert relative_error(jnp.concatenate(list(mapped), -1), together) < 1e-6


@pytest.mark.parametrize("capacity", [None, 10])
def test_jit(batch, capacity):
    """Traced or not, with room enough or without, the image is the same."""
    points, values, width = (a[0] for a in batch)
    points = 4 * points
    run = jax.jit(lambda *a: interpolate(*a, size=(30, 40), capacity=capacity))
    traced, known = run(points, values, width), interpolate(points, values, width, size=(30, 40))
    assert traced.entries == known.entries > 10
    assert relative_error(traced.image, known.image) < 1e-6
    np.testing.assert_array_equal(traced.covered, known.covered)


def test_bound_of_entries_for_a_known_width(batch):
    """A constant width under jit bounds the list, so that no point takes the slow way."""
    points, values, _ = (a[0] for a in batch)
    traced = jax.jit(lambda p, v: splat(p, v, 1.3, size=(40, 40)))(points, values)
    known = splat(points, values, 1.3, size=(40, 40))
    assert relative_error(traced.image, known.image) < 1e-6


def test_dtypes(x64):
    points = np.array([[1.0, 2.0], [3.0, 1.0]])
    values = np.array([[1.0], [2.0]])

    def dtype(of_points, of_values, width=1.0):
        arrays = jnp.asarray(points, of_points), jnp.asarray(values, of_values)
        return splat(*arrays, width, size=(3, 4)).image.dtype

    assert dtype(np.float32, np.float32) == np.float32
    assert dtype(np.float32, np.float32, np.float64(1)) == np.float32
    assert dtype(np.float64, np.float32) == np.float64
    assert dtype(np.float32, np.float64) == np.float64
    # Sixteen bits can't hold coordinates.
    assert dtype(jnp.bfloat16, jnp.float16) == np.float32
    integers = splat([[1, 2], [3, 1]], [[1], [2]], 1, size=(3, 4))
    floats = splat(points, values, 1.0, size=(3, 4))
    np.testing.assert_array_equal(integers.image, floats.image)
