"""What a block of the GPU kernel copies between global and shared memory, and where it works."""

import dataclasses

from jax import lax, numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from aa_jax.ops.filtered_activation.pallas_gpu_pattern import Columns, Rows
from aa_jax.ops.filtered_activation.pallas_gpu_tiles import Tiling

# Axes of the grid. The second counts the tiles of a segment, then the segments.
GRID = ("image", "tile", "channels")


@dataclasses.dataclass(frozen=True)
class Origins:
    """Where row and unit 0 of an array lie in the one that the kernel gets.

    (0, 0) on a GPU, whose copies read zeros outside of an array and write nothing there. The
    interpreter's copies can't, so for it the arrays are padded, and split into units beforehand.
    """

    rows: int = 0
    units: int = 0


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the arrays lie, and how they are cut; static.

    Attributes:
      rows, columns, tiling: see `pallas_gpu_pattern` and `pallas_gpu_tiles`.
      mode: "plain" (no codes), "write" or "read" them.
      interpret: whether the interpreter runs it.
      x, y, codes: origins of the three arrays.
    """

    rows: Rows
    columns: Columns
    tiling: Tiling
    mode: str
    interpret: bool = False
    x: Origins = Origins()
    y: Origins = Origins()
    codes: Origins = Origins()


class Copies:
    """The copies of one block.

    Args:
      place: see there.
      refs: the kernel's arguments in global memory.
      ring, out, bits: buffers in shared memory, see `pallas_gpu_tiles.buffers`.
      fed: barrier of what one step newly reads.
      primed: barrier of what else the first step reads, None if nothing.
    """

    def __init__(self, place: Place, refs, *, ring, out, bits, fed, primed):
        self.place, self.rows, self.columns = place, place.rows, place.columns
        self.ring, self.out, self.bits = ring, out, bits
        self.fed, self.primed = fed, primed
        self.x_ref = refs[0]
        self.y_ref = refs[2] if place.mode == "read" else refs[1]
        self.codes_ref = {"plain": None, "write": refs[-1], "read": refs[1]}[place.mode]
        tiling = place.tiling
        self.image = lax.axis_index(GRID[0])
        tile = lax.axis_index(GRID[1])
        segment = lax.div(tile, tiling.tiles)
        self.first_unit = lax.rem(tile, tiling.tiles) * tiling.valid
        self.first_step = segment * tiling.length + self.rows.first_emitting - tiling.lead_steps
        self.channel = lax.axis_index(GRID[2]) * tiling.channels

    @property
    def steps(self) -> int:
        """Steps of the block."""
        return self.place.tiling.lead_steps + self.place.tiling.length

    def prime(self):
        """Copies what the first step reads."""
        start = jnp.int32(0)
        for index in range(self.rows.chunks - 1):
            self._load_chunk(start + index, self.primed)
        self._feed(start)
        if self.primed is not None:
            plgpu.barrier_wait(self.primed)

    def wait(self):
        """Waits for what the current step newly reads."""
        plgpu.barrier_wait(self.fed)

    def feed_after(self, step):
        """Starts to copy what the step after `step` newly reads, once the ring has room for it."""

        @pl.when(step + 1 < self.steps)
        def _():
            self._feed(step + 1)

    def store_rows(self, step):
        """Copies completed rows out, unless they belong to the segment above."""
        rows, tiling = self.rows, self.place.tiling

        @pl.when(step >= tiling.lead_steps)
        def _():
            first = (self.first_step + step) * rows.emitted + rows.first_output
            for row in range(rows.emitted):
                source = self._box(self.out.at[row, 0 : tiling.valid])
                units, width = tiling.valid, self.columns.outputs
                target = self._window(
                    self.y_ref, self.place.y, first + row, None, self.first_unit, units, width
                )
                plgpu.copy_smem_to_gmem(source, target)

    def store_codes(self, step):
        """Copies codes out."""
        plgpu.copy_smem_to_gmem(self._box(self.bits.at[0]), self._codes_window(step))

    def _feed(self, step):
        self._load_chunk(step + self.rows.chunks - 1, self.fed)
        if self.place.mode == "read":
            slot = self._box(self.bits.at[lax.rem(step, 2)])
            plgpu.copy_gmem_to_smem(self._codes_window(step), slot, self.fed)

    def _load_chunk(self, index, barrier):
        """Starts to copy chunk `index` of the input, counted from the first step's first."""
        rows = self.rows
        source = self._window(
            self.x_ref,
            self.place.x,
            (self.first_step + index) * rows.fresh + rows.first_input,
            rows.fresh,
            self.first_unit + self.columns.input_lead,
            self.place.tiling.input_units,
            self.columns.inputs,
        )
        slot = self.ring.at[lax.rem(index, rows.chunks)]
        plgpu.copy_gmem_to_smem(source, self._box(slot), barrier)

    def _codes_window(self, step):
        rows = self.rows.code_rows
        return self._window(
            self.codes_ref,
            self.place.codes,
            (self.first_step + step) * rows,
            rows,
            self.first_unit + self.columns.lead,
            self.place.tiling.units,
            self.columns.classes,
        )

    def _window(self, ref, origins: Origins, row, rows: int | None, unit, units: int, width: int):
        """A box of a global array: some rows (None for one), some units, the channel block."""
        row, unit = row + origins.rows, unit + origins.units
        rows = row if rows is None else pl.ds(row, rows)
        channels = pl.ds(self.channel, self.place.tiling.channels)
        if self.place.interpret:
            return ref.at[self.image, rows, pl.ds(unit, units), :, channels]
        return ref.at[self.image, rows, pl.ds(unit * width, units * width), channels]

    def _box(self, ref):
        """A box (..., units, width, channels) of shared memory as copies want it."""
        if self.place.interpret:
            return ref
        *rows, units, width, channels = ref.shape
        return ref.reshape(*rows, units * width, channels)
