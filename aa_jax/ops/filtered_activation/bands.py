"""Cutting a stage into bands of rows, each a small stage of the same shape."""

import dataclasses
import math

from jax import numpy as jnp

from aa_jax.ops.filtered_activation.piecewise import ROWS_PER_BYTE
from aa_jax.ops.filtered_activation.stage import Stage
from aa_jax.ops.resample.geometry import Axis, Resample


@dataclasses.dataclass(frozen=True)
class Bands:
    """A stage as equal bands of output rows.

    Band b starts at output row min(b * rows, last), a whole number of steps. So the last band may
    repeat rows of its neighbour, or make rows too many where the output is no multiple of a step.

    Attributes:
      stage: what one band does: reads `stage.size[0]` rows, none of them outside.
      rows: output rows of a band, whole steps.
      count: bands.
      last: output row that the last band starts with.
      step: output rows of a step.
      first_in: input row that band 0 starts with; negative: in the padding.
      step_in: input rows of a step.
      first_byte: as `first_in`, in rows of packed codes, four rows of the temporary grid each.
      step_byte: as `step_in`, in rows of packed codes.
    """

    stage: Stage
    rows: int
    count: int
    last: int
    step: int
    first_in: int
    step_in: int
    first_byte: int
    step_byte: int

    @property
    def bytes_high(self) -> int:
        """Packed code rows of a band."""
        return self.stage.temporary_size[0] // ROWS_PER_BYTE

    @property
    def rows_out(self) -> int:
        """Output rows that all bands together make."""
        return self.last + self.rows

    @property
    def rows_in(self) -> int:
        """Input rows that all bands together read."""
        return self.last // self.step * self.step_in + self.stage.size[0]

    @property
    def bytes_in(self) -> int:
        """Packed code rows that all bands together touch."""
        return self.last // self.step * self.step_byte + self.bytes_high

    def starts(self, band):
        """First output row, input row and packed code row of a band, the latter two in what the
        bands together read."""
        row = jnp.minimum(band * self.rows, self.last)
        return row, row // self.step * self.step_in, row // self.step * self.step_byte


def granularity(stage: Stage) -> int:
    """Least number of output rows that bands may advance by.

    Such a step is whole in input rows and in bytes of codes.
    """
    up, down = stage.up.axes[0].up, stage.down.axes[0].down
    whole = math.lcm(up, ROWS_PER_BYTE)
    return whole // math.gcd(whole, down)


def cut(stage: Stage, rows: int) -> Bands:
    """Cuts `stage` into bands of `rows` output rows, a multiple of `granularity(stage)`."""
    up, down = stage.up.axes[0], stage.down.axes[0]
    # Temporary rows of band 0, from the first that its outputs read, rounded out to whole bytes.
    start = -down.offset // ROWS_PER_BYTE * ROWS_PER_BYTE
    stop = (rows - 1) * down.down - down.offset + down.taps
    height = -(-(stop - start) // ROWS_PER_BYTE) * ROWS_PER_BYTE
    # Input rows i that these read: i * up == t + k - offset.
    first_in = -((up.offset - start) // up.up)
    last_in = (start + height - 1 + up.taps - 1 - up.offset) // up.up
    band_up = dataclasses.replace(
        up,
        size_in=last_in - first_in + 1,
        size_out=height,
        offset=up.offset - start + first_in * up.up,
    )
    band_down = dataclasses.replace(down, size_in=height, size_out=rows, offset=down.offset + start)
    step, size = granularity(stage), down.size_out
    count = -(-size // rows)
    return Bands(
        stage=dataclasses.replace(
            stage, up=_with_rows(stage.up, band_up), down=_with_rows(stage.down, band_down)
        ),
        rows=rows,
        count=count,
        last=size - rows if size % step == 0 and size >= rows else (count - 1) * rows,
        step=step,
        first_in=first_in,
        step_in=step * down.down // up.up,
        first_byte=start // ROWS_PER_BYTE,
        step_byte=step * down.down // ROWS_PER_BYTE,
    )


def _with_rows(plan: Resample, axis: Axis) -> Resample:
    return dataclasses.replace(plan, axes=(axis, *plan.axes[1:]))
