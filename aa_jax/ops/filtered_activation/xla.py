"""The filtered activation in plain XLA: the specification, and the fast path on CPU.

The temporary signal is several times the input, and on CPU moving it costs more than filtering it.
So a large stage runs in tiles, of some rows and channels, whose temporaries stay in cache.
"""

import math

import jax
import numpy as np
from jax import lax, numpy as jnp

from aa_jax.ops.apart import apart, zeros_beside
from aa_jax.ops.filtered_activation.bands import Bands, cut, granularity
from aa_jax.ops.filtered_activation.piecewise import CLAMPED, pack, unpack
from aa_jax.ops.filtered_activation.stage import Stage
from aa_jax.ops.resample.xla import resample

# Of the temporary signal of one tile: a share of the whole, so that a stage takes a fraction of the
# memory, but no more than caches hold and no less than pays for the loop.
_TILE_SHARE = 1 / 6
_TILE_BYTES = (2**20, 4 * 2**20)
_TILE_CHANNELS = 32
# Rows that two neighbouring bands both compute, as a share of those that they don't.
_LARGEST_OVERLAP = 0.5
_ALL_CLAMPED = np.uint8(CLAMPED * 0b01010101)


def filtered(x: jax.Array, stage: Stage, *, with_codes: bool, tiled: bool = True):
    """Returns down(act(up(x))), and with it, if asked, the packed codes; see `Stage`."""
    bands = _bands(stage, x) if tiled else None
    if bands is None:
        return _filtered(x, stage, with_codes)
    x = _rows(x, bands.first_in, bands.rows_in, 0)
    results = [zeros_beside(x, (bands.rows_out, stage.out_size[1]), x.dtype)]
    if with_codes:
        results.append(zeros_beside(x, (bands.bytes_in, stage.temporary_size[1]), np.uint8))

    def tile(b, c, results):
        row_out, row_in, byte = bands.starts(b)
        window = _window(x, row_in, c, bands.stage.size[0])
        parts = apart(lambda x: jax.tree.leaves(_filtered(x, bands.stage, with_codes)), window)
        y = lax.dynamic_update_slice(results[0], parts[0], (0, row_out, 0, c))
        if not with_codes:
            return [y]
        return [y, lax.dynamic_update_slice(results[1], parts[1], (0, byte, 0, c))]

    results = _over_tiles(tile, bands.count, x.shape[3], results)
    y = results[0][:, : stage.out_size[0]]
    if not with_codes:
        return y
    return y, _rows(results[1], -bands.first_byte, stage.codes_shape(*y.shape[::3])[1], 0)


def gated(v: jax.Array, codes: jax.Array, stage: Stage, *, tiled: bool = True) -> jax.Array:
    """Returns down(slopes * up(v)) with the slopes that the packed codes stand for."""
    bands = _bands(stage, v) if tiled else None
    if bands is None:
        return _gated(v, codes, stage)
    v = _rows(v, bands.first_in, bands.rows_in, 0)
    codes = _rows(codes, bands.first_byte, bands.bytes_in, _ALL_CLAMPED)

    def tile(b, c, out):
        row_out, row_in, byte = bands.starts(b)
        window = _window(v, row_in, c, bands.stage.size[0])
        gate = _window(codes, byte, c, bands.bytes_high)
        (part,) = apart(lambda v, codes: [_gated(v, codes, bands.stage)], window, gate)
        return lax.dynamic_update_slice(out, part, (0, row_out, 0, c))

    out = zeros_beside(v, (bands.rows_out, stage.out_size[1]), v.dtype)
    return _over_tiles(tile, bands.count, v.shape[3], out)[:, : stage.out_size[0]]


def _bands(stage: Stage, x) -> Bands | None:
    """The bands of a stage, or None where it is small enough to be done at once."""
    down, step = stage.down.axes[0], granularity(stage)
    height, width = stage.temporary_size
    row_bytes = x.shape[0] * width * max(x.dtype.itemsize, 4)
    whole = height * row_bytes * x.shape[3]
    least_bytes, most_bytes = _TILE_BYTES
    if whole <= 2 * least_bytes:
        return None
    tile_bytes = min(max(_TILE_SHARE * whole, least_bytes), most_bytes)
    fitting = tile_bytes / (row_bytes * min(x.shape[3], _TILE_CHANNELS) * down.down)
    least = (down.taps - down.down) / (_LARGEST_OVERLAP * down.down)
    rows = max(math.ceil(max(fitting, least) / step), 1) * step
    return cut(stage, min(rows, -(-down.size_out // step) * step))


def _over_tiles(tile, bands: int, channels: int, results):
    """Runs `tile(band, first channel, results)` for all of them, in turn.

    All images go together: a loop over a sharded batch would gather it.
    """
    blocks = -(-channels // _TILE_CHANNELS)

    def run(number, results):
        # The last block of channels overlaps its neighbour rather than being smaller.
        c = jnp.minimum(number % blocks * _TILE_CHANNELS, max(channels - _TILE_CHANNELS, 0))
        return tile(number // blocks, c, results)

    return lax.fori_loop(0, bands * blocks, run, results)


def _window(x, row, channel, rows: int):
    size = (x.shape[0], rows, x.shape[2], min(x.shape[3], _TILE_CHANNELS))
    return lax.dynamic_slice(x, (0, row, 0, channel), size)


def _rows(x, first: int, count: int, fill):
    """Rows first to first + count of every image, `fill` where there are none."""
    x = x[:, max(first, 0) : max(first + count, 0)]
    before = min(max(-first, 0), count)
    after = count - before - x.shape[1]
    if not before and not after:
        return x
    return lax.pad(
        x, np.asarray(fill, x.dtype), ((0, 0, 0), (before, after, 0), (0, 0, 0), (0, 0, 0))
    )


def _filtered(x, stage: Stage, with_codes: bool):
    u = resample(_wide(x), stage.up)
    y = resample(stage.activation.value(u), stage.down).astype(x.dtype)
    return (y, pack(stage.activation.codes(u))) if with_codes else y


def _gated(v, codes, stage: Stage):
    u = resample(_wide(v), stage.up)
    slopes = stage.activation.slopes_of(unpack(codes, u.shape[1]), u.dtype)
    return resample(slopes * u, stage.down).astype(v.dtype)


def _wide(x):
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
