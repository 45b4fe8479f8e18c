"""The filtered activation in plain XLA: the specification, and the fast path on CPU."""

import jax
from jax import numpy as jnp

from aa_jax.ops.filtered_activation.piecewise import pack, unpack
from aa_jax.ops.filtered_activation.stage import Stage
from aa_jax.ops.resample.xla import resample


def filtered(x: jax.Array, stage: Stage, *, with_codes: bool):
    """Returns down(act(up(x))), and with it, if asked, the packed codes; see `Stage`."""
    u = resample(_wide(x), stage.up)
    y = resample(stage.activation.value(u), stage.down).astype(x.dtype)
    return (y, pack(stage.activation.codes(u))) if with_codes else y


def gated(v: jax.Array, codes: jax.Array, stage: Stage) -> jax.Array:
    """Returns down(slopes * up(v)) with the slopes that the packed codes stand for."""
    u = resample(_wide(v), stage.up)
    slopes = stage.activation.slopes_of(unpack(codes, u.shape[1]), u.dtype)
    return resample(slopes * u, stage.down).astype(v.dtype)


def _wide(x):
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
