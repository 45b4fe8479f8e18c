"""Where sums are wanted: positions in blocks of 64, each within one cell of a coarse grid."""

import dataclasses
import math
from typing import NamedTuple

import jax
from jax import lax, numpy as jnp

LANES = 64
_SIDE = 8  # a block of a pixel grid is 8 x 8: cells much smaller repeat points, larger ones pairs


@dataclasses.dataclass(frozen=True)
class Cells:
    """The shape of the grid of cells; one cell for all if every point reaches everywhere.

    Attributes:
      columns: number of cells along x.
      rows: number of cells along y.
      on_pixels: whether positions are whole numbers, so that a reach can be rounded inwards.
    """

    columns: int
    rows: int
    on_pixels: bool

    @property
    def number(self) -> int:
        """How many cells there are."""
        return self.columns * self.rows


class Layout(NamedTuple):
    """Positions in blocks.

    Attributes:
      positions: (2, blocks, LANES), x and y; what fills a block up repeats one of them.
      used: (blocks, LANES), False where a block is filled up.
      cells: (blocks,), the cell of each block.
      origin: (2,), least x and y of the first cell.
      spacing: (2,), width and height of a cell.
    """

    positions: jax.Array
    used: jax.Array
    cells: jax.Array
    origin: jax.Array
    spacing: jax.Array


def of_grid(height: int, width: int, dtype, *, unbounded: bool) -> tuple[Layout, Cells]:
    """Layout of the pixels of an image, whose centres are whole numbers."""
    rows, columns = -(-height // _SIDE), -(-width // _SIDE)
    block = jnp.arange(rows * columns, dtype=jnp.int32)[:, None]
    lane = jnp.arange(LANES, dtype=jnp.int32)
    x = block % columns * _SIDE + lane % _SIDE
    y = block // columns * _SIDE + lane // _SIDE
    used = (x < width) & (y < height)
    positions = jnp.stack([jnp.minimum(x, width - 1), jnp.minimum(y, height - 1)]).astype(dtype)
    cells = Cells(1, 1, True) if unbounded else Cells(columns, rows, True)
    return Layout(
        positions=positions,
        used=used,
        cells=jnp.zeros_like(block[:, 0]) if unbounded else block[:, 0],
        origin=jnp.zeros(2, dtype),
        spacing=jnp.full(2, _SIDE, dtype),
    ), cells


def to_image(blocks: jax.Array, height: int, width: int) -> jax.Array:
    """Values (channels, blocks, LANES) of a grid's layout -> (height, width, channels)."""
    rows, columns = -(-height // _SIDE), -(-width // _SIDE)
    image = blocks.reshape(-1, rows, columns, _SIDE, _SIDE).transpose(1, 3, 2, 4, 0)
    return image.reshape(rows * _SIDE, columns * _SIDE, -1)[:height, :width]


def of_queries(queries: jax.Array, *, unbounded: bool) -> tuple[Layout, Cells, jax.Array]:
    """Layout of arbitrary positions.

    Args:
      queries: (queries, 2), x and y, finite.
      unbounded: whether every point reaches every position.

    Returns:
      The layout, its cells, and (queries,) the place of each in the layout's flattened blocks.
    """
    number = queries.shape[0]
    if unbounded:
        side = 1
    else:  # about half a block to a cell, if the positions are spread evenly
        side = max(1, math.isqrt(2 * number // LANES))
    origin = lax.stop_gradient(queries.min(0))
    extent = lax.stop_gradient(queries.max(0)) - origin
    spacing = jnp.maximum(extent / side * (1 + 1e-5), jnp.finfo(queries.dtype).tiny)
    column = jnp.clip(((queries - origin) / spacing).astype(jnp.int32), 0, side - 1)
    cell = column[:, 1] * side + column[:, 0]
    in_cell = jnp.zeros(side**2, jnp.int32).at[cell].add(1)
    in_blocks = -(-in_cell // LANES)
    first_block = jnp.cumsum(in_blocks, dtype=jnp.int32) - in_blocks
    order = jnp.argsort(cell, stable=True).astype(jnp.int32)
    sorted_cell = cell[order]
    first = jnp.cumsum(in_cell, dtype=jnp.int32) - in_cell
    rank = jnp.arange(number, dtype=jnp.int32) - first[sorted_cell]
    place = first_block[sorted_cell] * LANES + rank
    blocks = side**2 + number // LANES
    # A block that none needs is a copy of the first position, marked as not used.
    source = jnp.zeros(blocks * LANES, jnp.int32).at[place].set(order)
    used = jnp.zeros(blocks * LANES, bool).at[place].set(True)
    block_cells = jnp.zeros(blocks, jnp.int32).at[place // LANES].set(sorted_cell)
    # Fillers take a position of their own block, so that none lies outside of its cell.
    source = jnp.where(used, source, jnp.repeat(source[::LANES], LANES))
    layout = Layout(
        positions=queries[source].T.reshape(2, blocks, LANES),
        used=used.reshape(blocks, LANES),
        cells=block_cells,
        origin=origin,
        spacing=spacing,
    )
    return layout, Cells(side, side, False), jnp.zeros(number, jnp.int32).at[order].set(place)
