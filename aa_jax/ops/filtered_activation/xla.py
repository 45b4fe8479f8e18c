"""The filtered activation in plain XLA: the specification, and the fast path on CPU.

The temporary signal is several times the input, and on CPU moving it costs more than filtering it.
So a large stage runs in bands of rows whose temporaries stay in cache, one image at a time.
"""

import math

import jax
import numpy as np
from jax import lax, numpy as jnp

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


def filtered(x: jax.Array, stage: Stage, *, with_codes: bool):
    """Returns down(act(up(x))), and with it, if asked, the packed codes; see `Stage`."""
    bands = _bands(stage, x)
    if bands is None:
        return _filtered(x, stage, with_codes)
    batch, channels = x.shape[0], x.shape[3]
    x = _rows(x, bands.first_in, bands.rows_in, 0)
    results = [jnp.zeros((batch, bands.rows_out, stage.out_size[1], channels), x.dtype)]
    if with_codes:
        results.append(
            jnp.zeros((batch, bands.bytes_in, stage.temporary_size[1], channels), np.uint8)
        )

    def tile(n, b, c, results):
        row_out, row_in, byte = bands.starts(b)
        window = _window(x, n, row_in, c, bands.stage.size[0])
        parts = jax.tree.leaves(_apart(b, lambda: _filtered(window, bands.stage, with_codes)))
        y = lax.dynamic_update_slice(results[0], parts[0], (n, row_out, 0, c))
        if not with_codes:
            return [y]
        return [y, lax.dynamic_update_slice(results[1], parts[1], (n, byte, 0, c))]

    results = _over_tiles(tile, batch, bands.count, channels, results)
    y = results[0][:, : stage.out_size[0]]
    if not with_codes:
        return y
    return y, _rows(results[1], -bands.first_byte, stage.codes_shape(batch, channels)[1], 0)


def gated(v: jax.Array, codes: jax.Array, stage: Stage) -> jax.Array:
    """Returns down(slopes * up(v)) with the slopes that the packed codes stand for."""
    bands = _bands(stage, v)
    if bands is None:
        return _gated(v, codes, stage)
    batch, channels = v.shape[0], v.shape[3]
    v = _rows(v, bands.first_in, bands.rows_in, 0)
    codes = _rows(codes, bands.first_byte, bands.bytes_in, _ALL_CLAMPED)
    out = jnp.zeros((batch, bands.rows_out, stage.out_size[1], channels), v.dtype)

    def tile(n, b, c, out):
        row_out, row_in, byte = bands.starts(b)
        window = _window(v, n, row_in, c, bands.stage.size[0])
        gate = _window(codes, n, byte, c, bands.bytes_high)
        part = _apart(b, lambda: _gated(window, gate, bands.stage))
        return lax.dynamic_update_slice(out, part, (n, row_out, 0, c))

    out = _over_tiles(tile, batch, bands.count, channels, out)
    return out[:, : stage.out_size[0]]


def _bands(stage: Stage, x) -> Bands | None:
    """The bands of a stage, or None where it is small enough to be done at once."""
    down, step = stage.down.axes[0], granularity(stage)
    height, width = stage.temporary_size
    row_bytes = width * max(x.dtype.itemsize, 4)
    whole = height * row_bytes * x.shape[3]
    least_bytes, most_bytes = _TILE_BYTES
    if whole <= 2 * least_bytes:
        return None
    tile_bytes = min(max(_TILE_SHARE * whole, least_bytes), most_bytes)
    fitting = tile_bytes / (row_bytes * min(x.shape[3], _TILE_CHANNELS) * down.down)
    least = (down.taps - down.down) / (_LARGEST_OVERLAP * down.down)
    rows = max(math.ceil(max(fitting, least) / step), 1) * step
    return cut(stage, min(rows, -(-down.size_out // step) * step))


def _over_tiles(tile, batch: int, bands: int, channels: int, results):
    """Runs `tile(image, band, first channel, results)` for all of them, in turn."""
    blocks = -(-channels // _TILE_CHANNELS)

    def run(number, results):
        n, rest = number // (bands * blocks), number % (bands * blocks)
        # The last block of channels overlaps its neighbour rather than being smaller.
        c = jnp.minimum(rest % blocks * _TILE_CHANNELS, max(channels - _TILE_CHANNELS, 0))
        return tile(n, rest // blocks, c, results)

    return lax.fori_loop(0, batch * bands * blocks, run, results)


def _window(x, n, row, channel, rows: int):
    size = (1, rows, x.shape[2], min(x.shape[3], _TILE_CHANNELS))
    return lax.dynamic_slice(x, (n, row, 0, channel), size)


def _apart(number, function):
    """Runs `function` behind a branch that is always taken.

    Otherwise XLA fuses the last filter pass into the update of the result, which it then computes
    sample by sample with the cases of every border: three times slower, on one core.
    """
    shapes = jax.eval_shape(function)
    return lax.cond(
        number >= 0, function, lambda: jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    )


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
