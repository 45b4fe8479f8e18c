"""The body of the GPU kernel: one block's walk down the rows; see `pallas_gpu` for the idea."""

import dataclasses
import functools

from jax import lax, numpy as jnp
from jax.experimental.pallas import mosaic_gpu as plgpu

from aa_jax.ops.filtered_activation.pallas_gpu_copies import Copies, Place
from aa_jax.ops.filtered_activation.pallas_gpu_pattern import Sum
from aa_jax.ops.filtered_activation.pallas_gpu_tiles import buffers
from aa_jax.ops.filtered_activation.piecewise import (
    CLAMPED,
    NEGATIVE,
    ROWS_PER_BYTE,
    PiecewiseLinear,
)

# Neighbouring elements that a thread holds of every array.
_VECTOR = 2


@dataclasses.dataclass(frozen=True)
class Body:
    """The kernel body; a hashable function of references.

    Attributes:
      place: where the arrays lie.
      activation: the pointwise function.
      temporary_height: rows of the temporary grid, for the codes.
    """

    place: Place
    activation: PiecewiseLinear
    temporary_height: int

    def scratch(self, dtype) -> dict:
        """Shared memory and barriers of a block."""
        place = self.place
        dtypes = {"ring": dtype, "tall": jnp.float32, "wide": jnp.float32, "out": dtype}
        shapes = buffers(place.rows, place.columns, place.tiling, place.mode)
        types = {
            name: plgpu.SMEM(shape, dtypes.get(name, jnp.uint8)) for name, shape in shapes.items()
        }
        types["fed"] = plgpu.Barrier(num_arrivals=2 if place.mode == "read" else 1)
        if place.rows.chunks > 1:
            types["primed"] = plgpu.Barrier(num_arrivals=place.rows.chunks - 1)
        return types

    def __call__(self, *refs, ring, tall, wide, out, fed, primed=None, bits=None):
        copies = Copies(self.place, refs, ring=ring, out=out, bits=bits, fed=fed, primed=primed)
        block = _Block(self, copies, tall, wide)
        copies.prime()
        carried = [block.zeros()] * (self.place.rows.partial * self.place.columns.outputs)
        lax.fori_loop(0, copies.steps, block.step, carried)
        # The last copies still read this block's memory.
        plgpu.wait_smem_to_gmem(0)


class _Block:
    """What a block computes.

    An array is (units, channels) everywhere. `carried` holds the partial output rows: for each, for
    each class of output columns, an array. `packed` holds the bytes of codes of a step: for each
    row of them, for each class of columns, an array, None before its first codes.
    """

    def __init__(self, body: Body, copies: Copies, tall, wide):
        self.body, self.copies, self.tall, self.wide = body, copies, tall, wide
        self.place, self.tiling = body.place, body.place.tiling
        self.rows, self.columns = body.place.rows, body.place.columns

    def step(self, step, carried):
        self.copies.wait()
        carried, packed = list(carried), [None] * self.rows.code_rows * self.columns.classes
        group = self.tiling.group
        for row in range(self.rows.temporary):
            if row % group == 0:
                self.filter_up_rows(step, row)
                plgpu.commit_smem()
            if row == self.rows.temporary - group:
                # Every row of the ring's oldest chunk has been read: its place is free.
                self.copies.feed_after(step)
            self.make_row(step, row, packed)
            plgpu.commit_smem()
            self.filter_down(row, carried)
        self.write(step, carried, packed)
        # The completed rows make room for as many new ones.
        done = self.rows.emitted * self.columns.outputs
        return carried[done:] + [self.zeros()] * done

    def make_row(self, step, row: int, packed: list):
        """Makes one row of the temporary grid: horizontal up filter, then what is pointwise."""
        for c, u in enumerate(self.filter_up_columns(row % self.tiling.group)):
            if self.place.mode == "read":
                u = u * self.slopes(step, row, c)
            else:
                u, codes = _activate(self.body.activation, u, self.place.mode == "write")
                at = row // ROWS_PER_BYTE * self.columns.classes + c
                packed[at] = _add_codes(packed[at], codes, row % ROWS_PER_BYTE)
            self.wide[row % 2, c, 0 : self.tiling.units, :] = u

    def filter_up_columns(self, row: int) -> list:
        """Horizontal up filter of one row of the group, class by class."""
        units = self.tiling.units
        totals = [None] * self.columns.classes
        # Term by term, so that the operands of one at a time have to be in registers.
        for term, sums in enumerate(self.columns.up):

            @functools.cache
            def operand(where, term=term):
                column, later = where
                return self.strided(self.tall[term, row, column, later : later + units, :])

            totals = [
                self.weighted(operand, pairs, units, total)
                for pairs, total in zip(sums, totals, strict=True)
            ]
        return totals

    def filter_up_rows(self, step, first: int):
        """Vertical up filter of the group of rows that starts at `first`, from the ring."""
        group = self.tiling.group
        for c in range(self.columns.inputs):

            @functools.cache
            def input_row(row, c=c):
                chunk, within = divmod(row, self.rows.fresh)
                slot = lax.rem(step + chunk, self.rows.chunks)
                return self.strided(self.copies.ring[slot, within, :, c, :]).astype(jnp.float32)

            for term, sums in enumerate(self.rows.up):
                for row in range(group):
                    self.tall[term, row, c] = self.weighted(
                        input_row, sums[first + row], self.tiling.input_units
                    )

    def slopes(self, step, row: int, c: int):
        """Slopes that the codes of one row and class stand for, without the gain."""
        byte, within = divmod(row, ROWS_PER_BYTE)
        bits = self.strided(self.copies.bits[lax.rem(step, 2), byte, :, c, :]).astype(jnp.int32)
        codes = (bits >> (2 * within)) & 3
        slopes = jnp.where(codes == NEGATIVE, self.body.activation.slope, 1.0)
        return jnp.where(codes == CLAMPED, 0.0, slopes).astype(jnp.float32)

    def filter_down(self, row: int, carried: list):
        """Adds one temporary row to the output rows that it is part of."""
        units = self.tiling.units

        @functools.cache
        def operand(where):
            c, later = where
            return self.strided(self.wide[row % 2, c, later : later + units, :])

        for across, along in zip(self.columns.down, self.rows.down, strict=True):
            for o, pairs in enumerate(across):
                if not along[row]:
                    continue
                value = self.weighted(operand, pairs, units)
                for out, tap in along[row]:
                    at = out * self.columns.outputs + o
                    carried[at] = carried[at] + value * tap

    def weighted(self, operand, pairs: Sum, units: int, total=None):
        """Sum of operands times taps, in float32, added to `total`."""
        for where, tap in pairs:
            value = operand(where)
            part = value if tap == 1.0 else value * tap
            total = part if total is None else total + part
        return self.zeros(units) if total is None else total

    def zeros(self, units: int | None = None):
        shape = (units or self.tiling.units, self.tiling.channels)
        return self.strided(jnp.zeros(shape, jnp.float32))

    def strided(self, value):
        """Gives a loaded array the one layout that all of them have."""
        if self.place.interpret:
            return value
        layout = plgpu.Layout.WG_STRIDED(value.shape, vec_size=_VECTOR)
        return plgpu.layout_cast(value, layout)

    def write(self, step, carried: list, packed: list):
        """Sends off the completed rows, and the codes."""
        # The copies of the step before have read their sources.
        plgpu.wait_smem_to_gmem(0, wait_read_only=True)
        out, outputs = self.copies.out, self.columns.outputs
        for row in range(self.rows.emitted):
            for o in range(outputs):
                out[row, :, o, :] = carried[row * outputs + o].astype(out.dtype)
        if self.place.mode == "write":
            self.pack(step, packed)
        plgpu.commit_smem()
        self.copies.store_rows(step)
        if self.place.mode == "write":
            self.copies.store_codes(step)

    def pack(self, step, packed: list):
        """Writes bytes of codes to shared memory, zero for the rows below the temporary grid."""
        rows = self.rows
        for byte in range(rows.code_rows):
            first = (self.copies.first_step + step) * rows.temporary + byte * ROWS_PER_BYTE
            inside = jnp.clip(self.body.temporary_height - first, 0, ROWS_PER_BYTE)
            mask = (1 << (2 * inside)) - 1
            for c in range(self.columns.classes):
                codes = packed[byte * self.columns.classes + c]
                self.copies.bits[0, byte, :, c, :] = (codes & mask).astype(jnp.uint8)


def _activate(activation: PiecewiseLinear, u, with_codes: bool):
    """The activation and, if wanted, its codes as int32; as `PiecewiseLinear` defines them.

    Of `u` times the gain: that is in the taps.
    """
    slope, clamp = activation.slope, activation.clamp
    negative = lax.bitcast_convert_type(u, jnp.int32) < 0
    if slope == 1.0:
        v = u
    elif 0.0 <= slope < 1.0:
        v = jnp.maximum(u, u * slope)
    else:
        v = jnp.where(negative, u * slope, u)
    codes = None
    if with_codes:
        codes = jnp.where(negative, NEGATIVE if slope != 1.0 else 0, 0)
        if clamp is not None:
            codes = jnp.where(jnp.abs(v) > clamp, CLAMPED, codes)
    return (v if clamp is None else jnp.clip(v, -clamp, clamp)), codes


def _add_codes(byte, codes, row: int):
    if codes is None or byte is None:
        return codes
    return byte | (codes << (2 * row))
