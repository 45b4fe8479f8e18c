"""The shapes that the kernels are compiled for: layers of the published generators."""

import math

from aa_jax.models.alias_free.layer_plan import config_r, config_t
from aa_jax.models.alias_free.layer_spec import LayerSpec
from aa_jax.ops.filtered_activation.piecewise import PiecewiseLinear
from aa_jax.ops.filtered_activation.stage import Stage
from aa_jax.ops.resample.geometry import Axis, Resample, output_size
from aa_jax.ops.resample.terms import separated

# By output size, and what sets a layer apart; every combination of factors and filters is there.
_T, _R = config_t(256).layers, config_r(256).layers
CLASSES: dict[str, LayerSpec] = {
    "T 36": _T[0],
    "T 52 up 4": _T[3],
    "T 148": _T[8],
    "T 276": _T[11],
    "T 276 up 4": _T[10],
    "T 256 crop": _T[13],
    "T 1044": config_t(1024).layers[11],
    "R 36": _R[0],
    "R 148": _R[8],
    "R 276": _R[11],
    "R 276 up 4": _R[10],
    "R 1044": config_r(1024).layers[11],
    "1/1": _T[14],
}


def stage_of(layer: LayerSpec, dtype) -> Stage:
    """The stage of a layer, its filters factorised as for signals of type `dtype`."""
    top, bottom, left, right = layer.padding
    up = _resample(
        layer.conv_size,
        layer.up_filter,
        dtype,
        up=layer.up_factor,
        padding=((top, bottom), (left, right)),
    )
    sizes = tuple(axis.size_out for axis in up.axes)
    down = _resample(sizes, layer.down_filter, dtype, down=layer.down_factor)
    return Stage(up, down, PiecewiseLinear(slope=0.2, gain=math.sqrt(2), clamp=256.0))


def _resample(sizes, design, dtype, *, up=1, down=1, padding=((0, 0), (0, 0))) -> Resample:
    taps = None if design is None else design.taps()
    terms = separated(taps, 2, gain=up * up, dtype=dtype, flip=True)
    axes = []
    for size, pads, row in zip(sizes, padding, terms[0], strict=True):
        out = output_size(size, up, down, pads, len(row))
        axes.append(Axis(size, out, up, down, pads[0], len(row)))
    return Resample(tuple(axes), terms)
