"""Which points reach which cells: a sorted list of static length."""

from typing import NamedTuple

import jax
from jax import lax, numpy as jnp

from aa_jax.ops.splat.layout import Cells, Layout

_MOST = 2**30  # entries that may be counted in 32 bits, with room for rounding


class Bins(NamedTuple):
    """The points of each cell.

    Attributes:
      points: (capacity,), indices of points, cell after cell.
      start: (cells,), where a cell's points begin.
      count: (cells,), how many there are.
    """

    points: jax.Array
    start: jax.Array
    count: jax.Array


def entries(boxes: jax.Array, reaches: jax.Array, layout: Layout, cells: Cells):
    """How many cells each point reaches.

    Args:
      boxes: (4, points), least and greatest x, least and greatest y of what a point reaches.
      reaches: (points,), False for points without any weight.
      layout: of the positions.
      cells: of the positions.

    Returns:
      (points,) numbers of cells, the first cells' (column, row), and the boxes' widths in cells.
    """
    x0, x1, y0, y1 = boxes
    columns = _cell_range(x0, x1, layout.origin[0], layout.spacing[0], cells.columns, cells)
    rows = _cell_range(y0, y1, layout.origin[1], layout.spacing[1], cells.rows, cells)
    across, down = (jnp.maximum(last - first + 1, 0) for first, last in (columns, rows))
    return jnp.where(reaches, across * down, 0), (columns[0], rows[0]), across


def _cell_range(low, high, origin, spacing, number: int, cells: Cells):
    if cells.on_pixels:
        low, high = jnp.ceil(low), jnp.floor(high)
    first, last = (jnp.floor((v - origin) / spacing) for v in (low, high))
    # Outside of the grid the range is empty: the last cell before the first.
    first = jnp.clip(first, 0, number).astype(jnp.int32)
    return first, jnp.clip(last, -1, number - 1).astype(jnp.int32)


def total_entries(numbers: jax.Array) -> jax.Array:
    """Sum of numbers of cells, saturating; int32."""
    total = jnp.sum(numbers.astype(jnp.float32))
    return jnp.where(total < _MOST, jnp.sum(numbers, dtype=jnp.int32), _MOST)


def bins_of(boxes, reaches, layout: Layout, cells: Cells, capacity: int) -> tuple[Bins, jax.Array]:
    """Sorts points into cells.

    Where more entries are needed than the list holds, every cell gets all points instead: slow, but
    nothing is left out.

    Args:
      boxes: as of `entries`.
      reaches: as of `entries`.
      layout: of the positions.
      cells: of the positions.
      capacity: length of the list, at least the number of points.

    Returns:
      The bins, and how many entries were needed, saturating.
    """
    points = boxes.shape[1]
    everything = Bins(
        points=jnp.arange(capacity, dtype=jnp.int32) % points,
        start=jnp.zeros(cells.number, jnp.int32),
        count=jnp.full(cells.number, points, jnp.int32),
    )
    if cells.number == 1:
        return everything, jnp.int32(points)
    numbers, (column, row), across = entries(boxes, reaches, layout, cells)
    total = total_entries(numbers)
    first = jnp.cumsum(numbers, dtype=jnp.int32) - numbers
    point = jnp.repeat(jnp.arange(points, dtype=jnp.int32), numbers, total_repeat_length=capacity)
    place = jnp.arange(capacity, dtype=jnp.int32)
    rank = place - first[point]
    across = jnp.maximum(across, 1)[point]
    cell = (row[point] + rank // across) * cells.columns + column[point] + rank % across
    cell = jnp.where(place < total, cell, cells.number)
    cell, order = _sorted(cell, cells.number)
    point = point[order]
    cells_and_end = jnp.arange(cells.number + 1, dtype=jnp.int32)
    edges = jnp.searchsorted(cell, cells_and_end, method="scan_unrolled").astype(jnp.int32)
    found = Bins(point, edges[:-1], edges[1:] - edges[:-1])
    fits = total <= capacity
    return jax.tree.map(lambda a, b: jnp.where(fits, a, b), found, everything), total


def _sorted(cell, cells: int):
    """Entries' cells, at most `cells`, in order, and the places where they were.

    Sorting single numbers is several times faster than sorting pairs: a place and as much of the
    cell as there is room for make one, and large grids take two such passes.
    """
    number = len(cell)
    place_bits = max(number - 1, 1).bit_length()
    room = 32 - place_bits
    place = jnp.arange(number, dtype=jnp.uint32)
    order = place.astype(jnp.int32)
    for shift in range(0, cells.bit_length(), room):
        digit = (cell[order] >> shift).astype(jnp.uint32) & (2**room - 1)
        key = lax.sort(digit << place_bits | place)
        order = order[(key & (2**place_bits - 1)).astype(jnp.int32)]
    return cell[order], order
