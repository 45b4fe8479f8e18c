"""What one filtered activation is, apart from how it is computed."""

import dataclasses

from aa_jax.ops.filtered_activation.piecewise import ROWS_PER_BYTE, PiecewiseLinear
from aa_jax.ops.resample.geometry import Resample


@dataclasses.dataclass(frozen=True)
class Stage:
    """Up to the temporary grid, something pointwise there, and down again.

    With the pointwise multiplication by fixed slopes the stage is linear, and its transpose is a
    stage again: the operators exchanged and transposed, the slopes the same. That closure is what
    makes one kernel serve primal, tangent and cotangent in any order.

    Attributes:
      up: (N, height, width, C) to the temporary grid (N, tmp_height, tmp_width, C); its axes have
        down == 1. One or more separable terms.
      down: the temporary grid to (N, out_height, out_width, C); its axes have up == 1.
      activation: the pointwise function.
    """

    up: Resample
    down: Resample
    activation: PiecewiseLinear

    @property
    def transpose(self) -> "Stage":
        """The transposed linear operator, for the same slopes on the temporary grid."""
        return dataclasses.replace(self, up=self.down.transpose, down=self.up.transpose)

    @property
    def is_pointwise(self) -> bool:
        """Whether nothing is filtered or resampled."""
        return all(
            axis.taps == axis.up == axis.down == 1
            for plan in (self.up, self.down)
            for axis in plan.axes
        )

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input."""
        return tuple(axis.size_in for axis in self.up.axes)

    @property
    def temporary_size(self) -> tuple[int, int]:
        """(height, width) of the temporary grid."""
        return tuple(axis.size_out for axis in self.up.axes)

    @property
    def out_size(self) -> tuple[int, int]:
        """(height, width) of the output."""
        return tuple(axis.size_out for axis in self.down.axes)

    def codes_shape(self, batch: int, channels: int) -> tuple[int, int, int, int]:
        """Shape of the packed codes of a batch."""
        height, width = self.temporary_size
        return batch, -(-height // ROWS_PER_BYTE), width, channels
