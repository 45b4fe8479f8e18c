"""What a block of the tensor-core kernel copies between global and shared memory."""

import dataclasses

from jax import lax, numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from aa_jax.ops.filtered_activation.pallas_gpu_copies import GRID, Origins
from aa_jax.ops.filtered_activation.pallas_gpu_pattern import Rows
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_plan import BLOCK, Strip, StripTiling


@dataclasses.dataclass(frozen=True)
class StripPlace:
    """Where the arrays lie, and how they are cut; static.

    Attributes:
      rows, strip, tiling: see `pallas_gpu_pattern` and `pallas_gpu_tensor_plan`.
      mode: "plain" (no codes), "write" or "read" them.
      interpret: whether the interpreter runs it.
      x, y, codes: origins of the three arrays.
    """

    rows: Rows
    strip: Strip
    tiling: StripTiling
    mode: str
    interpret: bool = False
    x: Origins = Origins()
    y: Origins = Origins()
    codes: Origins = Origins()


class StripCopies:
    """The copies of one block.

    Args:
      place: see there.
      refs: the kernel's arguments in global memory, those of `filtered` or `gated` and last but
        for the results the matrices of taps.
      buffers: in shared memory, by name, see `pallas_gpu_tensor_plan.buffers`.
      fed: barrier of what one step newly reads.
      primed: barrier of what else the first step reads.
    """

    def __init__(self, place: StripPlace, refs, buffers: dict, *, fed, primed):
        self.place, self.rows, self.strip = place, place.rows, place.strip
        self.buffers, self.fed, self.primed = buffers, fed, primed
        if place.mode == "read":
            self.x_ref, self.codes_ref, self.matrices_ref, self.y_ref = refs
        else:
            self.x_ref, self.matrices_ref, self.y_ref, *codes = refs
            self.codes_ref = codes[0] if codes else None
        tiling = place.tiling
        self.image = lax.axis_index(GRID[0])
        tile = lax.axis_index(GRID[1])
        segment = lax.div(tile, tiling.tiles)
        self.first_strip = lax.rem(tile, tiling.tiles) * tiling.strips
        self.first_step = segment * tiling.length + self.rows.first_emitting - tiling.lead_steps
        self.channel = lax.axis_index(GRID[2]) * tiling.channels

    @property
    def steps(self) -> int:
        """Steps of the block."""
        return self.place.tiling.lead_steps + self.place.tiling.length

    @staticmethod
    def primed_arrivals(place: StripPlace) -> int:
        """Copies that `prime` waits for besides those of the first step."""
        return (place.rows.chunks - 1) * place.tiling.strips + 1

    @staticmethod
    def fed_arrivals(place: StripPlace) -> int:
        """Copies that every step waits for."""
        return place.tiling.strips * (2 if place.mode == "read" else 1)

    def prime(self):
        """Copies what the first step reads."""
        start = jnp.int32(0)
        plgpu.copy_gmem_to_smem(self.matrices_ref, self.buffers["matrices"], self.primed)
        for index in range(self.rows.chunks - 1):
            self._load_chunk(start + index, self.primed)
        self._feed(start)
        plgpu.barrier_wait(self.primed)

    def advance(self, step):
        """Waits for what this step newly reads, and starts to copy what the next one does."""
        plgpu.barrier_wait(self.fed)

        @pl.when(step + 1 < self.steps)
        def _():
            self._feed(step + 1)

    def first_slot(self, step):
        """Where in the ring the rows begin that a step reads."""
        return lax.rem(step, self.rows.chunks + 1)

    def codes(self, step):
        """Codes (strips, columns, channels) of a step."""
        slot = lax.rem(step, 2) if self.place.mode == "read" else 0
        return self.buffers["bits"].at[slot]

    def store_rows(self, step):
        """Copies completed rows out, unless they belong to the segment above."""
        rows, tiling = self.rows, self.place.tiling

        @pl.when(step >= tiling.lead_steps)
        def _():
            first = (self.first_step + step) * rows.emitted + rows.first_output
            column = self.first_strip * self.strip.width
            width = tiling.strips * self.strip.width
            target = self._window(self.y_ref, self.place.y, first, rows.emitted, column, width)
            plgpu.copy_smem_to_gmem(self.buffers["out"], target)

    def store_codes(self, step):
        """Copies codes out."""
        for strip in range(self.place.tiling.strips):
            target = self._codes_window(step, strip)
            plgpu.copy_smem_to_gmem(self.codes(step).at[strip], target)

    def _feed(self, step):
        self._load_chunk(step + self.rows.chunks - 1, self.fed)
        if self.place.mode == "read":
            for strip in range(self.place.tiling.strips):
                target = self.codes(step).at[strip]
                plgpu.copy_gmem_to_smem(self._codes_window(step, strip), target, self.fed)

    def _load_chunk(self, index, barrier):
        """Starts to copy chunk `index` of the input, counted from the first step's first."""
        rows = self.rows
        row = (self.first_step + index) * rows.fresh + rows.first_input
        slot = lax.rem(index, rows.chunks + 1)
        for strip in range(self.place.tiling.strips):
            column = (self.first_strip + strip) * self.strip.input_step + self.strip.input_first
            target = self.buffers["ring"].at[strip, slot]
            copied, width, _ = target.shape
            source = self._window(self.x_ref, self.place.x, row, copied, column, width)
            plgpu.copy_gmem_to_smem(source, target, barrier)

    def _codes_window(self, step, strip: int):
        column = (self.first_strip + strip) * self.strip.step + self.strip.first
        width = self.strip.blocks * BLOCK
        row = self.first_step + step
        return self._window(self.codes_ref, self.place.codes, row, None, column, width)

    def _window(self, ref, origins: Origins, row, rows: int | None, column, width: int):
        """A box of a global array: some rows (None for one), some columns, the channels."""
        row = row + origins.rows
        rows = row if rows is None else pl.ds(row, rows)
        columns = pl.ds(column + origins.units, width)
        return ref.at[self.image, rows, columns, pl.ds(self.channel, self.place.tiling.channels)]
