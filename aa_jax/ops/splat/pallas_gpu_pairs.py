"""Pairs of an entry and a position: how they lie in registers, and what is computed of them."""

import dataclasses
import functools

import jax
from jax import lax, numpy as jnp
from jax.experimental.mosaic.gpu import TiledLayout
from jax.experimental.pallas import mosaic_gpu as plgpu

from aa_jax.ops.splat.terms import LOG_WEIGHT, XX, XY, YY, X, Y
from aa_jax.ops.splat.window import Window


@dataclasses.dataclass(frozen=True)
class Pairs:
    """How an array of pairs (rows, columns) lies in the registers of 128 threads.

    Neighbouring columns belong to neighbouring threads, rows to each of the four warps as many.

    Attributes:
      rows: a multiple of four.
      columns: a multiple of 32, or 32 of them in several rows of a warp.
      interpret: whether it is only for the interpreter, which knows no registers.
    """

    rows: int
    columns: int
    interpret: bool

    def constant(self, value: float) -> jax.Array:
        """An array of one number."""
        return self._laid(jnp.full((self.rows, self.columns), value, jnp.float32))

    def of_columns(self, values) -> jax.Array:
        """(columns,) -> (rows, columns)."""
        return self._spread(values, 1)

    def of_rows(self, values) -> jax.Array:
        """(rows,) -> (rows, columns)."""
        return self._spread(values, 0)

    def row_numbers(self) -> jax.Array:
        """(rows, columns) int32, each its row."""
        return self._laid(lax.broadcasted_iota(jnp.int32, (self.rows, self.columns), 0))

    def _spread(self, values, axis: int) -> jax.Array:
        if not self.interpret:
            values = plgpu.layout_cast(values, self._layout.reduce((1 - axis,)))
        return self._laid(lax.broadcast_in_dim(values, (self.rows, self.columns), (axis,)))

    def _laid(self, array) -> jax.Array:
        return array if self.interpret else plgpu.layout_cast(array, self._layout)

    @functools.cached_property
    def _layout(self):
        of_warp = self.rows // 4
        across = min(self.columns, 32)
        tiles = ((self.rows, self.columns), (of_warp, across), (1, 1))
        # Of the last tile's six axes: rows over warps, columns over rounds of a warp, then both
        # over threads.
        plain = TiledLayout(plgpu.Tiling(tiles), (-6,), (-4, -3), -1, _check_canonical=False)
        canonical = plain.canonicalize()
        return plgpu.Layout.TILED(
            canonical.tiling, canonical.warp_dims, canonical.lane_dims, canonical.vector_dim
        )


class Pair:
    """Entries against positions: what `xla` computes, array by array.

    Args:
      entry: of the number of a column, that column of the entries' table.
      x, y: of the positions.
      window: how far points reach.
    """

    def __init__(self, entry, x, y, window: Window):
        self.entry, self.window = entry, window
        self.log = entry(LOG_WEIGHT)
        self.dx, self.dy = dx, dy = x - entry(X), y - entry(Y)
        self.r = entry(XX) * dx * dx + 2.0 * entry(XY) * dx * dy + entry(YY) * dy * dy
        self.before_coefficients = columns_before_coefficients(window)
        if window.kind == "square":
            apart = jnp.maximum(jnp.abs(x - entry(6)), jnp.abs(y - entry(7)))
            self.inside = apart <= window.radius
        else:
            self.inside = self.r <= window.radius**2

    def log_weight(self):
        """Logarithm of the weight; minus infinity outside of the window."""
        log_weight = self.log + self.window.log_profile(self.r)
        return jnp.where(self.inside, log_weight, -jnp.inf)

    def exponential(self, shift):
        """exp(l - r/2 - shift), zero outside of the window."""
        exponent = jnp.minimum(self.log - 0.5 * self.r - shift, self.window.greatest_exponent)
        return jnp.where(self.inside, jnp.exp(exponent), 0.0)

    def weight(self, exponential, n: int, a: int, b: int):
        """What a term multiplies its coefficient with."""
        product = self.window.profile(n, self.r, exponential)
        for factor in [self.dx] * a + [self.dy] * b:
            product = product * factor
        return product


def columns_before_coefficients(window: Window) -> int:
    """Numbers of an entry that say where it is: its geometry, and a square window's centre."""
    return 8 if window.kind == "square" else 6
