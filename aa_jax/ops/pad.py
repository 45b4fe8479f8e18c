"""Padding with hand-written transposes: zero, reflect, edge and circular."""

import dataclasses
from typing import Literal, get_args

import jax
import numpy as np
from jax import lax, numpy as jnp

from aa_jax.ops.linear import apply_linear

Mode = Literal["zero", "reflect", "edge", "circular"]
MODES = get_args(Mode)


def check_mode(mode: str) -> None:
    """Raises ValueError unless `mode` names a boundary mode."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}.")


@dataclasses.dataclass(frozen=True)
class Pad:
    """Pads the spatial axes of (batch, *spatial, channels); `folded` is the transpose.

    Attributes:
      sizes: samples along each spatial axis before padding.
      amounts: (before, after) for each spatial axis, none negative.
      mode: one of reflect, edge and circular.
      folded: apply the transpose: the margins are added back to where they came from.
    """

    sizes: tuple[int, ...]
    amounts: tuple[tuple[int, int], ...]
    mode: str
    folded: bool = False

    @property
    def transpose(self) -> "Pad":
        """Padding for folding and the other way round."""
        return dataclasses.replace(self, folded=not self.folded)

    def apply(self, x):
        """Maps (batch, *spatial, channels) of the plan's sizes."""
        along = _fold_along if self.folded else _pad_along
        for a, (size, amounts) in enumerate(zip(self.sizes, self.amounts, strict=True)):
            if any(amounts):
                x = along(x, a + 1, size, amounts, self.mode)
        return x


def pad2d(x: jax.Array, padding, *, mode: Mode = "zero") -> jax.Array:
    """Pads (or, where negative, crops) an image.

    Args:
      x: array of shape (..., height, width, channels).
      padding: int, (vertical, horizontal) or (top, bottom, left, right), in samples.
      mode: "zero"; "reflect", a mirror without repeating the edge; "edge", which repeats it; or
        "circular".

    Returns:
      Array of shape (..., height + top + bottom, width + left + right, channels).

    Raises:
      ValueError: if the rank is below 3, `padding` is malformed, or an axis is too short for the
        amount (reflect needs less than its size, circular at most its size).
    """
    if x.ndim < 3:
        raise ValueError(f"x must have shape (..., height, width, channels), got {x.shape}.")
    top, bottom, left, right = as_padding(padding)
    return pad_axes(x, ((top, bottom), (left, right)), mode=mode)


def pad_axes(x: jax.Array, amounts, *, mode: Mode = "zero") -> jax.Array:
    """Pads or crops the axes in front of the last: `amounts` holds (before, after) for each."""
    check_mode(mode)
    axes = len(amounts)
    sizes = x.shape[-1 - axes : -1]
    for size, (before, after) in zip(sizes, amounts, strict=True):
        _check_amount(size, before, after, mode)
    lead = x.ndim - axes - 1
    if mode == "zero" or all(before <= 0 and after <= 0 for before, after in amounts):
        config = [(0, 0, 0)] * lead + [(b, a, 0) for b, a in amounts] + [(0, 0, 0)]
        return lax.pad(x, np.zeros((), x.dtype), config)
    grow = tuple((max(before, 0), max(after, 0)) for before, after in amounts)
    plan = Pad(sizes=tuple(sizes), amounts=grow, mode=mode)
    y = apply_linear(plan, x.reshape(-1, *x.shape[lead:]))
    y = y.reshape(*x.shape[:lead], *y.shape[1:])
    cut = tuple((min(before, 0), min(after, 0)) for before, after in amounts)
    return pad_axes(y, cut) if any(any(pair) for pair in cut) else y


def as_padding(padding) -> tuple[int, int, int, int]:
    """Returns (top, bottom, left, right) from an int, (vertical, horizontal) or all four.

    Raises:
      ValueError: for anything else.
    """
    values = (padding,) if np.ndim(padding) == 0 else tuple(padding)
    if len(values) not in (1, 2, 4) or not all(is_integer(value) for value in values):
        raise ValueError(
            "padding must be an integer, (vertical, horizontal) or (top, bottom, left, right), "
            f"all integers, got {padding!r}."
        )
    values = tuple(int(value) for value in values)
    if len(values) == 1:
        return values * 4
    if len(values) == 2:
        return (values[0], values[0], values[1], values[1])
    return values


def is_integer(value) -> bool:
    """Tells an integer from a float or a bool."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _check_amount(size: int, before: int, after: int, mode: str) -> None:
    largest = max(before, after)
    limit = {"reflect": size - 1, "circular": size}.get(mode, largest)
    if largest > limit:
        raise ValueError(
            f"padding of {largest} is too large for an axis of {size} samples in mode "
            f"{mode!r}, which allows at most {limit}; use mode='edge' or 'zero', or larger maps."
        )
    if mode == "edge" and largest > 0 and size == 0:
        raise ValueError("mode 'edge' needs at least one sample along each axis, got none.")
    if size + before + after < 0:
        raise ValueError(
            f"padding ({before}, {after}) crops more than the {size} samples of the axis."
        )


def _pad_along(x, dim, size, amounts, mode):
    before, after = amounts

    def part(start, stop):
        return lax.slice_in_dim(x, start, stop, axis=dim)

    if mode == "circular":
        pieces = [part(size - before, size), x, part(0, after)]
    elif mode == "reflect":
        head = lax.rev(part(1, before + 1), (dim,))
        tail = lax.rev(part(size - 1 - after, size - 1), (dim,))
        pieces = [head, x, tail]
    else:
        head, tail = part(0, 1), part(size - 1, size)
        pieces = [jnp.repeat(head, before, dim), x, jnp.repeat(tail, after, dim)]
    return lax.concatenate([piece for piece in pieces if piece.shape[dim]], dim)


def _fold_along(x, dim, size, amounts, mode):
    """Adds what lies in the margins to the samples that padding copied there."""
    before, after = amounts

    def part(start, stop):
        return lax.slice_in_dim(x, start, stop, axis=dim)

    head, body = part(0, before), part(before, before + size)
    tail = part(before + size, before + size + after)
    if mode == "circular":
        places = [(head, size - before), (tail, 0)]
    elif mode == "reflect":
        places = [(lax.rev(head, (dim,)), 1), (lax.rev(tail, (dim,)), size - 1 - after)]
    else:
        places = [
            (head.sum(dim, keepdims=True), 0),
            (tail.sum(dim, keepdims=True), size - 1),
        ]
    for margin, start in places:
        if margin.shape[dim]:
            index = [slice(None)] * x.ndim
            index[dim] = slice(start, start + margin.shape[dim])
            body = body.at[tuple(index)].add(margin)
    return body
