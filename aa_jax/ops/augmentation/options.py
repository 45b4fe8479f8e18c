"""Which augmentations are applied, how often and how strongly."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """The augmentations of Karras et al. (NeurIPS 2020, appendix B), all off unless asked for.

    The first group of attributes are multipliers: an augmentation is applied to a sample with
    `probability` times its multiplier. The rest are strengths, with the published values. Frozen
    and hashable, so it can be a static argument of `jax.jit`.

    Attributes:
      xflip: mirror left and right, for half of the samples chosen.
      rotate90: quarter turns, none to three.
      xint: translation by whole samples.
      scale: the same scaling along both axes.
      rotate: rotation by any angle, before and after `aniso`.
      aniso: scaling of one axis up and the other down by the same factor.
      xfrac: translation by fractions of a sample.
      brightness: a constant added to all channels.
      contrast: a factor on all channels.
      lumaflip: mirror lightness, leaving hue, for half of the samples chosen.
      hue: turn colours about the grey axis. Three channels only.
      saturation: scale the distance of colours from the grey axis. Three channels only.
      imgfilter: amplify or damp octaves of spatial frequency.
      noise: add white noise.
      cutout: set a box to zero.
      xint_limit: largest translation, as a fraction of width and height.
      scale_deviation: standard deviation of the base 2 logarithm of the scale.
      rotate_limit: largest rotation, as a fraction of half a turn.
      aniso_deviation: standard deviation of the base 2 logarithm of the scale along x.
      xfrac_deviation: standard deviation of the translation, as a fraction of width and height.
      brightness_deviation: standard deviation of the constant.
      contrast_deviation: standard deviation of the base 2 logarithm of the factor.
      hue_limit: largest turn of hue, as a fraction of half a turn.
      saturation_deviation: standard deviation of the base 2 logarithm of the factor.
      imgfilter_bands: multipliers of `imgfilter` for each of the four octaves, lowest first.
      imgfilter_deviation: standard deviation of the base 2 logarithm of an octave's gain.
      noise_deviation: of the noise's standard deviation, which is half-normal.
      cutout_size: sides of the box, as a fraction of width and height.

    Raises:
      ValueError: if a number is negative or not finite, or `imgfilter_bands` does not hold four.
    """

    xflip: float = 0.0
    rotate90: float = 0.0
    xint: float = 0.0
    scale: float = 0.0
    rotate: float = 0.0
    aniso: float = 0.0
    xfrac: float = 0.0

    brightness: float = 0.0
    contrast: float = 0.0
    lumaflip: float = 0.0
    hue: float = 0.0
    saturation: float = 0.0

    imgfilter: float = 0.0
    noise: float = 0.0
    cutout: float = 0.0

    xint_limit: float = 0.125
    scale_deviation: float = 0.2
    rotate_limit: float = 1.0
    aniso_deviation: float = 0.2
    xfrac_deviation: float = 0.125

    brightness_deviation: float = 0.2
    contrast_deviation: float = 0.5
    hue_limit: float = 1.0
    saturation_deviation: float = 1.0

    imgfilter_bands: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    imgfilter_deviation: float = 1.0
    noise_deviation: float = 0.1
    cutout_size: float = 0.5

    def __post_init__(self):
        bands = tuple(self.imgfilter_bands)
        if len(bands) != 4:
            raise ValueError(f"imgfilter_bands must hold four multipliers, got {len(bands)}.")
        object.__setattr__(self, "imgfilter_bands", bands)
        numbers = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "imgfilter_bands"
        }
        numbers |= {f"imgfilter_bands[{i}]": value for i, value in enumerate(bands)}
        for name, value in numbers.items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and not negative, got {value!r}.")

    @property
    def moves(self) -> bool:
        """Whether any augmentation resamples the image."""
        return any(
            (
                self.xflip,
                self.rotate90,
                self.xint,
                self.scale,
                self.rotate,
                self.aniso,
                self.xfrac,
            )
        )

    @property
    def colors(self) -> bool:
        """Whether any augmentation maps colours to colours."""
        return any((self.brightness, self.contrast, self.lumaflip, self.hue, self.saturation))


_BLIT = {"xflip": 1.0, "rotate90": 1.0, "xint": 1.0}
_GEOMETRY = {"scale": 1.0, "rotate": 1.0, "aniso": 1.0, "xfrac": 1.0}
_COLOR = {"brightness": 1.0, "contrast": 1.0, "lumaflip": 1.0, "hue": 1.0, "saturation": 1.0}

# Sets by the letters that name them in the paper's figure 4: blitting, geometry, colour,
# filtering, noise, cutout.
BG = Augmentation(**_BLIT, **_GEOMETRY)
BGC = Augmentation(**_BLIT, **_GEOMETRY, **_COLOR)
BGCF = dataclasses.replace(BGC, imgfilter=1.0)
BGCFN = dataclasses.replace(BGCF, noise=1.0)
BGCFNC = dataclasses.replace(BGCFN, cutout=1.0)
