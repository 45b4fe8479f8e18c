"""The layer plan of the alias-free generator, for any resolution and configuration.

Karras et al., "Alias-Free Generative Adversarial Networks" (NeurIPS 2021), section 3 and appendix
C: cutoff and stop band grow geometrically from layer to layer; sampling rates, sizes, channels,
filters and paddings follow from them.
"""

import math
from typing import NamedTuple

from aa_jax.models.alias_free.layer_spec import FilterDesign, GeneratorPlan, LayerSpec, Size
from aa_jax.ops.pad import is_integer


def config_t(resolution: int | Size, **options) -> GeneratorPlan:
    """Plans the translation-equivariant generator: 3x3 convolutions, separable filters.

    Args:
      resolution: see `generator_plan`.
      **options: as `generator_plan` takes them, with its defaults.
    """
    return generator_plan(resolution, **options)


def config_r(resolution: int | Size, **options) -> GeneratorPlan:
    """Plans the translation- and rotation-equivariant generator.

    1x1 convolutions, radially symmetric filters wherever sampling is not critical, and twice the
    channels: `channel_base` is 65536 and `channel_max` 1024 unless given.

    Args:
      resolution: see `generator_plan`.
      **options: as `generator_plan` takes them.
    """
    published = {
        "channel_base": 2 * 32768,
        "channel_max": 2 * 512,
        "conv_kernel": 1,
        "use_radial_filters": True,
    }
    return generator_plan(resolution, **(published | options))


def generator_plan(
    resolution: int | Size,
    *,
    img_channels: int = 3,
    channel_base: int = 32768,
    channel_max: int = 512,
    num_layers: int = 14,
    num_critical: int = 2,
    first_cutoff: float = 2.0,
    first_stopband: float = 2**2.1,
    last_stopband_rel: float = 2**0.3,
    margin_size: int = 10,
    num_fp16_res: int = 4,
    conv_kernel: int = 3,
    filter_size: int = 6,
    lrelu_upsampling: int = 2,
    use_radial_filters: bool = False,
    use_linear_upsampling: bool = False,
) -> GeneratorPlan:
    """Plans a generator; options and defaults are the published ones, of configuration T.

    Args:
      resolution: side of a square image, or (height, width). The shorter side, of unit length, is
        a power of two from 16 on; the longer a multiple of the shorter divided by the input's
        rate, with the defaults of 1/16 of it.
      img_channels: channels of the image.
      channel_base: a layer has `channel_base / 2 / cutoff` channels ...
      channel_max: ... and no more than these.
      num_layers: layers in front of ToRGB.
      num_critical: how many of them, at the end, are critically sampled.
      first_cutoff: cutoff of the first layer.
      first_stopband: least stop band of the first layer.
      last_stopband_rel: least stop band of the last layers, relative to their cutoff.
      margin_size: samples beyond the image on every side, in all layers but the last two.
      num_fp16_res: how many of the finest rates are computed in half precision.
      conv_kernel: side of the convolutions' kernels.
      filter_size: filter taps for each unit of an up- or downsampling factor.
      lrelu_upsampling: how much finer than its neighbours the activation's grid is.
      use_radial_filters: whether layers bring down with a jinc, critically sampled ones excepted.
      use_linear_upsampling: whether layers interpolate linearly on the way up instead of with a
        Kaiser sinc. Not published: a part of the cure taken away, for comparison.

    Raises:
      ValueError: if an argument is out of its range.
    """
    options = locals() | {"resolution": _as_resolution(resolution)}
    _check_counts(options)
    resolution = options["resolution"]
    last_cutoff = min(resolution) / 2
    _check_bands(first_cutoff, first_stopband, last_stopband_rel, last_cutoff)

    maps = []
    for i in range(num_layers + 1):
        progress = min(i / (num_layers - num_critical), 1.0)
        cutoff = first_cutoff * (last_cutoff / first_cutoff) ** progress
        last_stopband = last_cutoff * last_stopband_rel
        stopband = first_stopband * (last_stopband / first_stopband) ** progress
        channels = round(min(channel_base / 2 / cutoff, channel_max))
        margin = margin_size if i < num_layers - 1 else 0
        maps.append(_map(resolution, cutoff, stopband, channels, margin))
    maps[-1] = maps[-1]._replace(channels=img_channels)
    if not all(m.channels for m in maps):
        raise ValueError(
            f"channel_base must be large enough for a channel in every layer, at least about "
            f"{min(resolution)}, got {channel_base}."
        )

    layers = []
    for i in range(num_layers + 1):
        is_torgb = i == num_layers
        is_critical = i >= num_layers - num_critical
        layers.append(
            _layer(
                i,
                maps[max(i - 1, 0)],
                maps[i],
                is_torgb=is_torgb,
                is_critical=is_critical,
                use_fp16=maps[i].rate * 2**num_fp16_res > min(resolution),
                conv_kernel=1 if is_torgb else conv_kernel,
                finer=1 if is_torgb else lrelu_upsampling,
                filter_size=filter_size,
                radial=use_radial_filters and not is_critical,
                linear=use_linear_upsampling,
            )
        )
    return GeneratorPlan(
        resolution=resolution,
        img_channels=img_channels,
        margin_size=margin_size,
        input_channels=maps[0].channels,
        input_size=maps[0].size,
        input_sampling_rate=maps[0].rate,
        input_bandwidth=maps[0].cutoff,
        layers=tuple(layers),
        options=tuple(options.items()),
    )


class _Map(NamedTuple):
    """A feature map between two layers."""

    cutoff: float
    stopband: float
    half_width: float
    rate: int
    size: Size
    channels: int


def _map(resolution: Size, cutoff, stopband, channels: int, margin: int) -> _Map:
    unit = min(resolution)
    # At 256 pixels a stop band falls on a power of two: rounding must not push it over.
    rate = 2 ** math.ceil(math.log2(min(2 * stopband, unit)) - 1e-9)
    if any(side * rate % unit for side in resolution):
        raise ValueError(
            f"resolution must have a longer side that is a multiple of {unit // rate}, so that "
            f"maps of rate {rate} have whole samples, got {resolution}."
        )
    return _Map(
        cutoff=cutoff,
        stopband=stopband,
        half_width=max(stopband, rate / 2) - cutoff,
        rate=rate,
        size=tuple(side * rate // unit + 2 * margin for side in resolution),
        channels=channels,
    )


def _layer(
    index: int,
    before: _Map,
    after: _Map,
    *,
    is_torgb: bool,
    is_critical: bool,
    use_fp16: bool,
    conv_kernel: int,
    finer: int,
    filter_size: int,
    radial: bool,
    linear: bool,
) -> LayerSpec:
    rate = max(before.rate, after.rate) * finer
    up, down = rate // before.rate, rate // after.rate
    up_filter = down_filter = None
    if up > 1 and not is_torgb:
        # It removes the images of the layer's input, hence the input's band.
        band = (before.cutoff, before.half_width)
        numtaps = 2 * up if linear else filter_size * up
        up_filter = FilterDesign(numtaps, *band, rate, radial=False, linear=linear)
    if down > 1 and not is_torgb:
        band = (after.cutoff, after.half_width)
        down_filter = FilterDesign(filter_size * down, *band, rate, radial=radial)
    taps = sum(f.numtaps if f else 1 for f in (up_filter, down_filter))
    pads = [
        _padding(size_in + conv_kernel - 1, size_out, up, down, taps)
        for size_in, size_out in zip(before.size, after.size, strict=True)
    ]
    return LayerSpec(
        index=index,
        is_torgb=is_torgb,
        is_critically_sampled=is_critical,
        use_fp16=use_fp16,
        conv_kernel=conv_kernel,
        in_channels=before.channels,
        out_channels=after.channels,
        in_size=before.size,
        out_size=after.size,
        in_sampling_rate=before.rate,
        out_sampling_rate=after.rate,
        tmp_sampling_rate=rate,
        in_cutoff=before.cutoff,
        out_cutoff=after.cutoff,
        in_half_width=before.half_width,
        out_half_width=after.half_width,
        min_stopband=after.stopband,
        up_factor=up,
        down_factor=down,
        up_filter=up_filter,
        down_filter=down_filter,
        padding=(*pads[0], *pads[1]),
    )


def _padding(size_in: int, size_out: int, up: int, down: int, taps: int) -> tuple[int, int]:
    """Padding on the upsampled grid that centres the output on the input."""
    total = (size_out - 1) * down + 1 - size_in * up + taps - 2
    # Zeros follow every sample, the last one too, so the content sits left of the grid's middle.
    before = (total + up) // 2
    return before, total - before


def _as_resolution(resolution) -> Size:
    size = (resolution, resolution) if is_integer(resolution) else resolution
    if not (isinstance(size, (tuple, list)) and len(size) == 2 and all(map(is_integer, size))):
        raise ValueError(f"resolution must be an integer or (height, width), got {resolution!r}.")
    unit = min(size)
    if unit < 16 or unit & (unit - 1):
        raise ValueError(
            f"resolution must be a power of two, at least 16 (its shorter side, if two are given), "
            f"got {resolution!r}."
        )
    return tuple(size)


def _check_counts(options: dict) -> None:
    least = {
        **dict.fromkeys(("img_channels", "channel_base", "channel_max", "num_critical"), 1),
        **dict.fromkeys(("conv_kernel", "filter_size", "lrelu_upsampling"), 1),
        **dict.fromkeys(("margin_size", "num_fp16_res"), 0),
        # One layer at least whose cutoff still grows.
        "num_layers": 2,
    }
    for name, low in least.items():
        if not (is_integer(options[name]) and options[name] >= low):
            raise ValueError(f"{name} must be an integer from {low} on, got {options[name]!r}.")
    if options["num_critical"] >= options["num_layers"]:
        raise ValueError(
            f"num_critical must be less than num_layers, {options['num_layers']}, got "
            f"{options['num_critical']}."
        )


def _check_bands(first_cutoff, first_stopband, last_stopband_rel, last_cutoff) -> None:
    if not 0 < first_cutoff <= last_cutoff:
        raise ValueError(
            f"first_cutoff must lie in (0, {last_cutoff:g}], the last cutoff, got {first_cutoff!r}."
        )
    if not first_cutoff < first_stopband < math.inf:
        raise ValueError(
            f"first_stopband must be finite and above first_cutoff, {first_cutoff}, got "
            f"{first_stopband!r}."
        )
    if not 1 < last_stopband_rel < math.inf:
        raise ValueError(
            f"last_stopband_rel must be finite and above 1, got {last_stopband_rel!r}."
        )
