"""Linear maps that bring their own transpose.

XLA's derivative of pads and strided slices is many times slower than the map itself, although the
transpose of a resampling operator is again one. Maps applied here are differentiated by naming
their transpose, in any order of forward and reverse mode, and vectorised by folding the mapped
axis into the batch axis.
"""

import dataclasses
from typing import ClassVar, Protocol, Self, runtime_checkable

import jax
from jax import lax, numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


@runtime_checkable
class LinearMap(Protocol):
    """A frozen, hashable description of a linear map over arrays with a leading batch axis."""

    def apply(self, x: jax.Array) -> jax.Array:
        """Maps (batch, ...) to (batch, ...), same dtype."""
        ...

    @property
    def transpose(self) -> Self:
        """The transposed map; `self.transpose.transpose == self`."""
        ...


_linear_map = Primitive("aa_jax_linear_map")


def apply_linear(linear_map: LinearMap, x: jax.Array) -> jax.Array:
    """Applies `linear_map` to `x`, whose leading axis is a batch.

    Differentiable to any order in forward and reverse mode through `linear_map.transpose`.

    Args:
      linear_map: the map; static, so equal maps share one compilation.
      x: array of shape (batch, ...).

    Returns:
      Array of shape (batch, ...), same dtype as `x`.
    """
    return _linear_map.bind(x, linear_map=linear_map)


def _implementation(x, *, linear_map):
    return linear_map.apply(x)


@_linear_map.def_impl
def _eager(x, *, linear_map):
    return _jitted(x, linear_map=linear_map)


_jitted = jax.jit(_implementation, static_argnames="linear_map")


@_linear_map.def_abstract_eval
def _abstract(x, *, linear_map):
    shape = jax.eval_shape(linear_map.apply, jax.ShapeDtypeStruct(x.shape, x.dtype)).shape
    return x.update(shape=shape, weak_type=False)


def _transpose(cotangent, x, *, linear_map):
    if type(cotangent) is ad.Zero:
        return [ad.Zero(x.aval)]
    return [apply_linear(linear_map.transpose, cotangent)]


def folding(primitive: Primitive):
    """The rule of `vmap` for arrays with a leading batch axis: the mapped axis joins the batch."""

    def rule(args, dims, **params):
        size = next(v.shape[d] for v, d in zip(args, dims, strict=True) if d is not None)
        folded = []
        for v, dim in zip(args, dims, strict=True):
            v = jnp.broadcast_to(v, (size, *v.shape)) if dim is None else jnp.moveaxis(v, dim, 0)
            folded.append(v.reshape(-1, *v.shape[2:]))
        outs = primitive.bind(*folded, **params)
        unfolded = jax.tree.map(lambda out: out.reshape(size, -1, *out.shape[1:]), outs)
        return unfolded, [0] * len(outs) if primitive.multiple_results else 0

    return rule


ad.deflinear2(_linear_map, _transpose)
batching.primitive_batchers[_linear_map] = folding(_linear_map)
mlir.register_lowering(_linear_map, mlir.lower_fun(_implementation, multiple_results=False))


class BilinearMap(Protocol):
    """A frozen, hashable description of a map linear in each of two arrays.

    With the trilinear form T(a, b, c) = sum(apply(a, b) * c), the transposes are its other two
    gradients.
    """

    shares_batch: bool
    """Whether a, b and c carry the same leading batch axis, into which `vmap` may fold its own."""

    def apply(self, a: jax.Array, b: jax.Array) -> jax.Array:
        """Maps two arrays to a third."""
        ...

    @property
    def transpose_first(self) -> Self:
        """The bilinear map (c, b) -> gradient of T with respect to a."""
        ...

    @property
    def transpose_second(self) -> Self:
        """The bilinear map (c, a) -> gradient of T with respect to b."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrilinearForm:
    """Base of the bilinear maps that one trilinear form of three arrays makes.

    `first` and `second` name what `apply` takes, each a letter of `roles`; it returns the form's
    gradient with respect to the third.
    """

    roles: ClassVar[str]

    first: str
    second: str

    @property
    def third(self) -> str:
        """What `apply` returns."""
        return next(role for role in self.roles if role not in (self.first, self.second))

    @property
    def transpose_first(self) -> Self:
        """(cotangent, second argument) -> gradient of the first."""
        return dataclasses.replace(self, first=self.third)

    @property
    def transpose_second(self) -> Self:
        """(cotangent, first argument) -> gradient of the second."""
        return dataclasses.replace(self, first=self.third, second=self.first)


_bilinear_map = Primitive("aa_jax_bilinear_map")


def apply_bilinear(bilinear_map: BilinearMap, a: jax.Array, b: jax.Array) -> jax.Array:
    """Applies `bilinear_map`; differentiable to any order, forward and reverse.

    Args:
      bilinear_map: the map; static.
      a: array; of shape (batch, ...) where the map shares a batch.
      b: array, same dtype as `a`.

    Returns:
      Array, same dtype.
    """
    # Under shard_map a replicated weight meets a sharded signal; its gradient is then a sum over
    # the shards, which is what the transpose of this cast does.
    varying = [jax.typeof(v).mat.varying for v in (a, b)]
    a, b = (
        lax.pcast(v, tuple(rest), to="varying") if (rest := frozenset.union(*varying) - own) else v
        for v, own in zip((a, b), varying, strict=True)
    )
    return _bilinear_map.bind(a, b, bilinear_map=bilinear_map)


def _bilinear_implementation(a, b, *, bilinear_map):
    return bilinear_map.apply(a, b)


@_bilinear_map.def_impl
def _bilinear_eager(a, b, *, bilinear_map):
    return _bilinear_jitted(a, b, bilinear_map=bilinear_map)


_bilinear_jitted = jax.jit(_bilinear_implementation, static_argnames="bilinear_map")


@_bilinear_map.def_abstract_eval
def _bilinear_abstract(a, b, *, bilinear_map):
    structs = [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in (a, b)]
    shape = jax.eval_shape(bilinear_map.apply, *structs).shape
    return a.update(shape=shape, weak_type=False)


def _transpose_first(cotangent, a, b, *, bilinear_map):
    del a
    return apply_bilinear(bilinear_map.transpose_first, cotangent, b)


def _transpose_second(cotangent, a, b, *, bilinear_map):
    del b
    return apply_bilinear(bilinear_map.transpose_second, cotangent, a)


def _bilinear_batch(args, dims, *, bilinear_map):
    if not bilinear_map.shares_batch:
        return jax.vmap(bilinear_map.apply, in_axes=dims)(*args), 0
    return folding(_bilinear_map)(args, dims, bilinear_map=bilinear_map)


ad.defbilinear(_bilinear_map, _transpose_first, _transpose_second)
batching.primitive_batchers[_bilinear_map] = _bilinear_batch
mlir.register_lowering(
    _bilinear_map, mlir.lower_fun(_bilinear_implementation, multiple_results=False)
)
