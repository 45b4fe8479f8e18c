"""Cutting a stage into bands of rows that are computed one after another."""

import dataclasses

from aa_jax.ops.filtered_activation.piecewise import ROWS_PER_BYTE
from aa_jax.ops.filtered_activation.stage import Stage
from aa_jax.ops.resample.geometry import Axis, Resample


@dataclasses.dataclass(frozen=True)
class Band:
    """Some output rows of a stage.

    Attributes:
      stage: reads the input of the whole stage, makes the rows of this band.
      start: row of the whole temporary grid that the band's own begins with; whole bytes of codes.
      kept: rows of codes, four temporary rows each, that it contributes; the next band makes those
        after.
    """

    stage: Stage
    start: int
    kept: int

    def kept_of(self, packed):
        """Of the codes that this band's stage makes, those that are its own to contribute."""
        return packed[:, : self.kept]

    def codes_of(self, packed):
        """This band's part of the whole stage's packed codes."""
        first = self.start // ROWS_PER_BYTE
        return packed[:, first : first + -(-self.stage.temporary_size[0] // ROWS_PER_BYTE)]


def cut(stage: Stage, count: int) -> list[Band]:
    """Cuts `stage` into `count` bands, at most as many as there are output rows.

    Neighbours both compute the temporary rows that outputs on either side of a border read.
    """
    up, down = stage.up.axes[0], stage.down.axes[0]
    height = up.size_out
    edges = [down.size_out * b // count for b in range(count + 1)]
    last_start = (height - 1) // ROWS_PER_BYTE * ROWS_PER_BYTE
    starts = [0]
    for edge in edges[1:-1]:
        first_read = edge * down.down - down.offset
        starts.append(min(max(first_read // ROWS_PER_BYTE * ROWS_PER_BYTE, 0), last_start))
    bands = []
    for b, start in enumerate(starts):
        end_read = (edges[b + 1] - 1) * down.down - down.offset + down.taps
        end = starts[b + 1] if b + 1 < count else height
        rows = min(max(end, end_read, start + 1), height) - start
        band_up = dataclasses.replace(up, size_out=rows, offset=up.offset - start)
        band_down = dataclasses.replace(
            down,
            size_in=rows,
            size_out=edges[b + 1] - edges[b],
            offset=down.offset + start - edges[b] * down.down,
        )
        band = dataclasses.replace(
            stage, up=_with_rows(stage.up, band_up), down=_with_rows(stage.down, band_down)
        )
        bands.append(Band(stage=band, start=start, kept=-(-(end - start) // ROWS_PER_BYTE)))
    return bands


def _with_rows(plan: Resample, axis: Axis) -> Resample:
    return dataclasses.replace(plan, axes=(axis, *plan.axes[1:]))
