"""What an alias audit found: decibels for every layer and motion."""

import dataclasses
import math

import numpy as np

from aa_jax.metrics.decibels import pooled_decibels
from aa_jax.metrics.motion import Motion


@dataclasses.dataclass(frozen=True)
class AliasAudit:
    """Equivariance of the layers of one network.

    The number for a layer and a motion is a ratio of power to squared error,

        10 log10( sum (reference - its mean)^2 / sum (reference - map)^2 )   [dB],

    where `reference` is the unmoved picture's map, moved, and `map` that of the moved picture. The
    mean is each map's own (one example, one channel) over the samples compared; sums go over those
    samples, channels and examples before the logarithm. Scaling a layer or adding a constant to a
    channel changes nothing. 0 dB: the error is as large as all there is to see; two unrelated maps
    of the same power have -3 dB. Infinite: exactly equivariant. NaN: too few samples to compare,
    or constant maps.

    Attributes:
        layers: names, in the network's order.
        motions: what was done to the picture.
        shapes: (h, w, channels) of the layers' maps.
        rates: samples per pixel of the picture.
        errors: float64 (layers, motions, examples), the lower sum.
        powers: the same, the upper sum.
    """

    layers: tuple[str, ...]
    motions: tuple[Motion, ...]
    shapes: tuple[tuple[int, int, int], ...]
    rates: tuple[float, ...]
    errors: np.ndarray
    powers: np.ndarray

    @property
    def decibels(self) -> np.ndarray:
        """(layers, motions)."""
        return self._pooled()[..., 0]

    @property
    def standard_errors(self) -> np.ndarray:
        """(layers, motions), over examples; NaN where it cannot be told (`pooled_decibels`)."""
        return self._pooled()[..., 1]

    @property
    def losses(self) -> np.ndarray:
        """(layers, motions): decibels that a layer has less than the layer before it, if less.

        The first layer's is zero. NaN where either is unknown.
        """
        decibels = self.decibels
        before = np.concatenate([decibels[:1], decibels[:-1]])
        same = before == decibels  # also two infinite ones, whose difference would be NaN
        difference = np.subtract(before, decibels, where=~same, out=np.zeros_like(decibels))
        return np.maximum(difference, 0)

    def table(self) -> str:
        """Markdown: a row for every layer; bold where a motion's figure falls most."""
        header = ["layer", "map", *map(str, self.motions)]
        lines = [header, ["---", "---", *["---:"] * len(self.motions)]]
        decibels, errors, losses = self.decibels, self.standard_errors, self.losses
        worst = [_argmax(losses[:, column]) for column in range(len(self.motions))]
        for row, (name, shape) in enumerate(zip(self.layers, self.shapes, strict=True)):
            cells = [
                _cell(decibels[row, column], errors[row, column], bold=worst[column] == row)
                for column in range(len(self.motions))
            ]
            lines.append([name, " x ".join(map(str, shape)), *cells])
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def _pooled(self) -> np.ndarray:
        return np.array(
            [
                [pooled_decibels(*pair) for pair in zip(*rows, strict=True)]
                for rows in zip(self.powers, self.errors, strict=True)
            ]
        )


def _argmax(losses: np.ndarray) -> int | None:
    """The row that loses most, or None where none loses anything."""
    known = np.nan_to_num(losses, nan=0.0, posinf=math.inf)
    return int(known.argmax()) if known.max() > 0 else None


def _cell(decibels: float, error: float, *, bold: bool) -> str:
    if math.isnan(decibels):
        return "-"
    if math.isinf(decibels):
        return "exact"
    text = f"{decibels:.1f}" + ("" if math.isnan(error) else f" ± {error:.1f}") + " dB"
    return f"**{text}**" if bold else text
