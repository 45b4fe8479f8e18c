"""The filtered piecewise-linear activation as JAX primitives, closed under differentiation.

`filtered` is D(act(U(x))). Its tangent is `gated`: D(slopes * U(v)), linear in v, with slopes as
two-bit codes. The transpose of a gated stage is the gated transposed stage with the same codes, and
codes have no derivative; so any order of forward and reverse mode stays within the two, for every
implementation. A residual is two bits per sample of the temporary grid, whatever the input dtype.
"""

import functools

import jax
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching

from aa_jax.ops.filtered_activation import implementations
from aa_jax.ops.filtered_activation.stage import Stage
from aa_jax.ops.linear import folding
from aa_jax.ops.platforms import choose_at_lowering


def filtered_activation(x: jax.Array, *, stage: Stage, implementation: str | None) -> jax.Array:
    """Applies `stage` to (N, height, width, C); returns (N, out_height, out_width, C).

    Args:
      x: signal, floating.
      stage: what to do; static.
      implementation: one of `implementations.IMPLEMENTATIONS`.
    """
    return _filtered.bind(x, stage=stage, with_codes=False, implementation=implementation)[0]


_filtered = Primitive("aa_jax_filtered_activation")
_filtered.multiple_results = True
_gated = Primitive("aa_jax_gated_resampling")


for _primitive, _run, _static in (
    (_filtered, implementations.filtered, ("stage", "with_codes", "implementation")),
    (_gated, implementations.gated, ("stage", "implementation")),
):
    choose_at_lowering(_primitive, _run, static=_static, interpreted=implementations.INTERPRETED)


@_filtered.def_abstract_eval
def _filtered_shapes(x, *, stage, with_codes, implementation):
    del implementation
    batch, _, _, channels = x.shape
    y = x.update(shape=(batch, *stage.out_size, channels), weak_type=False)
    if not with_codes:
        return [y]
    return [
        y,
        x.update(
            shape=stage.codes_shape(batch, channels), dtype=np.dtype("uint8"), weak_type=False
        ),
    ]


@_gated.def_abstract_eval
def _gated_shape(v, codes, *, stage, implementation):
    del codes, implementation
    return v.update(shape=(v.shape[0], *stage.out_size, v.shape[3]), weak_type=False)


def _filtered_jvp(primals, tangents, *, stage, with_codes, implementation):
    (x,), (v,) = primals, tangents
    if type(v) is ad.Zero:
        outs = _filtered.bind(x, stage=stage, with_codes=with_codes, implementation=implementation)
        return outs, [ad.Zero(jax.typeof(out).to_tangent_aval()) for out in outs]
    y, codes = _filtered.bind(x, stage=stage, with_codes=True, implementation=implementation)
    tangent = _gated.bind(v, codes, stage=stage, implementation=implementation)
    if not with_codes:
        return [y], [tangent]
    return [y, codes], [tangent, ad.Zero(jax.typeof(codes).to_tangent_aval())]


ad.primitive_jvps[_filtered] = _filtered_jvp


def _gated_jvp(primals, tangents, *, stage, implementation):
    (v, codes), (dv, _) = primals, tangents
    run = functools.partial(_gated.bind, stage=stage, implementation=implementation)
    out = run(v, codes)
    if type(dv) is ad.Zero:
        return out, ad.Zero(jax.typeof(out).to_tangent_aval())
    return out, run(dv, codes)


def _gated_transpose(cotangent, v, codes, *, stage, implementation):
    if type(cotangent) is ad.Zero:
        return [ad.Zero(v.aval), None]
    return [
        _gated.bind(cotangent, codes, stage=stage.transpose, implementation=implementation),
        None,
    ]


ad.primitive_jvps[_gated] = _gated_jvp
ad.primitive_transposes[_gated] = _gated_transpose


batching.primitive_batchers[_filtered] = folding(_filtered)
batching.primitive_batchers[_gated] = folding(_gated)
