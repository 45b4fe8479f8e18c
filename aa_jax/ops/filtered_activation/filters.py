"""The filters of a filtered activation: static, or learned arrays."""

import functools

import jax
from jax import numpy as jnp

from aa_jax.ops.linear import apply_linear
from aa_jax.ops.resample.geometry import Axis, Resample, output_size
from aa_jax.ops.resample.terms import Taps, separated


class Filter:
    """One of the two filters, with the resampling operators it makes.

    Attributes:
      learned: whether its taps are JAX arrays, so that they have a gradient.
    """

    def __init__(self, name: str, taps: Taps, *, gain: float, flip: bool, dtype):
        """Reads a filter in any form that `upfirdn2d` takes.

        Args:
          name: argument that it came as.
          taps: host arrays, or JAX arrays (taps,) for a separable filter or a pair of them.
          gain: factor of the whole filter.
          flip: reverse the taps.
          dtype: of the signal.

        Raises:
          ValueError: if `taps` is malformed.
        """
        self._name = name
        pair = taps if isinstance(taps, tuple) else (taps, taps)
        self.learned = any(isinstance(part, jax.Array) for part in pair)
        if self.learned:
            if len(pair) != 2:
                raise ValueError(f"{name} as a tuple must hold 2 filters, got {len(pair)}.")
            if any(jnp.size(part) == 0 for part in pair):
                raise ValueError(f"{name} must not be empty.")
            if any(jnp.ndim(part) != 1 for part in pair):
                raise ValueError(
                    f"{name} as a JAX array must be separable, (taps,) or a pair of them, got "
                    f"shapes {[jnp.shape(part) for part in pair]}; a full filter must be a host "
                    "array."
                )
            vertical, horizontal = (jnp.asarray(part)[:: -1 if flip else 1] for part in pair)
            self._taps = (vertical * gain, horizontal)
            self._lengths = (vertical.size, horizontal.size)
        else:
            self._terms = separated(taps, 2, gain=float(gain), dtype=dtype, flip=flip, name=name)
            self._lengths = tuple(len(row) for row in self._terms[0])

    def axes(self, sizes, *, up, down, padding) -> list[Axis]:
        """Geometry per axis.

        Raises:
          ValueError: if the filter is longer than the padded signal.
        """
        result = []
        for a, (size, length) in enumerate(zip(sizes, self._lengths, strict=True)):
            out = output_size(size, up[a], down[a], padding[a], length)
            if out < 1:
                raise ValueError(
                    f"{self._name} must not be longer than the signal: axis {a - 3} has "
                    f"{size * up[a] + sum(padding[a])} samples there (x has {size}, up={up[a]}, "
                    f"padding {padding[a]}), and the filter has {length} taps."
                )
            result.append(Axis(size, out, up[a], down[a], padding[a][0], length))
        return result

    def plan(self, axes: list[Axis]) -> Resample:
        """The operator as a static plan; of a filter that is not learned."""
        return Resample(axes=tuple(axes), terms=self._terms)

    def operator(self, axes: list[Axis]):
        """The operator as a function of a signal (N, height, width, C)."""
        if self.learned:
            return functools.partial(_learned, axes=axes, taps=self._taps)
        return functools.partial(apply_linear, self.plan(axes))


def _learned(x, *, axes: list[Axis], taps):
    """A sum over taps of shifted signals: linear in both, so that either has its gradient."""
    for a in range(2):
        done = [Axis(size, size, 1, 1, 0, 1) for size in x.shape[1:3]]
        total = 0.0
        for k in range(axes[a].taps):
            done[a] = Axis(
                axes[a].size_in, axes[a].size_out, axes[a].up, axes[a].down, axes[a].offset - k, 1
            )
            shifted = apply_linear(Resample(tuple(done), (((1.0,), (1.0,)),)), x)
            total = total + taps[a][k].astype(x.dtype) * shifted
        x = total
    return x
