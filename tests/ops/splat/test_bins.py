"""Lists of points per cell against all pairs of them."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.ops.splat import bins, layout


@pytest.fixture
def boxes(rng):
    """Boxes of fifty points, some beyond every cell, one a mere line, and who is of use."""
    centre = rng.uniform(-25, 60, (2, 50))
    reach = rng.uniform(0, 14, (2, 50))
    reach[:, 0] = 0
    low, high = centre - reach, centre + reach
    boxes = np.stack([low[0], high[0], low[1], high[1]])
    return boxes.astype(np.float32), rng.uniform(size=50) < 0.8


def lists(found, cells):
    return [
        sorted(np.asarray(found.points)[start : start + count].tolist())
        for start, count in zip(found.start, found.count, strict=True)
    ][: cells.number]


def reaching(boxes, usable, low, high):
    """Points whose box meets [low, high]."""
    x0, x1, y0, y1 = boxes
    meets = (x0 <= high[0]) & (x1 >= low[0]) & (y0 <= high[1]) & (y1 >= low[1])
    return np.flatnonzero(meets & usable).tolist()


def test_cells_of_pixels(boxes):
    """A cell's points are those whose box holds one of its pixels."""
    boxes, usable = boxes
    where, cells = layout.of_grid(33, 41, np.float32, unbounded=False)
    found, entries = jax.jit(lambda b, u: bins.bins_of(b, u, where, cells, 600))(boxes, usable)
    whole = np.stack([np.ceil(boxes[0]), np.floor(boxes[1]), np.ceil(boxes[2]), np.floor(boxes[3])])
    usable = usable & (whole[0] <= whole[1]) & (whole[2] <= whole[3])
    expected = [
        reaching(whole, usable, (x, y), (x + 7, y + 7))
        for y in range(0, 33, 8)
        for x in range(0, 41, 8)
    ]
    assert lists(found, cells) == expected
    assert entries == sum(map(len, expected))


def test_cells_of_queries(boxes, rng):
    """No box that holds a position is missing from the position's cell."""
    boxes, usable = boxes
    queries = rng.uniform(-10, 40, (300, 2)).astype(np.float32)
    where, cells, places = layout.of_queries(jnp.asarray(queries), unbounded=False)
    found, _ = jax.jit(lambda b, u: bins.bins_of(b, u, where, cells, 600))(boxes, usable)
    listed = lists(found, cells)
    cell = np.asarray(where.cells)[np.asarray(places) // layout.LANES]
    assert cells.number == 9
    for query, c in zip(queries, cell, strict=True):
        assert set(reaching(boxes, usable, query, query)) <= set(listed[c])


def test_everything_where_the_list_is_short(boxes):
    boxes, usable = boxes
    where, cells = layout.of_grid(33, 41, np.float32, unbounded=False)
    found, entries = jax.jit(lambda b, u: bins.bins_of(b, u, where, cells, 50))(boxes, usable)
    assert entries > 50
    assert lists(found, cells) == [list(range(50))] * cells.number


def test_total_does_not_wrap_around():
    numbers = jnp.full(70_000, 2**16, jnp.int32)
    assert bins.total_entries(numbers) == 2**30
    assert bins.total_entries(numbers[:100]) == 100 * 2**16
