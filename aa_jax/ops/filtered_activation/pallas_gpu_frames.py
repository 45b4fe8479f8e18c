"""What the interpreter of GPU kernels needs of arrays: all that a kernel's copies touch."""

import dataclasses

import jax
from jax import numpy as jnp


@dataclasses.dataclass(frozen=True)
class Frame:
    """The rows and units of an array that the blocks touch, first and one past the last.

    Attributes:
      rows, units: see above.
      width: columns of a unit.
      split: whether the kernel wants the units on an axis of their own.
    """

    rows: tuple[int, int]
    units: tuple[int, int]
    width: int = 1
    split: bool = False

    def padded(self, x: jax.Array) -> jax.Array:
        """All that is touched, zero where there is nothing, with its columns split into units."""
        (top, bottom), (left, right) = self._margins(x.shape[1:3])
        x = jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
        return x.reshape(*x.shape[:2], -1, self.width, x.shape[3]) if self.split else x

    def cropped(self, y: jax.Array, size: tuple[int, int]) -> jax.Array:
        """Undoes `padded`."""
        (top, _), (left, _) = self._margins(size)
        y = y.reshape(*y.shape[:2], -1, y.shape[-1])
        return y[:, top : top + size[0], left : left + size[1]]

    def origin(self) -> tuple[int, int]:
        """Row and unit of the padded array that the array's own begins with."""
        return max(-self.rows[0], 0), max(-self.units[0], 0)

    def _margins(self, size):
        top, left = self.origin()
        bottom = max(self.rows[1] - size[0], 0)
        units = max(self.units[1], -(-size[1] // self.width))
        return (top, bottom), (left * self.width, units * self.width - size[1])


def row_frames(rows, tiling) -> dict[str, tuple[int, int]]:
    """The rows of "x", "y" and "codes" that the steps of all segments touch.

    Args:
      rows: the steps, see `pallas_gpu_pattern`.
      tiling: whatever says `segments`, `length` and `lead_steps`.
    """
    emitting = rows.first_emitting
    begin, end = emitting - tiling.lead_steps, emitting + tiling.segments * tiling.length
    return {
        "x": (
            begin * rows.fresh + rows.first_input,
            (end - 1 + rows.chunks) * rows.fresh + rows.first_input,
        ),
        "y": (
            emitting * rows.emitted + rows.first_output,
            end * rows.emitted + rows.first_output,
        ),
        "codes": (begin * rows.code_rows, end * rows.code_rows),
    }
