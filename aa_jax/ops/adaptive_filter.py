"""Content-adaptive low-pass filtering: a filter of its own for every pixel and channel group.

Zou et al., "Delving Deeper into Anti-aliasing in ConvNets" (BMVC 2020), section 3. Filters and
outputs are computed at the positions that survive the stride only; no unfolded copy of the input
is made.
"""

import dataclasses
from typing import Literal

import jax
from jax import numpy as jnp

from aa_jax.ops.linear import TrilinearForm, apply_bilinear
from aa_jax.ops.pad import Mode, check_mode, pad2d

Normalization = Literal["joint", "per_group"]


def normalize_filters(
    logits: jax.Array, *, groups: int, normalization: Normalization = "joint"
) -> jax.Array:
    """Turns predicted logits into positive filter taps.

    Args:
      logits: array of shape (..., groups * taps); channel `g * taps + t` is tap t of group g.
      groups: number of channel groups.
      normalization: "joint" makes the taps of all groups together sum to 1 (as published: the
        average gain of a group is 1 / groups), "per_group" those of each group.

    Returns:
      Array of the shape and dtype of `logits`; the softmax is taken in float32 or better.

    Raises:
      ValueError: if the last axis is not divisible by `groups`, or `normalization` is unknown.
    """
    channels = logits.shape[-1]
    if groups < 1 or channels % groups:
        raise ValueError(
            f"logits must have a multiple of groups={groups} channels, got shape {logits.shape}."
        )
    wide = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    if normalization == "joint":
        filters = jax.nn.softmax(wide, axis=-1)
    elif normalization == "per_group":
        grouped = wide.reshape(*logits.shape[:-1], groups, channels // groups)
        filters = jax.nn.softmax(grouped, axis=-1).reshape(logits.shape)
    else:
        raise ValueError(f"normalization must be 'joint' or 'per_group', got {normalization!r}.")
    return filters.astype(logits.dtype)


def adaptive_filter(
    x: jax.Array, filters: jax.Array, *, size: int, stride: int = 1, mode: Mode = "reflect"
) -> jax.Array:
    """Filters every pixel and channel group with taps of its own, at the kept positions.

    `y[n, i, j, c] = sum over u, v of pad(x)[n, i * stride + u, j * stride + v, c] *
    filters[n, i, j, g(c) * size**2 + u * size + v]` with contiguous channel groups g.

    Differentiable with respect to both arrays, to any order.

    Args:
      x: array of shape (batch, height, width, channels), floating.
      filters: array of shape (batch, out_height, out_width, groups * size**2) with
        `out = ceil(size_in / stride)`; cast to the dtype of `x`.
      size: side of the square filters, odd.
      stride: subsampling factor of both axes.
      mode: what lies outside of `x`: "reflect", "edge", "zero" or "circular".

    Returns:
      Array of shape (batch, out_height, out_width, channels), dtype of `x`.

    Raises:
      ValueError: if the shapes don't fit together, or `size` is even.
    """
    check_mode(mode)
    groups = _check(x, filters, size, stride)
    half = size // 2
    padded = pad2d(x, half, mode=mode)
    form = AdaptiveFilter(padded.shape[1:3], groups=groups, size=size, stride=stride)
    return apply_bilinear(form, padded, filters.astype(x.dtype))


def _check(x, filters, size: int, stride: int) -> int:
    if x.ndim != 4:
        raise ValueError(f"x must have shape (batch, height, width, channels), got {x.shape}.")
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size must be a positive odd integer, got {size!r}.")
    if stride < 1:
        raise ValueError(f"stride must be a positive integer, got {stride!r}.")
    batch, height, width, channels = x.shape
    kept = (batch, -(-height // stride), -(-width // stride))
    if filters.ndim != 4 or filters.shape[:3] != kept or filters.shape[3] % size**2:
        raise ValueError(
            f"filters must have shape {kept} + (groups * {size**2},) for x of shape {x.shape}, "
            f"size={size} and stride={stride}, got {filters.shape}."
        )
    groups = filters.shape[3] // size**2
    if groups < 1 or channels % groups:
        raise ValueError(
            f"groups must divide the channels: filters {filters.shape} hold {groups} groups of "
            f"{size**2} taps, and x has {channels} channels."
        )
    return groups


@dataclasses.dataclass(frozen=True)
class AdaptiveFilter(TrilinearForm):
    """The trilinear form sum(y * filtered(x, w)) of padded input, filters and output.

    `first` and `second` name two of "x", "w" and "y"; `apply` takes those two and returns the
    form's gradient with respect to the third. For (x, w) that is the filtered image.
    """

    padded_size: tuple[int, int]
    groups: int
    size: int
    stride: int
    first: str = dataclasses.field(default="x", kw_only=True)
    second: str = dataclasses.field(default="w", kw_only=True)

    roles = "xwy"
    shares_batch = True

    def apply(self, a, b):
        """Computes the third from the first and the second; in float32 or better."""
        dtype = jnp.promote_types(a.dtype, jnp.float32)
        given = {self.first: a.astype(dtype), self.second: b.astype(dtype)}
        if self.third == "y":
            result = self._filtered(given["x"], given["w"])
        elif self.third == "x":
            result = self._spread(given["y"], given["w"])
        else:
            result = self._correlated(given["y"], given["x"])
        return result.astype(a.dtype)

    def _grouped(self, x):
        return x.reshape(*x.shape[:3], self.groups, x.shape[3] // self.groups)

    def _taps(self):
        return [(u, v) for u in range(self.size) for v in range(self.size)]

    def _window(self, x, u: int, v: int, kept: tuple[int, int]):
        """The samples of `x` that tap (u, v) reads."""
        s = self.stride
        rows = slice(u, u + (kept[0] - 1) * s + 1, s)
        return x[:, rows, v : v + (kept[1] - 1) * s + 1 : s]

    def _filtered(self, x, w):
        x, kept = self._grouped(x), w.shape[1:3]
        w = w.reshape(*w.shape[:3], self.groups, self.size**2)
        parts = [
            self._window(x, u, v, kept) * w[..., t, None] for t, (u, v) in enumerate(self._taps())
        ]
        y = sum(parts[1:], parts[0])
        return y.reshape(*y.shape[:3], -1)

    def _correlated(self, y, x):
        x, y = self._grouped(x), self._grouped(y)
        w = [(self._window(x, u, v, y.shape[1:3]) * y).sum(-1) for u, v in self._taps()]
        return jnp.stack(w, -1).reshape(*y.shape[:3], -1)

    def _spread(self, y, w):
        """Each phase of the padded input collects the taps that read it."""
        s, (height, width) = self.stride, self.padded_size
        reach = (self.size - 1) // s
        rows, columns = -(-height // s), -(-width // s)
        margins = [
            (0, 0),
            (reach, max(rows - y.shape[1], 0)),
            (reach, max(columns - y.shape[2], 0)),
            (0, 0),
            (0, 0),
        ]
        w = w.reshape(*w.shape[:3], self.groups, self.size**2)
        y, w = jnp.pad(self._grouped(y), margins), jnp.pad(w, margins)

        def phase(a, b):
            total = jnp.zeros((y.shape[0], rows, columns, *y.shape[3:]), y.dtype)
            for t, (u, v) in enumerate(self._taps()):
                if u % s == a and v % s == b:
                    i, j = reach - u // s, reach - v // s
                    window = (slice(None), slice(i, i + rows), slice(j, j + columns))
                    total = total + y[window] * w[window][..., t, None]
            return total.reshape(*total.shape[:3], -1)

        grid = jnp.stack([jnp.stack([phase(a, b) for b in range(s)], 3) for a in range(s)], 2)
        x = grid.reshape(grid.shape[0], rows * s, columns * s, grid.shape[-1])
        return x[:, :height, :width]
