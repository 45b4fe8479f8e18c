"""Every position has one place, in a block of its own cell."""

import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.ops.splat import layout
from tests.ops.splat import oracle


@pytest.mark.parametrize("height, width", [(1, 1), (8, 16), (13, 9)])
def test_pixels(height, width):
    where, cells = layout.of_grid(height, width, np.float32, unbounded=False)
    image = np.asarray(layout.to_image(where.positions, height, width))
    np.testing.assert_array_equal(image.reshape(-1, 2), oracle.grid(height, width))
    assert where.used.sum() == height * width
    assert cells.number == where.used.shape[0]
    corner = np.stack([where.cells % cells.columns, where.cells // cells.columns]) * 8
    within = np.asarray(where.positions) - corner[..., None]
    assert within.min() >= 0 and within.max() < 8


@pytest.mark.parametrize("unbounded", [False, True])
@pytest.mark.parametrize("number", [1, 64, 65, 700])
@pytest.mark.parametrize("kind", ["even", "clustered", "line", "one place"])
def test_queries(rng, number, kind, unbounded):
    queries = rng.uniform(-3, 50, (number, 2))
    if kind == "clustered":
        queries = np.exp(rng.normal(0, 3, (number, 2)))
    elif kind == "line":
        queries[:, 1] = 1e6
    elif kind == "one place":
        queries[:] = [0, -7]
    queries = queries.astype(np.float32)
    where, cells, places = layout.of_queries(jnp.asarray(queries), unbounded=unbounded)
    used, places = np.asarray(where.used), np.asarray(places)
    assert len(set(places.tolist())) == number == used.sum()
    assert used.ravel()[places].all()
    positions = np.asarray(where.positions).reshape(2, -1).T
    np.testing.assert_array_equal(positions[places], queries)
    # Positions of a block lie in its cell, but for rounding.
    cell = np.asarray(where.cells)[places // layout.LANES]
    assert cell.max() < cells.number
    low = where.origin + np.stack([cell % cells.columns, cell // cells.columns], -1) * where.spacing
    slack = 1e-4 * np.asarray(where.spacing) + 1e-30
    assert ((queries >= low - slack) & (queries <= low + where.spacing + slack)).all()
