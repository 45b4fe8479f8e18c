"""The sums as JAX primitives, closed under differentiation and transposition.

`evaluate` is linear in its coefficients, `moments` in its cotangent, and each is the other's
transpose. Their derivatives with respect to the points are again one of them, with other terms and
coefficients (`terms`); so any order of forward and reverse mode stays within the two, for every
implementation. Bins and shifts are constants: results computed from the sums don't depend on them.
`peak`, which shifts come from, is a primitive only to be lowered by platform.
"""

import functools
from collections.abc import Callable

import jax
from jax import lax, numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching

from aa_jax.ops.platforms import choose_at_lowering
from aa_jax.ops.splat import implementations
from aa_jax.ops.splat.bins import Bins
from aa_jax.ops.splat.layout import Layout
from aa_jax.ops.splat.terms import Term, derivative
from aa_jax.ops.splat.window import Window

_peak = Primitive("aa_jax_splat_peak")
_evaluate = Primitive("aa_jax_splat_evaluate")
_moments = Primitive("aa_jax_splat_moments")


def peak(
    geometry: jax.Array,
    centres: jax.Array,
    layout: Layout,
    bins: Bins,
    *,
    window: Window,
    implementation: str | None,
) -> jax.Array:
    """`xla.peak`, a constant for derivatives."""
    arguments = jax.tree.map(lax.stop_gradient, (geometry, centres, *layout, *bins))
    return _peak.bind(*arguments, window=window, implementation=implementation)


def evaluate(
    geometry: jax.Array,
    centres: jax.Array,
    coefficients: jax.Array,
    shift: jax.Array,
    layout: Layout,
    bins: Bins,
    *,
    terms: tuple[Term, ...],
    window: Window,
    implementation: str | None,
) -> jax.Array:
    """`xla.evaluate`, differentiable in `geometry` and `coefficients`."""
    return _evaluate.bind(
        geometry,
        coefficients,
        *jax.tree.map(lax.stop_gradient, (centres, shift, *layout, *bins)),
        terms=terms,
        window=window,
        implementation=implementation,
    )


def _run_peak(geometry, centres, *rest, **options):
    layout, bins = Layout(*rest[:5]), Bins(*rest[5:])
    return implementations.run(
        "peak", geometry, centres, layout, bins, dtype=geometry.dtype, **options
    )


def _run_sum(name: str, geometry, linear, centres, shift, *rest, **options):
    layout, bins = Layout(*rest[:5]), Bins(*rest[5:])
    return implementations.run(
        name, geometry, centres, linear, shift, layout, bins, dtype=geometry.dtype, **options
    )


_STATIC = ("terms", "window", "implementation")

for _primitive, _function, _static in (
    (_peak, _run_peak, _STATIC[1:]),
    (_evaluate, functools.partial(_run_sum, "evaluate"), _STATIC),
    (_moments, functools.partial(_run_sum, "moments"), _STATIC),
):
    choose_at_lowering(
        _primitive, _function, static=_static, interpreted=implementations.INTERPRETED
    )


@_peak.def_abstract_eval
def _peak_shape(geometry, centres, positions, used, *rest, **_):
    return geometry.update(shape=used.shape, weak_type=False)


@_evaluate.def_abstract_eval
def _evaluate_shape(geometry, coefficients, centres, shift, *rest, terms, **_):
    channels = 1 + max(channel for *_, channel in terms)
    return geometry.update(shape=(channels, *shift.shape), weak_type=False)


@_moments.def_abstract_eval
def _moments_shape(geometry, cotangent, centres, shift, *rest, terms, **_):
    return geometry.update(shape=(len(terms), geometry.shape[1]), weak_type=False)


def _derived_sums(run, rule, geometry, tangent, coefficients, terms):
    return run(geometry, rule.of_coefficients(geometry, tangent, coefficients), terms=rule.targets)


def _derived_moments(run, rule, geometry, tangent, cotangent, terms):
    higher = run(geometry, cotangent, terms=rule.targets)
    return rule.of_moments(geometry, tangent, higher, len(terms))


def _jvp_of(primitive: Primitive, by_geometry: Callable):
    """The tangent of a primitive that is linear in its second argument."""

    def rule(primals, tangents, *, terms, window, implementation):
        geometry, linear, *rest = primals
        geometry_dot, linear_dot, *_ = tangents

        def run(geometry, linear, *, terms):
            return primitive.bind(
                *(geometry, linear, *rest),
                terms=terms,
                window=window,
                implementation=implementation,
            )

        out = run(geometry, linear, terms=terms)
        summands = []
        if type(geometry_dot) is not ad.Zero:
            moved = derivative(terms, window)
            summands.append(by_geometry(run, moved, geometry, geometry_dot, linear, terms))
        if type(linear_dot) is not ad.Zero:
            summands.append(run(geometry, linear_dot, terms=terms))
        if not summands:
            return out, ad.Zero(jax.typeof(out).to_tangent_aval())
        return out, functools.reduce(jnp.add, summands)

    return rule


def _transposed(other: Primitive):
    def rule(cotangent, geometry, linear, *rest, **static):
        nothing = [None] * len(rest)
        if type(cotangent) is ad.Zero:
            return [None, ad.Zero(linear.aval), *nothing]
        return [None, other.bind(geometry, cotangent, *rest, **static), *nothing]

    return rule


def _peak_jvp(primals, tangents, **static):
    del tangents
    out = _peak.bind(*primals, **static)
    return out, ad.Zero(jax.typeof(out).to_tangent_aval())


ad.primitive_jvps[_peak] = _peak_jvp
ad.primitive_jvps[_evaluate] = _jvp_of(_evaluate, _derived_sums)
ad.primitive_jvps[_moments] = _jvp_of(_moments, _derived_moments)
ad.primitive_transposes[_evaluate] = _transposed(_moments)
ad.primitive_transposes[_moments] = _transposed(_evaluate)


def _one_by_one(primitive: Primitive):
    """The rule of `vmap`: one after another, each with loops of its own length."""

    def rule(args, dims, **static):
        mapped = [jnp.moveaxis(a, d, 0) for a, d in zip(args, dims, strict=True) if d is not None]

        def one(some):
            some = iter(some)
            return primitive.bind(
                *(a if d is None else next(some) for a, d in zip(args, dims, strict=True)), **static
            )

        return lax.map(one, mapped), 0

    return rule


batching.primitive_batchers[_peak] = _one_by_one(_peak)
batching.primitive_batchers[_evaluate] = _one_by_one(_evaluate)
batching.primitive_batchers[_moments] = _one_by_one(_moments)
