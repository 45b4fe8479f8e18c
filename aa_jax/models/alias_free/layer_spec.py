"""The alias-free generator's layers as plain, hashable data; `layer_plan` fills it in.

Frequencies and rates are per unit length, and the unit is the shorter side of the image: a canvas
of 256 x 512 spans 1 x 2 units, its pixels stay square, and only the sizes differ between axes.
"""

import dataclasses

import numpy as np

from aa_jax.filters import firwin_jinc, firwin_sinc

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class FilterDesign:
    """A low-pass filter, Kaiser-windowed unless it interpolates linearly, by its numbers.

    Attributes:
      numtaps: length, or side of a radial filter.
      cutoff: half-amplitude frequency.
      half_width: half of the transition band; the stop band starts at `cutoff + half_width`.
      rate: sampling rate that the filter runs at.
      radial: radially symmetric (numtaps, numtaps) rather than separable (numtaps,).
      linear: linear interpolation, a triangle of `numtaps`, whatever the band: for comparison.
    """

    numtaps: int
    cutoff: float
    half_width: float
    rate: float
    radial: bool
    linear: bool = False

    def taps(self) -> np.ndarray:
        """Designs it: (numtaps,) or (numtaps, numtaps), float64, with sum 1."""
        if self.linear:
            triangle = np.minimum(np.arange(self.numtaps), np.arange(self.numtaps)[::-1]) + 0.5
            return triangle / triangle.sum()
        design = firwin_jinc if self.radial else firwin_sinc
        return design(self.numtaps, self.cutoff, 2 * self.half_width, self.rate)


@dataclasses.dataclass(frozen=True)
class LayerSpec:
    """One layer: a modulated convolution, then a filtered activation on a finer grid.

    Sizes are (height, width). The convolution is zero padded by `conv_kernel - 1` on every side;
    its result, of `conv_size`, is upsampled to `temporary_size`, activated there, and brought
    down to `out_size`.

    Attributes:
      index: number of the layer; ToRGB is the last.
      is_torgb: whether it is the last layer: kernel 1, no filters, no demodulation.
      is_critically_sampled: whether its cutoff is the image's Nyquist frequency.
      use_fp16: whether it belongs to the finest rates, which the published networks compute in
        half precision.
      conv_kernel: side of the convolution's kernel.
      in_channels, out_channels: of the convolution.
      in_size, out_size: of the layer's input and output.
      in_sampling_rate, out_sampling_rate, tmp_sampling_rate: of input, output, temporary grid.
      in_cutoff, out_cutoff: band limit of input and output.
      in_half_width, out_half_width: half transition width of input and output.
      min_stopband: least frequency from which the output's stop band is wanted; the filter's,
        `out_cutoff + out_half_width`, lies at the Nyquist frequency where there is room.
      up_factor, down_factor: from input rate to temporary rate, and from there to output rate.
      up_filter, down_filter: designs, or None for no filter.
      padding: (top, bottom, left, right) on the temporary grid, before its filter; negative crops.
    """

    index: int
    is_torgb: bool
    is_critically_sampled: bool
    use_fp16: bool
    conv_kernel: int
    in_channels: int
    out_channels: int
    in_size: Size
    out_size: Size
    in_sampling_rate: int
    out_sampling_rate: int
    tmp_sampling_rate: int
    in_cutoff: float
    out_cutoff: float
    in_half_width: float
    out_half_width: float
    min_stopband: float
    up_factor: int
    down_factor: int
    up_filter: FilterDesign | None
    down_filter: FilterDesign | None
    padding: tuple[int, int, int, int]

    @property
    def name(self) -> str:
        """The published name, such as "L3_52_512"; "L3_52x84_512" on a rectangular canvas."""
        return f"L{self.index}_{_show(self.out_size)}_{self.out_channels}"

    @property
    def up_taps(self) -> int:
        """Length of the filter behind zero insertion; 1 for none."""
        return self.up_filter.numtaps if self.up_filter else 1

    @property
    def down_taps(self) -> int:
        """Length or side of the filter in front of decimation; 1 for none."""
        return self.down_filter.numtaps if self.down_filter else 1

    @property
    def conv_size(self) -> Size:
        """(height, width) of the convolution's result, the filtered activation's input."""
        return tuple(size + self.conv_kernel - 1 for size in self.in_size)

    @property
    def temporary_size(self) -> Size:
        """(height, width) of the grid that the activation runs on."""
        return tuple((size - 1) * self.down_factor + self.down_taps for size in self.out_size)


@dataclasses.dataclass(frozen=True)
class GeneratorPlan:
    """The whole synthesis network: its Fourier-feature input, and the layers behind it.

    Attributes:
      resolution: (height, width) of the image.
      img_channels: channels of the image.
      margin_size: samples that layers carry beyond the image on every side.
      input_channels, input_size, input_sampling_rate: of the input's map.
      input_bandwidth: radius of the disc that its frequencies are drawn from.
      layers: in order, ToRGB last.
      options: what `generator_plan` made it from, pairs of name and value.
    """

    resolution: Size
    img_channels: int
    margin_size: int
    input_channels: int
    input_size: Size
    input_sampling_rate: int
    input_bandwidth: float
    layers: tuple[LayerSpec, ...]
    options: tuple[tuple[str, object], ...]

    @property
    def num_ws(self) -> int:
        """How many latent vectors it takes: one for the input, one for each layer."""
        return len(self.layers) + 1


def describe(plan: GeneratorPlan) -> str:
    """Writes a plan as a Markdown table, one row per layer, with the input's map above it."""
    header = (
        "i | s_in→s_out | size in→out | f_c | f_t (min) | f_h | f_c+f_h | tmp rate | up × (taps) "
        "| down × (taps) | channels | pad lo,hi | crit. | down FIR | fp16"
    )
    width = header.count("|") + 1
    lines = [
        f"{_show(plan.resolution)} px; input: size {_show(plan.input_size)}, "
        f"rate {plan.input_sampling_rate}, bandwidth {plan.input_bandwidth:g}, "
        f"channels {plan.input_channels}",
        "",
        f"| {header} |",
        "|" + "---|" * width,
    ]
    lines += ["| " + " | ".join(_cells(layer)) + " |" for layer in plan.layers]
    return "\n".join(lines)


def _cells(layer: LayerSpec) -> list[str]:
    top, bottom, left, right = layer.padding
    pads = [f"{top},{bottom}", f"{left},{right}"]
    down_filter = layer.down_filter
    return [
        f"{layer.index} (ToRGB)" if layer.is_torgb else f"{layer.index}",
        f"{layer.in_sampling_rate}→{layer.out_sampling_rate}",
        f"{_show(layer.in_size)}→{_show(layer.out_size)}",
        f"{layer.out_cutoff:.4f}",
        f"{layer.min_stopband:.4f}",
        f"{layer.out_half_width:.4f}",
        f"{layer.out_cutoff + layer.out_half_width:.3f}",
        f"{layer.tmp_sampling_rate}",
        f"{layer.up_factor} × ({layer.up_taps})",
        f"{layer.down_factor} × ({layer.down_taps})",
        f"{layer.in_channels}→{layer.out_channels}",
        " × ".join(dict.fromkeys(pads)),
        "yes" if layer.is_critically_sampled else "no",
        "–" if down_filter is None else "radial" if down_filter.radial else "separable",
        "yes" if layer.use_fp16 else "no",
    ]


def _show(size: Size) -> str:
    """One number for a square, height x width otherwise."""
    height, width = size
    return f"{height}" if height == width else f"{height}x{width}"
