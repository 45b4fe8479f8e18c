"""Weighted sums of the four pixels around a position, and all their derivatives.

Reading an image at positions anywhere is linear in the pixels and in the weights. With a cotangent
`values` of the result it is one trilinear form,

  T(pixels, weights, values) = sum over n, p, k, c of
      pixels[n, index[n, p] + offset[k], c] * weights[n, k, p] * values[n, p, c],

whose gradients, by values (reading), pixels (spreading) and weights (comparing), are each other's
transposes. So derivatives of any order are again these three. XLA's own derivative of a gather is
several times slower on CPUs: it makes arrays of the size of the images for each of the four taps,
where fresh memory costs more than the arithmetic.
"""

import dataclasses
import functools
import math

import jax
from jax import lax, numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from aa_jax.ops.linear import TrilinearForm, folding

# The channels that a CPU adds up at once, and how many such steps are written out.
_LANES = 16
_STEPS = 32


def read_taps(pixels: jax.Array, weights: jax.Array, index: jax.Array, *, width: int) -> jax.Array:
    """Sums four pixels for each position: a square of neighbours with the given weights.

    Args:
      pixels: (N, height * width, C), rows one after the other, float32 or float64.
      weights: (N, 4, P), of the upper left, upper right, lower left and lower right pixel; same
        dtype.
      index: (N, P), int32, of the upper left pixel. All four must be there: nothing is checked.
      width: pixels in a row.

    Returns:
      (N, P, C). Differentiable to any order with respect to pixels and weights, in forward and
      reverse mode.
    """
    form = FourTaps(first="p", second="w", width=width, samples=pixels.shape[1])
    # Under shard_map a replicated array meets a sharded one; the transpose of this cast sums over
    # the shards.
    arrays = pixels, weights, index
    varying = frozenset.union(*(jax.typeof(v).mat.varying for v in arrays))
    arrays = (
        lax.pcast(v, tuple(rest), to="varying")
        if (rest := varying - jax.typeof(v).mat.varying)
        else v
        for v in arrays
    )
    return _four_taps.bind(*arrays, form=form)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FourTaps(TrilinearForm):
    """The form above: p are the pixels, w the weights and v the values at the positions.

    Attributes:
      width: pixels in a row.
      samples: pixels in an image.
    """

    roles = "pwv"

    width: int
    samples: int

    @property
    def offsets(self) -> tuple[int, int, int, int]:
        """From the upper left pixel to each of the four."""
        return 0, 1, self.width, self.width + 1

    def apply(self, a, b, index):
        """The gradient of the form with respect to the third role."""
        if self.third == "w":
            pixels, values = (a, b) if self.first == "p" else (b, a)
            products = (_take(pixels, index + offset) * values for offset in self.offsets)
            return jnp.stack([product.sum(-1) for product in products], 1)
        other, weights = (b, a) if self.first == "w" else (a, b)
        weighted = [(offset, weights[:, k, :, None]) for k, offset in enumerate(self.offsets)]
        if self.third == "v":
            return sum(weight * _take(other, index + offset) for offset, weight in weighted)
        total = jnp.zeros_like(other, shape=(other.shape[0], self.samples, other.shape[-1]))
        for offset, weight in weighted:
            total = _add(total, index + offset, weight * other)
        return total

    def apply_on_cpu(self, a, b, index):
        """The same, with temporary arrays that stay in the cache."""
        if self.third == "p" and len(index) > 1:
            one_by_one = functools.partial(jax.tree.map, lambda v: v[None])
            return lax.map(lambda image: self.apply(*one_by_one(image))[0], (a, b, index))
        channels = a.shape[-1]
        lanes = math.gcd(channels, _LANES)
        if self.third != "w" or not 1 < channels // lanes <= _STEPS:
            return self.apply(a, b, index)
        pixels, values = (a, b) if self.first == "p" else (b, a)
        steps = channels // lanes
        pixels = pixels.reshape(len(pixels), -1, lanes)
        values = values.reshape(*values.shape[:-1], steps, lanes)
        sums = [
            sum(_take(pixels, first * steps + j) * values[..., j, :] for j in range(steps))
            for first in (index + offset for offset in self.offsets)
        ]
        # Stacked first: summed one by one, XLA would keep the products.
        return jnp.stack(sums, 1).sum(-1)


_four_taps = Primitive("aa_jax_four_taps")


def _implementation(a, b, index, *, form):
    return form.apply(a, b, index)


def _on_cpu(a, b, index, *, form):
    return form.apply_on_cpu(a, b, index)


_jitted = jax.jit(
    lambda a, b, index, *, form: _four_taps.bind(a, b, index, form=form), static_argnames="form"
)


@_four_taps.def_impl
def _eager(a, b, index, *, form):
    return _jitted(a, b, index, form=form)


@_four_taps.def_abstract_eval
def _abstract(a, b, index, *, form):
    structs = [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in (a, b, index)]
    return a.update(shape=jax.eval_shape(form.apply, *structs).shape, weak_type=False)


def _by_first(tangent, a, b, index, *, form):
    del a
    return _four_taps.bind(tangent, b, index, form=form)


def _by_second(tangent, a, b, index, *, form):
    del b
    return _four_taps.bind(a, tangent, index, form=form)


def _transpose(cotangent, a, b, index, *, form):
    if type(cotangent) is ad.Zero:
        return [ad.Zero(v.aval) if ad.is_undefined_primal(v) else None for v in (a, b, index)]
    if ad.is_undefined_primal(a):
        return [_four_taps.bind(cotangent, b, index, form=form.transpose_first), None, None]
    return [None, _four_taps.bind(cotangent, a, index, form=form.transpose_second), None]


ad.defjvp(_four_taps, _by_first, _by_second, None)
ad.primitive_transposes[_four_taps] = _transpose
batching.primitive_batchers[_four_taps] = folding(_four_taps)
mlir.register_lowering(_four_taps, mlir.lower_fun(_implementation, multiple_results=False))
mlir.register_lowering(_four_taps, mlir.lower_fun(_on_cpu, multiple_results=False), platform="cpu")


def _take(values, index):
    """Reads (N, samples, C) at indices (N, P), all of them valid: (N, P, C)."""
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(2,),
        collapsed_slice_dims=(1,),
        start_index_map=(1,),
        # Named as a batch, the axis may be sharded over devices.
        operand_batching_dims=(0,),
        start_indices_batching_dims=(0,),
    )
    slices = (1, 1, values.shape[-1])
    return lax.gather(values, index[..., None], numbers, slices, mode="promise_in_bounds")


def _add(total, index, values):
    """Adds values (N, P, C) to (N, samples, C) at indices (N, P), all of them valid."""
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=(2,),
        inserted_window_dims=(1,),
        scatter_dims_to_operand_dims=(1,),
        operand_batching_dims=(0,),
        scatter_indices_batching_dims=(0,),
    )
    return lax.scatter_add(total, index[..., None], values, numbers, mode="promise_in_bounds")
