"""What one layer of the alias-free generator asks of the filtered activation: shapes and counts.

ToRGB is left out: it has no filter. A FLOP is one of the polyphase filters' multiplications and
additions, whatever an implementation really computes, so GFLOP/s compare speeds, not effort.
"""

import dataclasses
import math

from jax import numpy as jnp

from aa_jax.models.alias_free import FilterDesign, LayerSpec, config_r, config_t

DIRECTIONS = ("forward", "forward+backward")


@dataclasses.dataclass(frozen=True)
class Workload:
    """One layer's filtered activation of a batch."""

    layer: LayerSpec
    batch: int
    channels: int
    dtype: str

    @property
    def arguments(self) -> dict:
        """Filters, factors and padding, as every rival takes them."""
        return {
            "up_filter": self.layer.up_filter.taps(),
            "down_filter": self.layer.down_filter.taps(),
            "up": self.layer.up_factor,
            "down": self.layer.down_factor,
            "padding": self.layer.padding,
        }

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """NHWC shapes of input and output."""
        sizes = self.layer.conv_size, self.layer.out_size
        return tuple((self.batch, *size, self.channels) for size in sizes)

    def bytes(self, direction: str) -> int:
        """Least traffic: input and output; for the gradient both again, and two-bit codes twice."""
        width = jnp.dtype(self.dtype).itemsize
        signals = sum(math.prod(shape) for shape in self.shapes) * width
        if direction == "forward":
            return signals
        codes = math.prod(self.layer.temporary_size) * self.batch * self.channels / 4
        return 2 * signals + 2 * round(codes)

    def flops(self, direction: str) -> int:
        """Polyphase filters, rows first, and 4 for each sample of the temporary grid.

        The gradient goes the same way back: down as the transpose of up, with 1 for each sample
        of the temporary grid between.
        """
        layer, tmp = self.layer, self.layer.temporary_size
        up, down = (layer.up_factor, layer.up_filter), (layer.down_factor, layer.down_filter)
        count = 2 * _up_macs(layer.conv_size, tmp, *up) + 2 * _down_macs(layer.out_size, tmp, *down)
        count += 4 * math.prod(tmp)
        if direction != "forward":
            count += 2 * _up_macs(layer.out_size, tmp, *down)
            count += 2 * _down_macs(layer.conv_size, tmp, *up)
            count += math.prod(tmp)
        return round(count) * self.batch * self.channels


def _up_macs(coarse, fine, factor: int, design: FilterDesign) -> float:
    """Multiplications from a coarse grid to a fine one, (height, width) each."""
    taps = design.numtaps / factor
    if design.radial:
        return math.prod(fine) * taps**2
    return (coarse[0] + fine[0]) * fine[1] * taps


def _down_macs(coarse, fine, factor: int, design: FilterDesign) -> int:
    """Multiplications from a fine grid to a coarse one, (height, width) each."""
    del factor  # Only the samples that stay are computed.
    if design.radial:
        return math.prod(coarse) * design.numtaps**2
    return (fine[0] + coarse[0]) * coarse[1] * design.numtaps


def workloads(config: str, resolution: int, *, channel_divisor: int, batch: int, dtype: str):
    """Yields the workload of every layer with filters."""
    plan = {"t": config_t, "r": config_r}[config](resolution)
    for layer in plan.layers[:-1]:
        channels = max(1, round(layer.out_channels / channel_divisor))
        yield Workload(layer, batch, channels, dtype)
