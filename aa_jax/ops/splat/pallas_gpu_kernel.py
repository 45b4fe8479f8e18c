"""The bodies of the GPU kernels; see `pallas_gpu` for the idea."""

import dataclasses
import functools
import math

from jax import lax, numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from aa_jax.ops.splat.layout import LANES
from aa_jax.ops.splat.pallas_gpu_pairs import Pair, Pairs
from aa_jax.ops.splat.terms import LOG_WEIGHT, Term
from aa_jax.ops.splat.window import Window

# Copies between global and shared memory take a multiple of 128 bytes: 32 numbers.
NUMBERS = 32
# Entries of a cell that are copied at once, for sums at positions.
CHUNK = 32
GRID = ("program",)
# Bytes through which the four warps add up their results.
REDUCTION = 2048


# Four entries of a cell against the positions of a block, one per warp.
_ENTRIES_AT_ONCE = 4
# Positions of a block against entries of a cell.
_POSITIONS_AT_ONCE = 8
ENTRIES_OF_PROGRAM = 16


@dataclasses.dataclass(frozen=True)
class AtPositions:
    """The body of `peak` and `evaluate`: a block of positions, all entries of its cell.

    Attributes:
      window: how far points reach.
      terms: what is summed; None for the greatest log weight.
      columns: numbers of an entry.
      interpret: whether the interpreter runs it.
    """

    window: Window
    terms: tuple[Term, ...] | None
    columns: int
    interpret: bool

    @property
    def channels(self) -> int:
        """How many results a position has."""
        return 1 if self.terms is None else 1 + max(channel for *_, channel in self.terms)

    def scratch(self) -> dict:
        """Shared memory and barriers of a program."""
        shift = {} if self.terms is None else {"shift": plgpu.SMEM((LANES,), jnp.float32)}
        return shift | {
            "entries": plgpu.SMEM((2, self.columns, CHUNK), jnp.float32),
            "positions": plgpu.SMEM((2, LANES), jnp.float32),
            "ranges": plgpu.SMEM((NUMBERS,), jnp.int32),
            "out": plgpu.SMEM((self.channels, LANES), jnp.float32),
            "ready": plgpu.Barrier(num_arrivals=3 if shift else 2),
            "fed": plgpu.Barrier(),
        }

    def __call__(self, entries_ref, ranges_ref, positions_ref, *refs, **scratch):
        entries, out, fed = (scratch[name] for name in ("entries", "out", "fed"))
        block = lax.axis_index(GRID[0])
        ready, shift = scratch["ready"], scratch.get("shift")
        plgpu.copy_gmem_to_smem(positions_ref.at[:, block], scratch["positions"], ready)
        if shift is not None:
            plgpu.copy_gmem_to_smem(refs[0].at[block], shift, ready)
        start, count = _numbers(ranges_ref, scratch["ranges"], block, 2, ready)
        chunks = lax.div(count + (CHUNK - 1), CHUNK)

        def feed(chunk):
            some = entries_ref.at[:, pl.ds(start + chunk * CHUNK, CHUNK)]
            plgpu.copy_gmem_to_smem(some, entries.at[lax.rem(chunk, 2)], fed)

        pl.when(chunks > 0)(lambda: feed(jnp.int32(0)))
        pairs = Pairs(_ENTRIES_AT_ONCE, LANES, self.interpret)
        x, y = (pairs.of_columns(scratch["positions"][row]) for row in range(2))
        shifts = None if shift is None else pairs.of_columns(shift[...])

        def step(slot, left, i, result):
            def entry(column):
                some = pl.ds(i * _ENTRIES_AT_ONCE, _ENTRIES_AT_ONCE)
                values = pairs.of_rows(entries[slot, column, some])
                if left is None:
                    return values
                # What is no entry weighs nothing, and nothing of it can be infinite.
                there = pairs.row_numbers() + i * _ENTRIES_AT_ONCE < left
                return jnp.where(there, values, -jnp.inf if column == LOG_WEIGHT else 0.0)

            pair = Pair(entry, x, y, self.window)
            if self.terms is None:
                return [jnp.maximum(result[0], pair.log_weight())]
            return _added(result, pair, shifts, self.terms)

        def some_entries(chunk, result):
            plgpu.barrier_wait(fed)
            pl.when(chunk + 1 < chunks)(lambda: feed(chunk + 1))
            slot = lax.rem(chunk, 2)
            left = jnp.minimum(count - chunk * CHUNK, CHUNK)
            full = lax.div(left, _ENTRIES_AT_ONCE)
            steps = lax.div(left + (_ENTRIES_AT_ONCE - 1), _ENTRIES_AT_ONCE)
            result = lax.fori_loop(0, full, functools.partial(step, slot, None), result)
            result = lax.fori_loop(full, steps, functools.partial(step, slot, left), result)
            # All threads have read these entries: their place is free.
            plgpu.commit_smem()
            return result

        nothing = -jnp.inf if self.terms is None else 0.0
        result = [pairs.constant(nothing) for _ in range(self.channels)]
        result = lax.fori_loop(0, chunks, some_entries, result)
        for channel, value in enumerate(result):
            out[channel, :] = value.max(0) if self.terms is None else value.sum(0)
        plgpu.commit_smem()
        plgpu.copy_smem_to_gmem(out, refs[-1].at[:, block])
        plgpu.wait_smem_to_gmem(0)


@dataclasses.dataclass(frozen=True)
class AtEntries:
    """The body of `moments`: some entries of a cell, all positions of its blocks.

    Attributes:
      window: how far points reach.
      terms: what is summed.
      columns: numbers of an entry.
      interpret: whether the interpreter runs it.
    """

    window: Window
    terms: tuple[Term, ...]
    columns: int
    interpret: bool

    @property
    def rows(self) -> int:
        """Rows of the result: of terms, and one more if they are an odd number."""
        return len(self.terms) + len(self.terms) % 2

    def scratch(self) -> dict:
        """Shared memory and barriers of a program."""
        channels = 1 + max(channel for *_, channel in self.terms)
        return {
            "entries": plgpu.SMEM((self.columns, ENTRIES_OF_PROGRAM), jnp.float32),
            "positions": plgpu.SMEM((2, 2, LANES), jnp.float32),
            "shift": plgpu.SMEM((2, LANES), jnp.float32),
            "signal": plgpu.SMEM((2, channels, LANES), jnp.float32),
            "ranges": plgpu.SMEM((NUMBERS,), jnp.int32),
            "out": plgpu.SMEM((self.rows, ENTRIES_OF_PROGRAM), jnp.float32),
            "ready": plgpu.Barrier(),
            "fed": plgpu.Barrier(num_arrivals=3),
        }

    def __call__(self, entries_ref, ranges_ref, *refs, **scratch):
        entries, ready, fed = (scratch[name] for name in ("entries", "ready", "fed"))
        program = lax.axis_index(GRID[0])
        start, first, number, _ = _numbers(ranges_ref, scratch["ranges"], program, 4, ready)
        mine = pl.ds(start, ENTRIES_OF_PROGRAM)
        plgpu.copy_gmem_to_smem(entries_ref.at[:, mine], entries, ready)
        positions, shift, signal = (scratch[name] for name in ("positions", "shift", "signal"))

        def feed(i):
            block, slot = first + i, lax.rem(i, 2)
            plgpu.copy_gmem_to_smem(refs[0].at[:, block], positions.at[slot], fed)
            plgpu.copy_gmem_to_smem(refs[1].at[block], shift.at[slot], fed)
            plgpu.copy_gmem_to_smem(refs[2].at[:, block], signal.at[slot], fed)

        pl.when(number > 0)(lambda: feed(jnp.int32(0)))
        plgpu.barrier_wait(ready)
        pairs = Pairs(_POSITIONS_AT_ONCE, ENTRIES_OF_PROGRAM, self.interpret)
        columns = [pairs.of_columns(entries[column]) for column in range(self.columns)]

        def step(slot, i, sums):
            some = pl.ds(i * _POSITIONS_AT_ONCE, _POSITIONS_AT_ONCE)
            x, y = (pairs.of_rows(positions[slot, row, some]) for row in range(2))
            pair = Pair(columns.__getitem__, x, y, self.window)
            exponential = pair.exponential(pairs.of_rows(shift[slot, some]))

            @functools.cache
            def cotangent(channel):
                return pairs.of_rows(signal[slot, channel, some])

            weight = functools.cache(functools.partial(pair.weight, exponential))
            return [
                old + weight(n, a, b) * cotangent(channel)
                for old, (n, a, b, channel) in zip(sums, self.terms, strict=True)
            ]

        def block(i, sums):
            plgpu.barrier_wait(fed)
            pl.when(i + 1 < number)(lambda: feed(i + 1))
            steps = LANES // _POSITIONS_AT_ONCE
            sums = lax.fori_loop(0, steps, functools.partial(step, lax.rem(i, 2)), sums)
            # All threads have read this block: its place is free.
            plgpu.commit_smem()
            return sums

        sums = [pairs.constant(0.0) for _ in self.terms]
        sums = lax.fori_loop(0, number, block, sums)
        out = scratch["out"]
        for row, value in enumerate(sums):
            out[row, :] = value.sum(0)
        plgpu.commit_smem()
        results = pl.ds(program * ENTRIES_OF_PROGRAM, ENTRIES_OF_PROGRAM)
        plgpu.copy_smem_to_gmem(out, refs[-1].at[:, results])
        plgpu.wait_smem_to_gmem(0)


def shared_memory(body: AtPositions | AtEntries) -> int:
    """Bytes of shared memory of a program, without barriers."""
    buffers = [ref for ref in body.scratch().values() if not isinstance(ref, plgpu.Barrier)]
    return REDUCTION + sum(math.prod(b.shape) * jnp.dtype(b.dtype).itemsize for b in buffers)


def _numbers(ref, into, program, each: int, barrier) -> list:
    """What one program has to know: `each` of the integers in `ref`; waits for all copies."""
    beside = NUMBERS // each
    aligned = pl.ds(lax.div(program, beside) * NUMBERS, NUMBERS)
    plgpu.copy_gmem_to_smem(ref.at[aligned], into, barrier)
    plgpu.barrier_wait(barrier)
    return [into[lax.rem(program, beside) * each + i] for i in range(each)]


def _added(sums, pair, shift, terms) -> list:
    """Sums by channel, and what one step adds to them."""
    exponential = pair.exponential(shift)
    weight = functools.cache(functools.partial(pair.weight, exponential))
    sums = list(sums)
    for index, (n, a, b, channel) in enumerate(terms):
        coefficient = pair.entry(pair.before_coefficients + index)
        sums[channel] = sums[channel] + weight(n, a, b) * coefficient
    return sums
