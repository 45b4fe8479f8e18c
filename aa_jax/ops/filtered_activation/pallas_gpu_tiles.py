"""How the GPU kernel cuts a stage into blocks: channels, a strip of columns, a segment of rows."""

import dataclasses
import functools
import math

from aa_jax.ops.filtered_activation.pallas_gpu_pattern import Columns, Rows, columns_of, rows_of
from aa_jax.ops.filtered_activation.stage import Stage

# Bytes of shared memory that a block can have on Hopper, but for a few that the compiler takes.
SHARED_MEMORY = 230_000
# Elements that one instruction of a block covers: two for each of 128 threads.
GRAIN = 256
# Segments of rows are cut until the grid holds so many blocks: 132 multiprocessors, a few each.
_BLOCKS = 1024
# Times its own warm-up that a segment is long, at least.
_LEAST_LENGTH = 6
# Numbers that a thread carries from step to step: where the compiler runs short of registers,
# and at most.
_CARRIED = 96
_MOST_CARRIED = 144
_MOST_UNITS = 64
# Columns that one copy moves, at most: a limit of the hardware.
_MOST_COLUMNS = 256
# Instructions of the activation and its codes.
_POINTWISE = 8
# Instructions that could run while a block's threads wait for each other.
_BARRIER = 20


@dataclasses.dataclass(frozen=True)
class Tiling:
    """What a block does: a channel block, a tile of columns, a segment of rows.

    Attributes:
      channels: channels in a block.
      units: units of the temporary grid in a tile.
      valid: units of the output in a tile; the others would need temporary units beyond it.
      input_units: units of the input in a tile.
      group: rows of the temporary grid that go through the vertical up filter together.
      tiles, segments: number of tiles along the columns and of segments along the rows.
      length: steps of a segment that complete wanted rows.
      lead_steps: steps of a segment before those.
    """

    channels: int
    units: int
    valid: int
    input_units: int
    group: int
    tiles: int
    segments: int
    length: int
    lead_steps: int


@functools.lru_cache(maxsize=256)
def tiling_of(stage: Stage, batch: int, channels: int, itemsize: int, mode: str) -> Tiling | None:
    """Chooses the tiles for a batch; None if none fits in registers and shared memory.

    Args:
      batch, channels: of the signal.
      itemsize: bytes of one of its elements.
      mode: "plain", or whether the kernel "write"s or "read"s codes.
    """
    candidates = [
        _tiling(stage, batch, channels, block, units, group)
        for block in ((16,) if channels <= 16 else (32, 16))
        for units in range(GRAIN // block, _MOST_UNITS + 1, GRAIN // block)
        for group in _divisors(rows_of(stage).temporary)
        if _possible(stage, block, units, mode)
    ]
    return min(
        (t for t in candidates if shared_memory(stage, t, itemsize, mode) <= SHARED_MEMORY),
        key=lambda tiling: _cost(stage, channels, tiling, itemsize, mode),
        default=None,
    )


def _tiling(stage: Stage, batch: int, channels: int, block: int, units: int, group: int) -> Tiling:
    rows, columns = rows_of(stage), columns_of(stage)
    valid = _valid(columns, units, block)
    # Every column of the output has to be made, and the codes of every temporary column.
    end = -(-stage.temporary_size[1] // columns.classes)
    tiles = max(
        -(-stage.out_size[1] // (columns.outputs * valid)),
        -(-(end - columns.lead - units) // valid) + 1,
    )
    segments, length, lead = cut_rows(rows, batch * tiles * -(-channels // block))
    return Tiling(
        channels=block,
        units=units,
        valid=valid,
        input_units=_input_units(columns, units, block),
        group=group,
        tiles=tiles,
        segments=segments,
        length=length,
        lead_steps=lead,
    )


def cut_rows(rows: Rows, blocks: int) -> tuple[int, int, int]:
    """Cuts the steps along the rows into segments, so that there are blocks for the whole GPU.

    Args:
      rows: the steps.
      blocks: number of blocks without segments.

    Returns:
      Number of segments, their length, and the steps before it; see `Tiling`.
    """
    emitting = rows.end - rows.first_emitting
    segments = max(1, min(_BLOCKS // blocks, emitting // (_LEAST_LENGTH * max(rows.warm_up, 1))))
    length = -(-emitting // segments)
    segments = -(-emitting // length)
    # Rows before the grid are zeros, and need no warm-up.
    lead = rows.warm_up if segments > 1 else min(rows.warm_up, max(rows.first_emitting, 0))
    return segments, length, lead


def _valid(columns: Columns, units: int, block: int) -> int:
    """Output units of a tile. Copies move whole 128 bytes, so 64 of the smallest elements."""
    multiple = max(64 // (block * columns.outputs), 1)
    return (units - columns.reach) // multiple * multiple


def _input_units(columns: Columns, units: int, block: int) -> int:
    grain = GRAIN // block
    return -(-(units + columns.input_reach) // grain) * grain


def _carried(rows: Rows, columns: Columns, block: int, units: int) -> int:
    return units * block // 128 * rows.partial * columns.outputs


def _possible(stage: Stage, block: int, units: int, mode: str) -> bool:
    rows, columns = rows_of(stage), columns_of(stage)
    if _valid(columns, units, block) < 1:
        return False
    if _carried(rows, columns, block, units) > _MOST_CARRIED:
        return False
    input_units = _input_units(columns, units, block)
    if max(input_units * columns.inputs, units * columns.classes) > _MOST_COLUMNS:
        return False
    # Stores of bytes go by vectors of this many, which must not straddle two units.
    vector = min(8, units * block // 128)
    while units * block % (128 * vector):
        vector //= 2
    return mode != "write" or columns.classes * block % vector == 0


def _cost(stage: Stage, channels: int, tiling: Tiling, itemsize: int, mode: str):
    """Instructions of all blocks; more where few blocks fit beside each other to hide delays."""
    beside = min(SHARED_MEMORY // shared_memory(stage, tiling, itemsize, mode), 4)
    blocks = tiling.tiles * -(-channels // tiling.channels)
    # Rows of less than 64 bytes are slower to copy.
    narrow = 1.05 if tiling.channels * itemsize < 64 else 1.0
    carried = _carried(rows_of(stage), columns_of(stage), tiling.channels, tiling.units)
    short = 2.0 if carried > _CARRIED else 1.0
    return blocks * instructions(stage, tiling, itemsize) * narrow * short * (1 + 0.5 / beside)


def instructions(stage: Stage, tiling: Tiling, itemsize: int) -> float:
    """About how many instructions a thread takes for a step: sums, loads, stores, conversions."""
    rows, columns = rows_of(stage), columns_of(stage)
    load, convert = 1 / 2, 1 if itemsize < 4 else 0
    groups = [
        range(first, first + tiling.group) for first in range(0, rows.temporary, tiling.group)
    ]
    read = sum(
        len({where for sums in rows.up for row in group for where, _ in sums[row]})
        for group in groups
    )
    added = sum(len(pairs) for sums in rows.up for pairs in sums)
    stored = load * len(rows.up) * rows.temporary
    tall = columns.inputs * tiling.input_units * (read * (load + convert) + added + stored)
    wide = (
        load * len({(t, w) for t, sums in enumerate(columns.up) for p in sums for w, _ in p})
        + sum(len(pairs) for sums in columns.up for pairs in sums)
        + columns.classes * (_POINTWISE + load)
        + load * len({where for sums in columns.down for pairs in sums for where, _ in pairs})
        + sum(len(pairs) for sums in columns.down for pairs in sums)
    )
    narrow = columns.outputs * sum(len(pairs) for sums in rows.down for pairs in sums)
    total = tall + tiling.units * (rows.temporary * wide + narrow)
    barriers = rows.temporary + len(groups) + 2
    return total * tiling.channels / 128 + _BARRIER * barriers


def shared_memory(stage: Stage, tiling: Tiling, itemsize: int, mode: str) -> int:
    """Bytes of shared memory of a block, barriers apart."""
    shapes = buffers(rows_of(stage), columns_of(stage), tiling, mode)
    sizes = {"ring": itemsize, "tall": 4, "wide": 4, "out": itemsize, "bits": 1}
    return sum(math.prod(shape) * sizes[name] for name, shape in shapes.items())


def buffers(rows: Rows, columns: Columns, tiling: Tiling, mode: str) -> dict[str, tuple[int, ...]]:
    """Shapes of the buffers in shared memory; units and channels are the last or around one axis.

    Returns:
      "ring": input rows, in chunks. "tall": they after the vertical up filter, for each term.
      "wide": two rows of the temporary grid, one written while the other is read. "out": completed
      output rows. "bits": packed codes.
    """
    units, block = tiling.units, tiling.channels
    shapes = {
        "ring": (rows.chunks, rows.fresh, tiling.input_units, columns.inputs, block),
        "tall": (len(rows.up), tiling.group, columns.inputs, tiling.input_units, block),
        "wide": (2, columns.classes, units + columns.reach, block),
        "out": (rows.emitted, units, columns.outputs, block),
    }
    if mode != "plain":
        slots = 2 if mode == "read" else 1
        shapes["bits"] = (slots, rows.code_rows, units, columns.classes, block)
    return shapes


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]
