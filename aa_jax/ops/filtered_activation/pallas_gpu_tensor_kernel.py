"""The body of the tensor-core kernel: one block's walk down the rows; see `pallas_gpu_tensor`."""

import dataclasses
import functools
import itertools

from jax import lax, numpy as jnp
from jax.experimental.pallas import mosaic_gpu as plgpu

from aa_jax.ops.filtered_activation.pallas_gpu_tensor_codes import Codes
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_copies import StripCopies, StripPlace
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_plan import (
    BLOCK,
    buffers,
    rows_down,
    rows_read,
)
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_registers import transforms
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_taps import RoundedStage
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_units import Units
from aa_jax.ops.filtered_activation.piecewise import ROWS_PER_BYTE


@dataclasses.dataclass(frozen=True)
class StripBody:
    """The kernel body; a hashable function of references.

    Attributes:
      place: where the arrays lie.
      rounded: the stage that the tensor cores compute.
    """

    place: StripPlace
    rounded: RoundedStage

    def scratch(self, dtype) -> dict:
        """Shared memory and barriers of a block."""
        place, tiling = self.place, self.place.tiling
        dtypes = {"matrices": jnp.int32, "bits": jnp.uint8}
        types = {}
        for name, shape in buffers(self.rounded.stage, tiling, place.mode).items():
            kind = dtypes.get(name, dtype)
            plain = place.interpret or name in ("tall", "matrices")
            how = () if plain else transforms(tiling.channels, kind)
            types[name] = plgpu.SMEM(shape, kind, transforms=how)
        types["fed"] = plgpu.Barrier(num_arrivals=StripCopies.fed_arrivals(place))
        types["primed"] = plgpu.Barrier(num_arrivals=StripCopies.primed_arrivals(place))
        return types

    def __call__(self, *refs, fed, primed, **held):
        copies = StripCopies(self.place, refs, held, fed=fed, primed=primed)
        units = Units(held["ring"].dtype, self.place.tiling.channels, self.place.interpret)
        copies.prime()
        block = _Block(self, copies, units)
        kept = (self.place.rows.partial - self.place.rows.emitted) * self.place.strip.groups
        lax.fori_loop(0, copies.steps, block.step, [units.zeros()] * kept)
        # The last copies still read this block's memory.
        plgpu.wait_smem_to_gmem(0)


class _Block:
    """What a block computes.

    `carried` holds the partial output rows: for each, for each block of columns, a block in
    float32, or None if nothing is in it yet.
    """

    def __init__(self, body: StripBody, copies: StripCopies, units: Units):
        self.copies, self.units, self.rounded = copies, units, body.rounded
        self.place, self.rows, self.strip = body.place, body.place.rows, body.place.strip
        self.rows_down = rows_down(self.rows)
        self.matrix = functools.partial(units.words, copies.buffers["matrices"])

    def step(self, step, carried):
        self.copies.advance(step)
        groups = self.strip.groups
        carried = list(carried) + [None] * (self.rows.emitted * groups)
        self.filter_up_rows(step)
        # The copies of the step before have read their sources.
        plgpu.wait_smem_to_gmem(0, wait_read_only=True)
        rows = _Rows(self, step)
        for group, (term, along) in itertools.product(range(groups), enumerate(self.rows_down)):
            if group == 0 or len(self.rows_down) > 1:
                mask = self.matrix(len(self.strip.matrices))
            for pair, sums in enumerate(along):
                first, second = (rows.down(term, 2 * pair + i, group) for i in range(2))
                for out, taps in sums:
                    at = out * groups + group
                    carried[at] = self.units.multiples(carried[at], first, second, taps, mask)
        done = self.rows.emitted * groups
        self.write(step, carried[:done])
        return [self.units.zeros() if value is None else value for value in carried[done:]]

    def filter_up_rows(self, step):
        """Vertical up filter, from the ring to `tall`, four columns at a time."""
        units, held = self.units, self.copies.buffers
        window = units.window(
            held["ring"], self.copies.first_slot(step), rows_read(self.rows), self.rows.fresh
        )
        matrices = {index: self.matrix(index) for index in self.strip.tall}
        for column in range(0, self.strip.input_blocks * BLOCK, 4):
            blocks = [units.columns(window, column + i) for i in (0, 2)]
            for term, index in enumerate(self.strip.tall):
                rows = (units.product(None, *pair, matrices[index]) for pair in blocks)
                rows = (value.astype(units.dtype) for value in rows)
                units.store_tall(held["tall"].at[term], column, *rows)
        units.join()

    def write(self, step, completed: list):
        """Sends off the completed rows, and the codes."""
        out, groups = self.copies.buffers["out"], self.strip.groups
        for at, value in enumerate(completed):
            row, group = divmod(at, groups)
            value = self.units.zeros() if value is None else value * self.rounded.factor
            self.units.store(
                out.at[row], self.strip.width, group * BLOCK, value.astype(self.units.dtype)
            )
        plgpu.commit_smem()
        self.copies.store_rows(step)
        if self.place.mode == "write":
            self.copies.store_codes(step)

    def mask(self, step):
        """Bits of a byte of codes that are of rows of the temporary grid."""
        first = (self.copies.first_step + step) * ROWS_PER_BYTE
        inside = jnp.clip(self.rounded.stage.temporary_size[0] - first, 0, ROWS_PER_BYTE)
        return (1 << (2 * inside)) - 1


class _Rows:
    """The rows of one step on their way, by blocks; each is made when first asked for."""

    def __init__(self, block: _Block, step):
        place, units = block.place, block.units
        self.block, self.units, self.strip, self.mode = block, units, place.strip, place.mode
        self.activation, self.step = block.rounded.stage.activation, step
        self.codes = Codes(self.activation, units.dtype, units.channels, place.interpret)
        self.packed = {}
        for name in ("matrix", "tall", "temporary", "loaded"):
            setattr(self, name, functools.cache(getattr(self, name)))

    def matrix(self, index: int, group: int | None):
        """A matrix of taps; loaded anew for each group, or it would take registers all the time."""
        return self.block.matrix(index)

    def tall(self, term: int, row: int, blocks: tuple[int, int]):
        """Two blocks after the vertical up filter."""
        held = self.block.copies.buffers["tall"].at[term]
        return self.units.load_tall(held, row, *blocks)

    def temporary(self, row: int, block: int):
        """A block of the temporary grid, after the activation."""
        total = None
        for term, blocks in enumerate(self.strip.up):
            total = self.sum(total, functools.partial(self.tall, term, row), blocks[block])
        signal = self.rounded(total)
        if self.mode == "read":
            return signal * self.codes.slopes(self.loaded(block), row)
        slope, clamp = self.activation.slope, self.activation.clamp
        value = signal if slope == 1.0 else _leaky(signal, slope)
        clamped = value
        if clamp is not None:
            clamped = jnp.minimum(jnp.maximum(value, -clamp), clamp)
        if self.mode == "write":
            self.note(row, block, signal, value, clamped)
        return clamped

    def note(self, row: int, block: int, *values):
        """Adds codes, of one row after another, and stores those of all four."""
        packed = self.codes.added(self.packed.pop(block, None), row, *values)
        if row + 1 < ROWS_PER_BYTE:
            self.packed[block] = packed
        else:
            held = self.block.copies.codes(self.step)
            self.codes.store(held, block * BLOCK, packed, self.block.mask(self.step))

    def loaded(self, block: int):
        """Codes of four rows."""
        return self.codes.load(self.block.copies.codes(self.step), block * BLOCK)

    def down(self, term: int, row: int, group: int):
        """A block after the horizontal down filter."""

        def temporary(blocks):
            return [self.temporary(row, block) for block in blocks]

        return self.rounded(self.sum(None, temporary, self.strip.down[term][group], group))

    def sum(self, total, blocks, products, group: int | None = None):
        """Adds products of two blocks and matrices of taps."""
        for product in products:
            first, second = blocks(product.blocks)
            total = self.units.product(total, first, second, self.matrix(product.matrix, group))
        return total

    def rounded(self, total):
        """A sum, which is zero if there is nothing in it, in 16 bits."""
        return (self.units.zeros() if total is None else total).astype(self.units.dtype)


def _leaky(signal, slope: float):
    if 0.0 <= slope < 1.0:
        return jnp.maximum(signal, signal * slope)
    return jnp.where(signal < 0, signal * slope, signal)
