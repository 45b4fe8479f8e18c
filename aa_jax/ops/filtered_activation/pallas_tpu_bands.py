"""Horizontal filters of the TPU kernel as banded matrices: host arithmetic only.

A row of samples lies in VMEM with columns on sublanes and channels on lanes. The matrix unit
filters it one block of outputs after the other: a block is the product of a banded matrix,
(block x window), with a window of the row, (window x lanes). All blocks use the same matrix,
because the borders are zeros in the buffer that holds the row.
"""

import dataclasses
import math

import ml_dtypes
import numpy as np

from aa_jax.ops.resample.geometry import Axis

LANES = 128
# Sublanes of one register tile of bfloat16: windows and stored blocks start at multiples of it.
ALIGN = 16
# The bytes of codes have twice as many sublanes to a tile.
ALIGN_CODES = 32
# Cycles to start a product, and to load a tile of its second operand, as the compiler schedules.
_START, _LOAD = 40, 32


@dataclasses.dataclass(frozen=True)
class Band:
    """One horizontal filter as products of a banded matrix with windows of a buffer.

    Block `b` of outputs, [b * block, (b + 1) * block), is the product with the window
    [start + b * advance, ... + window) of a buffer in which sample 0 sits at column `shift`.

    Attributes:
      axis: the horizontal axis.
      block: outputs of one product.
      window: columns of one window.
      advance: columns from one window to the next.
      start: where the first window starts.
      shift: column of the buffer that holds sample 0.
      lead: columns of a window in front of the first one that an output reads.
      wide: where the upper and lower halves of the taps are: side by side, to be multiplied by the
        window twice over, or else one above the other, to be added afterwards.
    """

    axis: Axis
    block: int
    window: int
    advance: int
    start: int
    shift: int
    lead: int
    wide: bool

    @classmethod
    def of(cls, axis: Axis, block: int, *, aligned_shift: bool, wide: bool) -> "Band":
        """Places windows at aligned columns.

        Args:
          axis: the axis.
          block: outputs of one product.
          aligned_shift: whether sample 0 too must be at an aligned column.
          wide: see the attribute.
        """
        first = -(axis.offset // axis.up)
        if aligned_shift:
            shift = max(0, -(first // ALIGN) * ALIGN)
        else:
            shift = max(-first, 0) if first <= 0 else -first % ALIGN
        start = (shift + first) // ALIGN * ALIGN
        lead = shift + first - start
        last = max(((block - 1) * axis.down - axis.offset + axis.taps - 1) // axis.up, first)
        window = round_up(lead + last - first + 1, ALIGN)
        return cls(axis, block, window, block * axis.down // axis.up, start, shift, lead, wide)

    @staticmethod
    def unit(axis: Axis, align: int) -> int:
        """What `block` must be a multiple of for aligned windows and outputs."""
        advance = math.lcm(ALIGN, axis.down) // axis.down * axis.up
        return math.lcm(align, advance, axis.up)

    @property
    def count(self) -> int:
        """Number of blocks."""
        return -(-self.axis.size_out // self.block)

    @property
    def padded_out(self) -> int:
        """Outputs of all blocks."""
        return self.count * self.block

    @property
    def buffer(self) -> int:
        """Columns of the buffer, enough for the last window and the last sample."""
        windows = self.start + (self.count - 1) * self.advance + self.window
        return round_up(max(windows, self.shift + self.axis.size_in), ALIGN_CODES)

    def matrix(self, taps) -> np.ndarray:
        """The banded matrix of one term, (2, block, window): of any block, and of the last one.

        In the last one, outputs beyond the axis are zero.
        """
        axis, first = self.axis, -(self.axis.offset // self.axis.up)
        matrix = np.zeros((2, self.block, self.window))
        for out in range(self.block):
            for tap in range(axis.taps):
                sample, between = divmod(out * axis.down - axis.offset + tap, axis.up)
                if between == 0:
                    matrix[:, out, self.lead + sample - first] = taps[tap]
        matrix[1, axis.size_out - (self.count - 1) * self.block :] = 0.0
        return matrix


def best_band(axis: Axis, align: int, inputs: int, outputs: int, *, aligned_shift: bool) -> Band:
    """The form that keeps the matrix unit busy for the shortest time.

    A product takes its (window x lanes) operand in tiles of 128 rows, and for each of them about
    as many cycles as the banded matrix has rows.

    Args:
      axis: the axis.
      align: what blocks of outputs must be a multiple of.
      inputs: operands of one window: terms and parts of the signal.
      outputs: results for one window: terms.
      aligned_shift: see `Band.of`.
    """
    unit = Band.unit(axis, align)
    largest = max(unit, min(round_up(axis.size_out, unit), 256 // unit * unit))
    bands = [
        Band.of(axis, block, aligned_shift=aligned_shift, wide=wide)
        for block in range(unit, largest + 1, unit)
        for wide in (False, True)
    ]

    def cycles(band: Band) -> int:
        columns, rows = inputs * band.window, outputs * band.block
        columns, rows = (2 * columns, rows) if band.wide else (columns, 2 * rows)
        return band.count * (_START + -(-columns // LANES) * (_LOAD + rows))

    return min(bands, key=cycles)


def halves(matrix: np.ndarray, *, wide: bool) -> np.ndarray:
    """Splits numbers into two of type bfloat16, side by side or one above the other."""
    upper = matrix.astype(ml_dtypes.bfloat16)
    lower = (matrix - upper.astype(np.float64)).astype(ml_dtypes.bfloat16)
    return np.concatenate([upper, lower], -1 if wide else -2)


def round_up(value: int, multiple: int) -> int:
    """The least multiple that is not below `value`."""
    return -(-value // multiple) * multiple
