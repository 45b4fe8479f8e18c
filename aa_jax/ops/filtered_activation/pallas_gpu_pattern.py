"""Which taps of a stage meet which samples, in the order of the GPU kernel's loops.

Both axes repeat: on the temporary grid after `lcm(up, down)` samples, the taps are the same again.
Rows are walked through in steps of whole periods, columns are laid out in units of whole periods,
so that every tap is a constant of the kernel and every operand an array of whole units.
"""

import dataclasses
import functools
import math

from aa_jax.ops.filtered_activation.piecewise import ROWS_PER_BYTE
from aa_jax.ops.filtered_activation.stage import Stage

# Classes of columns (see `Columns`) below which neighbours share too few of their loads.
_CLASSES = 4

# One weighted sum: pairs of (where the operand is, tap).
Sum = tuple[tuple[object, float], ...]


@dataclasses.dataclass(frozen=True)
class Rows:
    """One step along the rows: `temporary` rows of the temporary grid, from row `temporary * step`.

    Attributes:
      temporary: rows of the temporary grid that a step makes.
      fresh: input rows by which a step advances.
      first_input: input row that step 0 reads first.
      chunks: chunks of `fresh` rows that one step reads.
      up: for each term, for each temporary row, pairs of (row of the chunks, tap); the gain of
        the activation is in the taps.
      emitted: output rows that a step completes.
      first_output: output row that step 0 completes first.
      partial: output rows that a step adds to, those completed first.
      down: for each term, for each temporary row, pairs of (partial output row, tap).
      first_emitting: first step whose completed rows are wanted.
      end: one past the last step.
      warm_up: steps before the first wanted one that contribute to its rows.
    """

    temporary: int
    fresh: int
    first_input: int
    chunks: int
    up: tuple[tuple[Sum, ...], ...]
    emitted: int
    first_output: int
    partial: int
    down: tuple[tuple[Sum, ...], ...]
    first_emitting: int
    end: int
    warm_up: int

    @property
    def code_rows(self) -> int:
        """Rows of packed codes that a step makes or reads."""
        return -(-self.temporary // ROWS_PER_BYTE)


@dataclasses.dataclass(frozen=True)
class Columns:
    """A tile along the columns, in units: `classes` samples of the temporary grid.

    A unit is `inputs` columns of the input and `outputs` columns of the output. Column
    `classes * unit + c` of the temporary grid belongs to class c: within a class, the columns of
    neighbouring units have the same taps, and lie next to each other in shared memory.

    Attributes:
      classes, inputs, outputs: see above.
      up: for each term, for each class, pairs of ((input class, units later), tap).
      down: for each term, for each output class, pairs of ((class, units later), tap).
      input_lead, lead: units between a tile's first output and its first input, and its first
        temporary column; negative: before.
      input_reach, reach: most units later that `up` and `down` read.
    """

    classes: int
    inputs: int
    outputs: int
    up: tuple[tuple[Sum, ...], ...]
    down: tuple[tuple[Sum, ...], ...]
    input_lead: int
    lead: int
    input_reach: int
    reach: int


@functools.lru_cache(maxsize=256)
def rows_of(stage: Stage) -> Rows:
    """Plans the steps along the rows."""
    up, down, gain = stage.up.axes[0], stage.down.axes[0], stage.activation.gain
    period = math.lcm(up.up, down.down)
    # A byte of codes holds four rows, so a step makes whole bytes, or everything at once.
    count = period if period >= up.size_out else math.lcm(period, ROWS_PER_BYTE)
    samples = [up.taps_of_phase(row) for row in range(count)]
    reads = [sample for pairs in samples for _, sample in pairs] or [0]
    first_input, fresh = min(reads), count // up.up
    adds = [
        [(row + down.offset - out * down.down, out) for out in range(*_outputs(down, row))]
        for row in range(count)
    ]
    outs = [out for pairs in adds for _, out in pairs] or [0]
    first_output, emitted = min(outs), count // down.down
    partial = max(max(outs) - first_output + 1, emitted)
    return Rows(
        temporary=count,
        fresh=fresh,
        first_input=first_input,
        chunks=-(-(max(reads) - first_input + 1) // fresh),
        up=tuple(
            tuple(_sum((i - first_input, gain * term[0][k]) for k, i in pairs) for pairs in samples)
            for term in stage.up.terms
        ),
        emitted=emitted,
        first_output=first_output,
        partial=partial,
        down=tuple(
            tuple(_sum((out - first_output, term[0][k]) for k, out in pairs) for pairs in adds)
            for term in stage.down.terms
        ),
        first_emitting=-first_output // emitted,
        end=max(-(-(down.size_out - first_output) // emitted), -(-up.size_out // count)),
        warm_up=-(-partial // emitted) - 1,
    )


def _outputs(down, row: int) -> tuple[int, int]:
    """First output that temporary sample `row` adds to, and one past the last."""
    last = row + down.offset
    return -((down.taps - 1 - last) // down.down), last // down.down + 1


@functools.lru_cache(maxsize=256)
def columns_of(stage: Stage) -> Columns:
    """Plans the units along the columns."""
    up, down = stage.up.axes[1], stage.down.axes[1]
    classes = math.lcm(up.up, down.down)
    if classes < _CLASSES and up.taps * down.taps > 1:
        classes *= -(-_CLASSES // classes)
    inputs, outputs = classes // up.up, classes // down.down
    samples = [up.taps_of_phase(c) for c in range(classes)]
    reads = [i // inputs for pairs in samples for _, i in pairs] or [0]
    temporary = [down.taps_of_phase(o) for o in range(outputs)]
    taken = [t // classes for pairs in temporary for _, t in pairs] or [0]
    return Columns(
        classes=classes,
        inputs=inputs,
        outputs=outputs,
        up=tuple(
            tuple(
                _sum(((i % inputs, i // inputs - min(reads)), term[1][k]) for k, i in pairs)
                for pairs in samples
            )
            for term in stage.up.terms
        ),
        down=tuple(
            tuple(
                _sum(((t % classes, t // classes - min(taken)), term[1][k]) for k, t in pairs)
                for pairs in temporary
            )
            for term in stage.down.terms
        ),
        input_lead=min(taken) + min(reads),
        lead=min(taken),
        input_reach=max(reads) - min(reads),
        reach=max(taken) - min(taken),
    )


def _sum(pairs) -> Sum:
    return tuple((where, tap) for where, tap in pairs if tap != 0.0)


def statements(stage: Stage) -> int:
    """Number of products of an array and a tap in the kernel."""
    rows, columns = rows_of(stage), columns_of(stage)

    def count(terms):
        return sum(len(pairs) for sums in terms for pairs in sums)

    along = columns.inputs * count(rows.up) + columns.outputs * count(rows.down)
    return along + rows.temporary * (count(columns.up) + count(columns.down))
