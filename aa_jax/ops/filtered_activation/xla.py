"""The filtered activation in plain XLA: the specification, and the fast path on CPU.

The temporary signal is several times the input. So on CPU a few images are computed at a time, and
large ones in bands of rows, one after another, which share the memory for their temporaries: they
stay in cache.
"""

import jax
import numpy as np
from jax import lax, numpy as jnp

from aa_jax.ops.apart import apart
from aa_jax.ops.filtered_activation.bands import Band, cut
from aa_jax.ops.filtered_activation.piecewise import pack, unpack
from aa_jax.ops.filtered_activation.stage import Stage
from aa_jax.ops.resample.xla import resample

# Of temporaries at once, with and without codes for a gradient, which keeps more alive besides; and
# bands at most, since each is compiled.
_AT_ONCE_BYTES = {True: 6 * 2**20, False: 12 * 2**20}
_MOST_BANDS = 5
# Channels that a vector register of 256 bits holds: the loop over the rest beyond them is slow.
_VECTOR = 8


def filtered(x: jax.Array, stage: Stage, *, with_codes: bool, on_cpu: bool = True):
    """Returns down(act(up(x))), and with it, if asked, the packed codes; see `Stage`.

    `on_cpu` says whether to compute in bands, with whole vectors of channels.
    """
    if not on_cpu:
        return _filtered(x, stage, with_codes)
    channels, x = x.shape[3], _whole_vectors(x)

    def some_images(x):
        def part(band: Band, after):
            def run(x):
                y, *codes = jax.tree.leaves(_filtered(x, band.stage, with_codes))
                return [y, *(band.kept_of(code) for code in codes)]

            return apart(run, x, after=after)

        return _in_bands(part, x, stage, with_codes)

    whole = _some_at_a_time(some_images, (x,), stage, with_codes)
    y, *codes = (part[..., :channels] for part in whole)
    return (y, *codes) if with_codes else y


def gated(v: jax.Array, codes: jax.Array, stage: Stage, *, on_cpu: bool = True) -> jax.Array:
    """Returns down(slopes * up(v)) with the slopes that the packed codes stand for."""
    if not on_cpu:
        return _gated(v, codes, stage)
    channels, v, codes = v.shape[3], _whole_vectors(v), _whole_vectors(codes)

    def some_images(v, codes):
        def part(band: Band, after):
            def run(v, codes):
                return [_gated(v, band.codes_of(codes), band.stage)]

            return apart(run, v, codes, after=after)

        return _in_bands(part, v, stage, True)

    (y,) = _some_at_a_time(some_images, (v, codes), stage, True)
    return y[..., :channels]


def _whole_vectors(x):
    missing = -x.shape[3] % _VECTOR
    if not missing or x.shape[3] < _VECTOR:
        return x
    return lax.pad(x, np.zeros((), x.dtype), ((0, 0, 0),) * 3 + ((0, missing, 0),))


def _some_at_a_time(run, operands, stage: Stage, with_codes: bool) -> list:
    """The results of `run(*operands)`, in a loop over groups of few images."""
    images, devices = len(operands[0]), jax.device_count()
    too_large = _temporaries(operands[0], stage) / _AT_ONCE_BYTES[with_codes]
    if too_large <= 1 or images % devices:
        return run(*operands)
    # Image n is in group n modulo their number: devices that share a batch share every group.
    shares = images // devices
    wanted = min(too_large, shares)
    count = min(d for d in range(1, shares + 1) if shares % d == 0 and d >= wanted)
    if count == 1:
        return run(*operands)
    groups = [jnp.moveaxis(x.reshape(-1, count, *x.shape[1:]), 1, 0) for x in operands]
    results = lax.map(lambda operands: run(*operands), groups)
    return [jnp.moveaxis(y, 0, 1).reshape(images, *y.shape[2:]) for y in results]


def _in_bands(part, x, stage: Stage, with_codes: bool):
    """The results of `part(band, after)` of all bands, put together."""
    count = min(-(-_temporaries(x, stage) // _AT_ONCE_BYTES[with_codes]), _MOST_BANDS)
    parts = []
    for band in cut(stage, max(min(count, stage.out_size[0]), 1)):
        # One after another, or all of their temporaries would be alive at once.
        parts.append(part(band, parts[-1][:1] if parts else ()))
    if len(parts) == 1:
        return parts[0]
    return [lax.concatenate(pieces, 1) for pieces in zip(*parts, strict=True)]


def _temporaries(x, stage: Stage) -> int:
    """Bytes of the temporary signal and, about half as large for each term, between two passes."""
    height, width = stage.temporary_size
    whole = x.shape[0] * height * width * x.shape[3] * max(x.dtype.itemsize, 4)
    return whole * (2 + max(len(stage.up.terms), len(stage.down.terms))) // 2


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
