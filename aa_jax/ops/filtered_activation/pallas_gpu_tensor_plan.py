"""Which products of blocks and taps the GPU's tensor cores compute, and how a stage is cut for it.

Every product is of two blocks of eight samples, (64 channels, 16 samples), and a matrix of taps,
(16, 8). Along the columns, a block of results is a sum of products of neighbouring blocks; the
matrices repeat from block to block. Vertical up filter: the blocks are eight input rows of two
columns, the results four temporary rows of the two. Vertical down filter: the blocks are of two
temporary rows, and the matrix two multiples of the identity.
"""

import dataclasses
import functools
import itertools
import math

import numpy as np

from aa_jax.ops.filtered_activation.pallas_gpu_pattern import Rows, rows_of
from aa_jax.ops.filtered_activation.pallas_gpu_tiles import SHARED_MEMORY, cut_rows
from aa_jax.ops.filtered_activation.piecewise import ROWS_PER_BYTE
from aa_jax.ops.filtered_activation.stage import Stage

# Samples of a block, and rows of the tensor cores' operands: channels, of one strip or several.
BLOCK = 8
LANES = 64
_WARPS = 4
# Channels of a strip: so many bytes of 16-bit numbers as one copy interleaves, at most.
_CHANNELS = (64, 32, 16)
# Registers of a thread that `_held` counts, at most; beyond, the compiler runs short of the others.
_MOST_HELD = 120
_MOST_GROUPS = 4
# Instructions of the activation, and what codes add, for a block.
_POINTWISE = 10
_MOST_COLUMNS = 256


@dataclasses.dataclass(frozen=True)
class Product:
    """Two blocks side by side, times a matrix of taps.

    Attributes:
      blocks: which two.
      matrix: index of the matrix.
    """

    blocks: tuple[int, int]
    matrix: int


@dataclasses.dataclass(frozen=True)
class Strip:
    """A strip of columns: its blocks of the input, the temporary grid and the output.

    Attributes:
      groups: blocks of the output.
      blocks: blocks of the temporary grid.
      input_blocks: blocks of the input.
      first, input_first: temporary and input column that the strip of output column 0 begins with.
      step, input_step: temporary and input columns from strip to strip.
      tall: for each term, the index of the matrix of its vertical up filter.
      up: for each term, for each temporary block, the products that add up to it.
      down: for each term, for each output block, the products that add up to it.
      matrices: (16, 8), distinct.
    """

    groups: int
    blocks: int
    input_blocks: int
    first: int
    input_first: int
    step: int
    input_step: int
    tall: tuple[int, ...]
    up: tuple[tuple[tuple[Product, ...], ...], ...]
    down: tuple[tuple[tuple[Product, ...], ...], ...]
    matrices: tuple[tuple[tuple[float, ...], ...], ...]

    @property
    def width(self) -> int:
        """Columns of the output."""
        return self.groups * BLOCK


@functools.lru_cache(maxsize=256)
def strip_of(stage: Stage, groups: int) -> Strip | None:
    """Plans strips of `groups` blocks of the output; None if there is no such plan.

    The taps of all strips have to be the same, and a step to make four temporary rows out of eight.
    """
    up, down = stage.up.axes[1], stage.down.axes[1]
    rows, step = rows_of(stage), groups * BLOCK * down.down
    if rows.temporary != ROWS_PER_BYTE or rows_read(rows) > BLOCK or step % up.up:
        return None
    outs = [down.taps_of_phase(out) for out in range(groups * BLOCK)]
    first = min(sample for pairs in outs for _, sample in pairs)
    blocks = max(sample - first for pairs in outs for _, sample in pairs) // BLOCK + 1
    temporary = [up.taps_of_phase(first + t) for t in range(blocks * BLOCK)]
    reads = [sample for pairs in temporary for _, sample in pairs]
    matrices: dict[tuple, int] = {}
    return Strip(
        groups=groups,
        blocks=blocks,
        input_blocks=(max(reads) - min(reads)) // BLOCK + 1,
        first=first,
        input_first=min(reads),
        step=step,
        input_step=step // up.up,
        tall=tuple(_tall_matrix(sums, matrices) for sums in rows.up),
        up=_products(temporary, min(reads), stage.up.terms, matrices),
        down=_products(outs, first, stage.down.terms, matrices),
        matrices=tuple(matrices),
    )


def _products(samples, origin: int, terms, matrices: dict[tuple, int]):
    """For each term, for each block of results, its products; adds their matrices."""
    result = []
    for _, taps in terms:
        sums = []
        for block in range(0, len(samples), BLOCK):
            entries = [
                (sample - origin, n, taps[k])
                for n, pairs in enumerate(samples[block : block + BLOCK])
                for k, sample in pairs
                if taps[k] != 0.0
            ]
            read = sorted({sample // BLOCK for sample, _, _ in entries})
            sums.append(tuple(_product(pair, entries, matrices) for pair in _in_pairs(read)))
        result.append(tuple(sums))
    return tuple(result)


def _product(blocks: tuple[int, int], entries, matrices: dict[tuple, int]) -> Product:
    matrix = np.zeros((2 * BLOCK, BLOCK))
    for sample, n, tap in entries:
        block, within = divmod(sample, BLOCK)
        if block in blocks:
            # Of a block that is there twice, the second has no taps.
            matrix[blocks.index(block) * BLOCK + within, n] += tap
    return Product(blocks, _index(matrix, matrices))


def _tall_matrix(sums, matrices: dict[tuple, int]) -> int:
    """The index of a matrix from eight rows of two columns to four rows of the two."""
    matrix = np.zeros((2 * BLOCK, BLOCK))
    for column, (row, pairs) in itertools.product(range(2), enumerate(sums)):
        for read, tap in pairs:
            matrix[column * BLOCK + read, column * ROWS_PER_BYTE + row] = tap
    return _index(matrix, matrices)


def _index(matrix: np.ndarray, matrices: dict[tuple, int]) -> int:
    key = tuple(tuple(float(tap) for tap in row) for row in matrix)
    return matrices.setdefault(key, len(matrices))


def _in_pairs(items: list[int]) -> list[tuple[int, int]]:
    """Neighbours in pairs; the last with itself if it is alone."""
    return [(items[i], items[min(i + 1, len(items) - 1)]) for i in range(0, len(items), 2)]


def rows_read(rows: Rows) -> int:
    """Input rows that a step reads."""
    return 1 + max((row for sums in rows.up for pairs in sums for row, _ in pairs), default=0)


def rows_down(rows: Rows) -> list[list[list[tuple[int, tuple[float, float]]]]]:
    """For each term, for each two temporary rows, (partial output row, the two taps)."""
    result = []
    for sums in rows.down:
        pairs = []
        for row in range(0, rows.temporary, 2):
            first, second = dict(sums[row]), dict(sums[row + 1])
            outs = sorted({*first, *second})
            pairs.append([(out, (first.get(out, 0.0), second.get(out, 0.0))) for out in outs])
        result.append(pairs)
    return result


@dataclasses.dataclass(frozen=True)
class StripTiling:
    """What a block of threads does: some strips beside each other, a segment of rows.

    Attributes:
      channels: of each strip, which a warp of threads has sixteen of.
      strips: beside each other, so that `channels * strips` is 64.
      groups: blocks of the output in a strip.
      tiles, segments: number of tiles along the columns and of segments along the rows.
      length: steps of a segment that complete wanted rows.
      lead_steps: steps of a segment before those.
    """

    channels: int
    strips: int
    groups: int
    tiles: int
    segments: int
    length: int
    lead_steps: int


@functools.lru_cache(maxsize=256)
def strips_of(stage: Stage, batch: int, channels: int, mode: str) -> StripTiling | None:
    """Chooses the strips for a batch of 16-bit signals; None if none fits.

    Args:
      stage: as it is or with rounded taps.
      batch, channels: of the signal.
      mode: "plain", or whether the kernel "write"s or "read"s codes.
    """
    candidates = [
        _tiling(stage, batch, channels, of_strip, groups)
        for of_strip, groups in itertools.product(_CHANNELS, range(1, _MOST_GROUPS + 1))
        if _possible(stage, LANES // of_strip, groups)
    ]
    return min(
        (t for t in candidates if shared_memory(stage, t, mode) <= SHARED_MEMORY),
        key=lambda tiling: _cost(stage, channels, tiling, mode),
        default=None,
    )


def _possible(stage: Stage, strips: int, groups: int) -> bool:
    rows, strip = rows_of(stage), strip_of(stage, groups)
    if strip is None or strip.first > 0:
        return False
    widest = max(strip.blocks, strip.input_blocks) * BLOCK
    return widest < _MOST_COLUMNS and (groups == 1 or _held(rows, strip, strips) <= _MOST_HELD)


def _held(rows: Rows, strip: Strip, strips: int) -> int:
    """Registers of partial output rows, of temporary blocks that one needs, of terms, of strips."""
    carried = (rows.partial - rows.emitted) * strip.groups * LANES * BLOCK // 128
    blocks = max(len(products) for term in strip.down for products in term) * 2
    terms = len(strip.up) + len(strip.down) - 2
    return carried + rows.temporary * blocks * LANES * BLOCK // 256 + 8 * terms + 2 * strips


def _tiling(stage: Stage, batch: int, channels: int, of_strip: int, groups: int) -> StripTiling:
    strip, strips = strip_of(stage, groups), LANES // of_strip
    # Every column of the output has to be made, and the codes of every temporary column.
    count = max(
        -(-stage.out_size[1] // strip.width),
        -(-(stage.temporary_size[1] - strip.first - strip.blocks * BLOCK) // strip.step) + 1,
    )
    tiles = -(-count // strips)
    segments, length, lead = cut_rows(rows_of(stage), batch * tiles * -(-channels // of_strip))
    return StripTiling(of_strip, strips, groups, tiles, segments, length, lead)


def _cost(stage: Stage, channels: int, tiling: StripTiling, mode: str):
    """Instructions of all blocks, more where one alone hides no delays.

    A thread takes one instruction for a product, and two to round its results. Copies to several
    strips are several, and narrow.
    """
    rows, strip = rows_of(stage), strip_of(stage, tiling.groups)
    tall = strip.input_blocks * BLOCK // 4 * (2 + 7 * len(strip.up))
    wide = sum(2 * len(products) + 2 for term in strip.up for products in term)
    narrow = sum(len(products) + 2 for term in strip.down for products in term)
    added = tiling.groups * sum(len(pair) for term in rows_down(rows) for pair in term)
    step = tall + rows.temporary * (wide + strip.blocks * _POINTWISE + narrow) + added
    blocks = tiling.tiles * tiling.strips * -(-channels // tiling.channels) * tiling.channels
    steps = tiling.segments * (tiling.length + tiling.lead_steps)
    beside = min(SHARED_MEMORY // shared_memory(stage, tiling, mode), 2)
    copies = 1 + 0.1 * (tiling.strips - 1)
    return blocks * step * steps * copies * (1 + 0.5 / beside)


def shared_memory(stage: Stage, tiling: StripTiling, mode: str) -> int:
    """Bytes of shared memory of a block, barriers apart."""
    sizes = {"ring": 2, "tall": 2, "out": 2, "matrices": 4, "bits": 1}
    return sum(math.prod(shape) * sizes[n] for n, shape in buffers(stage, tiling, mode).items())


def rows_copied(rows: Rows, tiling: StripTiling) -> int:
    """Input rows of a copy, some perhaps in vain: copies are of whole 128 bytes."""
    return -(-rows.fresh // tiling.strips) * tiling.strips


def buffers(stage: Stage, tiling: StripTiling, mode: str) -> dict[str, tuple[int, ...]]:
    """Shapes of the buffers in shared memory.

    Returns:
      "ring": input rows, in chunks; one more than a step reads. "tall": they after the vertical
      up filter: term, warp, row, eight channels. "out": completed output rows. "matrices": of taps,
      as registers, and one more. "bits": packed codes.
    """
    rows, strip = rows_of(stage), strip_of(stage, tiling.groups)
    # An odd number of columns, and one in excess: eight rows, or four of two columns, then lie in
    # different banks.
    width, channels = strip.input_blocks * BLOCK + 1, tiling.channels
    copied = rows_copied(rows, tiling)
    shapes = {
        "ring": (tiling.strips, rows.chunks + 1, copied, width, channels),
        "tall": (len(strip.up), _WARPS, ROWS_PER_BYTE, 2, width, BLOCK),
        "out": (rows.emitted, tiling.strips * strip.width, channels),
        "matrices": (len(strip.matrices) + 1, 256),
    }
    if mode != "plain":
        slots = 2 if mode == "read" else 1
        shapes["bits"] = (slots, tiling.strips, strip.blocks * BLOCK, channels)
    return shapes
