"""The discriminator's convolutions with the signal processing of the alias-free generator.

Karras et al., "Alias-Free Generative Adversarial Networks" (NeurIPS 2021), sections 2 and 3.2 and
appendix C, applied to the other network: the paper keeps StyleGAN2's discriminator as it is.
"""

import functools
import math
from collections.abc import Callable

import jax
import numpy as np

from aa_jax.models.alias_free.layer_spec import FilterDesign
from aa_jax.nn.equalized import EqualizedConv
from aa_jax.ops.filtered_activation import filtered_activation2d

# From the side of a map to the constructor of convolutions that result in such maps.
Convolution = Callable[[int], Callable[..., EqualizedConv]]

ANTIALIAS = ("binomial", "alias_free")
# As in the generator: taps per unit of a resampling factor, factor of the activations' grid, and
# stop band of critically sampled maps, relative to their cutoff.
_FILTER_SIZE, _FINER, _CRITICAL_STOPBAND = 6, 2, 2**0.3


def map_filter(side: int, resolution: int) -> FilterDesign:
    """Designs the low-pass filter of the maps of one side, for a grid twice as fine as theirs.

    The generator's plan, read from the image on. Its last layers are critically sampled, because
    the picture would lack what they may not hold. So are the maps of the image's side here,
    because what they may not hold could not be judged: their cutoff is the Nyquist frequency and
    their stop band starts 2**0.3 times as far, with a little aliasing in between. All coarser maps
    have the most generous band with which a generator of 256 px samples non-critically: half an
    octave below the Nyquist frequency, where the stop band starts, so that nothing aliases but
    what 12 taps let through. Every block halves the side and all frequencies with it: this is one
    filter for all of them. What a map may not hold, the finer one in front of it has shown.

    Args:
      side: of the maps, in samples.
      resolution: side of the image, which is of unit length.
    """
    nyquist = side / 2
    if side == resolution:
        cutoff, stopband = nyquist, nyquist * _CRITICAL_STOPBAND
    else:
        cutoff, stopband = nyquist / math.sqrt(2), nyquist
    return FilterDesign(
        _FILTER_SIZE * _FINER, cutoff, stopband - cutoff, _FINER * side, radial=False
    )


class FilteredConv(EqualizedConv):
    """`EqualizedConv` without aliasing: of the same parameters and sizes.

    The filter in front of a stride is the resulting map's; the same filter brings the map to the
    finer grid on which it is activated, and back. Signals go on with zeros at their borders.
    """

    def __init__(self, *args, low_pass: FilterDesign, **options):
        """Draws the weights.

        Args:
          *args: as of `EqualizedConv`; `down` is 1 or 2, and `filter_size` is without effect.
          low_pass: filter of the resulting map, as `map_filter` designs it.
          **options: as of `EqualizedConv`.
        """
        super().__init__(*args, **options)
        self.low_pass = low_pass

    def _low_pass(self) -> np.ndarray:
        return _taps(self.low_pass)

    def _activate(self, y: jax.Array, bias: jax.Array | None) -> jax.Array:
        if self.activation == "identity":
            return super()._activate(y, bias)  # makes no new frequencies
        taps = self._low_pass()
        # All that is read beyond the map; its samples and the result's have the same positions.
        total = 2 * len(taps) - 1 - _FINER
        before = (total + _FINER) // 2
        return filtered_activation2d(
            y,
            taps,
            taps,
            bias=bias,
            up=_FINER,
            down=_FINER,
            padding=(before, total - before) * 2,
            activation=self.activation,
            gain=self.gain,
            clamp=self.clamp,
        )


def convolution(antialias: str, resolution: int) -> Convolution:
    """Which convolutions a discriminator is made of.

    Args:
      antialias: one of `ANTIALIAS`.
      resolution: side of the image.
    """
    if antialias == "binomial":
        return lambda side: EqualizedConv
    return lambda side: functools.partial(FilteredConv, low_pass=map_filter(side, resolution))


@functools.lru_cache
def _taps(design: FilterDesign) -> np.ndarray:
    return design.taps()
