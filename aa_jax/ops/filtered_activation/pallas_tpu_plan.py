"""How the TPU kernel walks over a stage: host arithmetic only, no JAX arrays.

A program sees the image once, from top to bottom, in steps of `tall` temporary rows. Step `i`
receives input rows [i * fresh, (i + 1) * fresh), computes the temporary rows
[i * tall - lag, (i + 1) * tall - lag) and finishes output block `i - out_lag`. Input rows and
horizontally filtered temporary rows stay in rings in VMEM for as long as a filter still reads them,
so that no row is ever read, upsampled or activated twice.
"""

import dataclasses
import functools
import math

import ml_dtypes
import numpy as np

from aa_jax.ops.filtered_activation.pallas_tpu_bands import (
    ALIGN_CODES,
    LANES,
    Band,
    best_band,
    halves,
    round_up,
)
from aa_jax.ops.filtered_activation.piecewise import ROWS_PER_BYTE
from aa_jax.ops.filtered_activation.stage import Stage
from aa_jax.ops.resample.geometry import Axis

# Temporary rows of one step, where they fit.
_TALL = 32
# Comfortable and largest use of VMEM. Chips of generations 5 to 7 have 64 or 128 MiB.
_ROOMY, VMEM_LIMIT = 40 * 2**20, 58 * 2**20


@dataclasses.dataclass(frozen=True)
class Rows:
    """The vertical walk.

    Attributes:
      up, down: the vertical axes of the stage.
      tall: temporary rows of a step; a multiple of `group`.
      group: temporary rows that are computed together: whole bytes of codes, whole tap phases.
      lag: temporary rows by which a step stays behind its input; a multiple of `tall`.
      out_lag: steps by which the output stays behind.
    """

    up: Axis
    down: Axis
    tall: int
    group: int
    lag: int
    out_lag: int

    @classmethod
    def of(cls, up: Axis, down: Axis, tall: int) -> "Rows":
        """The walk of least lag: temporary rows need all of their taps, outputs all of theirs."""
        lag = tall * max(0, -(-(up.taps - 1 - up.offset) // tall))
        out_lag = max(0, -(-(lag + down.taps - down.down - down.offset) // tall))
        return cls(up, down, tall, math.lcm(ROWS_PER_BYTE, up.up), lag, out_lag)

    @staticmethod
    def unit(up: Axis, down: Axis) -> int:
        """What `tall` must be a multiple of."""
        return math.lcm(ROWS_PER_BYTE, up.up, down.down)

    @property
    def fresh(self) -> int:
        """Input rows that arrive in a step."""
        return self.tall // self.up.up

    @property
    def out(self) -> int:
        """Output rows that a step finishes."""
        return self.tall // self.down.down

    @property
    def live(self) -> int:
        """Rows of a group that can exist at all: all but for images of very few rows."""
        return min(self.group, self.up.size_out)

    @property
    def groups(self) -> int:
        """Groups with at least one row of the temporary grid."""
        return -(-self.up.size_out // self.group)

    @property
    def taps(self) -> list[list[tuple[int, int]]]:
        """For each row of a group, pairs (tap, input row - input row of the group's start)."""
        return [self.up.taps_of_phase(row) for row in range(self.live)]

    @property
    def first_input(self) -> int:
        """The earliest input row that a group reads, relative to the group's start."""
        return -(self.up.offset // self.up.up)

    @property
    def input_ring(self) -> int:
        """Input rows kept."""
        return self.fresh + self.lag // self.up.up - self.first_input

    @property
    def temporary_ring(self) -> int:
        """Temporary rows kept after the horizontal filter of `down`."""
        return (self.out_lag + 1) * self.tall - self.lag + self.down.offset

    def steps(self, *, with_codes: bool) -> int:
        """Steps until all outputs, and all codes, are written."""
        steps = -(-self.down.size_out // self.out) + self.out_lag
        if with_codes:
            steps = max(steps, -(-self.up.size_out // self.tall) + self.lag // self.tall)
        return steps


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that the kernel knows when it is traced.

    Attributes:
      stage: what to compute.
      parts: numbers of type bfloat16 that a sample is split into for the matrix unit.
      rows: the vertical walk.
      up, down: the horizontal filters.
    """

    stage: Stage
    parts: int
    rows: Rows
    up: Band
    down: Band

    @property
    def up_matrix(self) -> np.ndarray:
        """The matrix of `up`, (2, outputs, terms * parts * window), each with halves of bfloat16.

        Columns: a term after the other, each with all parts of the signal.
        """
        terms = [self.up.matrix(horizontal) for _, horizontal in self.stage.up.terms]
        matrix = np.concatenate([term for term in terms for _ in range(self.parts)], 2)
        return halves(matrix, wide=self.up.wide)

    @property
    def down_matrix(self) -> np.ndarray:
        """The matrix of `down`, (terms * outputs, parts * window), with halves of bfloat16."""
        terms = [self.down.matrix(horizontal)[0] for _, horizontal in self.stage.down.terms]
        matrix = np.concatenate([np.concatenate(terms, 0)] * self.parts, 1)
        return halves(matrix, wide=self.down.wide)

    @property
    def active_columns(self) -> int:
        """Columns of the buffer of activated rows: what `up` writes, and what `down` reads."""
        return max(self.down.buffer, self.down.shift + self.up.padded_out)

    @property
    def operations(self) -> int:
        """Additions and multiplications for one channel of one image that the filters ask for.

        The kernel's own number is larger: a product with a banded matrix multiplies by zeros, and
        the matrix unit takes each factor in two halves.
        """
        (height, width), (out_height, out_width) = self.stage.temporary_size, self.stage.out_size
        (up_v, up_h), (down_v, down_h) = self.stage.up.axes, self.stage.down.axes
        multiplications = 2 * height * width
        multiplications += (
            len(self.stage.up.terms)
            * height
            * (up_v.taps // up_v.up * up_h.size_in + up_h.taps // up_h.up * width)
        )
        multiplications += (
            len(self.stage.down.terms)
            * out_width
            * (down_h.taps * height + down_v.taps * out_height)
        )
        return 2 * multiplications

    def scratch(self, lanes: int) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and dtype of each buffer in VMEM."""
        rows, group = self.rows, self.rows.live
        up_parts = len(self.stage.up.terms) * self.parts
        down_terms = len(self.stage.down.terms)
        return {
            "input": ((rows.input_ring, self.up.buffer, lanes), "float32"),
            "upped": ((up_parts, group, self.up.buffer, lanes), "bfloat16"),
            "active": ((self.parts, group, self.active_columns, lanes), "bfloat16"),
            "codes": ((-(-group // ROWS_PER_BYTE), self.up.padded_out, lanes), "uint8"),
            "downed": (
                (rows.temporary_ring, down_terms, self.down.padded_out, lanes),
                "float32",
            ),
        }

    def vmem_bytes(self, itemsize: int, *, with_codes: bool) -> int:
        """Bytes of VMEM: buffers, matrices, and the blocks in transit, each twice."""
        total = 2 * (self.up_matrix.nbytes + self.down_matrix.nbytes)
        for shape, dtype in self.scratch(LANES).values():
            total += _tiled_bytes(shape, np.dtype(getattr(ml_dtypes, dtype, dtype)).itemsize)
        total += 2 * _tiled_bytes((self.rows.fresh, self.stage.size[1], LANES), itemsize)
        total += 2 * _tiled_bytes((self.rows.out, self.stage.out_size[1], LANES), itemsize)
        if with_codes:
            byte_rows = self.rows.tall // ROWS_PER_BYTE
            total += 2 * _tiled_bytes((byte_rows, self.stage.temporary_size[1], LANES), 1)
        return total


@functools.lru_cache(maxsize=512)
def plan_of(stage: Stage, *, itemsize: int, with_codes: bool) -> Plan:
    """Chooses blocks and rows: as many rows to a step as are useful and fit."""
    parts = 1 if itemsize == 2 else 2
    up_terms, down_terms = len(stage.up.terms), len(stage.down.terms)
    up = best_band(stage.up.axes[1], ALIGN_CODES, parts * up_terms, 1, aligned_shift=False)
    down = best_band(stage.down.axes[1], 8, parts, down_terms, aligned_shift=True)
    axes = stage.up.axes[0], stage.down.axes[0]
    unit = Rows.unit(*axes)
    whole = round_up(axes[0].size_out, unit)
    tall = min(round_up(_TALL, unit), whole)
    while True:
        plan = Plan(stage, parts, Rows.of(*axes, tall), up, down)
        if tall <= unit or plan.vmem_bytes(itemsize, with_codes=with_codes) <= _ROOMY:
            return plan
        tall = max(tall // 2 // unit, 1) * unit


def _tiled_bytes(shape: tuple[int, ...], itemsize: int) -> int:
    """Bytes in VMEM, whose tiles are 8 sublanes of 4 bytes high and 128 lanes wide."""
    *lead, sublanes, lanes = shape
    tile = 8 * 4 // itemsize
    return math.prod(lead) * round_up(sublanes, tile) * round_up(lanes, LANES) * itemsize
