"""Resizing images as Pillow does, on any device: antialiased, and bit-exact for 8-bit images.

An axis is resized by a banded matrix, cut into blocks of outputs that each read their part of the
axis only. Bytes go through the same matrices as Pillow's fixed-point weights: those are cut into
three signed digits of eight bits, so that products of floats compute them without rounding.
"""

import dataclasses
import functools

import jax
import numpy as np
from jax import lax, numpy as jnp

from aa_jax.filters.resampling import RESIZE_METHODS, resize_matrix, resize_weights
from aa_jax.ops.linear import apply_linear

PRECISION_BITS = 22  # of Pillow's fixed-point weights: 32 - 8 for the image - 2 for the sums
_DIGIT_BITS = 8
_DIGITS = 3
# Digits up to 128 times pixels up to 255: more products than these may need more than 24 bits.
_EXACT_TERMS = 512
# Outputs of an axis that are computed by one matrix product, and how many such at most.
_BLOCK = 32
_MAX_BLOCKS = 32


@dataclasses.dataclass(frozen=True)
class _Axis:
    """One axis to resize; `transposed` is the transposed map, for derivatives."""

    size_in: int
    size_out: int
    method: str
    antialias: bool
    box: tuple[float, float] | None
    transposed: bool = False

    @property
    def changes(self) -> bool:
        """Whether there is anything to do; Pillow, too, leaves other axes alone."""
        whole = self.box is None or self.box == (0, self.size_in)
        return self.size_in != self.size_out or not whole

    @property
    def nearest(self) -> np.ndarray:
        """Which sample each output is, of the method "nearest"."""
        return resize_weights(self.size_in, self.size_out, "nearest", box=self.box)[0]

    @property
    def matrix(self) -> np.ndarray:
        """(outputs, inputs), in float64."""
        matrix = resize_matrix(
            self.size_in, self.size_out, self.method, antialias=self.antialias, box=self.box
        )
        return matrix.T if self.transposed else matrix


@dataclasses.dataclass(frozen=True)
class _Resize:
    """Resizes an axis of (batch, channels, height, width); see `aa_jax.ops.linear`."""

    axis: _Axis
    dim: int

    @property
    def transpose(self) -> "_Resize":
        turned = dataclasses.replace(self.axis, transposed=not self.axis.transposed)
        return _Resize(turned, self.dim)

    def apply(self, x):
        parts = [_product(rows, x, columns, self.dim) for rows, columns in _blocks(self.axis)]
        return jnp.concatenate(parts, self.dim)


def resize(
    images: jax.Array,
    size: tuple[int, int],
    *,
    method: str = "bicubic",
    antialias: bool = True,
    box: tuple[float, float, float, float] | None = None,
) -> jax.Array:
    """Resizes images as Pillow's `Image.resize` does.

    Floats equal Pillow's mode "F" up to float32 rounding, and are differentiable to any order.
    Bytes equal Pillow's own result bit for bit: fixed-point weights, and rounding after each of
    the two passes. Their order is that of Pillow 13: height first if it shrinks by more than twice
    as many rows as columns go. (Pillow 12 and before always begin with the width; in the other
    order a few bytes come out differently.)

    Args:
      images: float or uint8 array of shape (height, width, channels) or (batch, height, width,
        channels). Floats may have any range; they are not clipped.
      size: (height, width) of the result.
      method: "nearest", "box", "bilinear", "hamming", "bicubic" or "lanczos", as in
        `aa_jax.filters.resampling.resize_weights`.
      antialias: False does not widen the kernel where an axis shrinks. Pillow always does.
      box: (left, upper, right, lower), the part of the images to resize, in pixels, which need not
        be whole; None is all of it.

    Returns:
      Array of the dtype of `images`, with another height and width.

    Raises:
      ValueError: if an argument has another shape or type, there is no such method, or the box
        reaches out of the images.

    Example:
      >>> resize(np.full((1, 64, 64, 3), 7, np.uint8), (16, 24), method="lanczos").shape
      (1, 16, 24, 3)
    """
    size, box = _check(images, size, method, box)
    images = jnp.asarray(images)
    batch = images if images.ndim == 4 else images[None]
    left, upper, right, lower = box or (None,) * 4
    vertical = _Axis(batch.shape[1], size[0], method, antialias, box and (upper, lower))
    horizontal = _Axis(batch.shape[2], size[1], method, antialias, box and (left, right))
    if method == "nearest":
        resized = batch[:, vertical.nearest][:, :, horizontal.nearest]
    else:
        resized = _resized(batch, vertical, horizontal)
    return resized if images.ndim == 4 else resized[0]


@functools.partial(jax.jit, static_argnums=(1, 2))
def _resized(images, vertical: _Axis, horizontal: _Axis):
    passes = [(horizontal, 3), (vertical, 2)]
    rows_gone = vertical.size_in - vertical.size_out
    if rows_gone > max(0, 2 * (horizontal.size_in - horizontal.size_out)):
        passes.reverse()
    x = jnp.moveaxis(images, -1, 1)  # channels apart, so that a row is contiguous in its product
    exact = images.dtype == jnp.uint8
    x = x if exact else x.astype(jnp.promote_types(x.dtype, jnp.float32))
    for axis, dim in passes:
        if axis.changes:
            x = _fixed_point(x, axis, dim) if exact else apply_linear(_Resize(axis, dim), x)
    return jnp.moveaxis(x, 1, -1).astype(images.dtype)


def _blocks(axis: _Axis):
    """Pairs of rows of the matrix, without the columns that are zero there, and those columns."""
    matrix = axis.matrix
    step = max(_BLOCK, -(-len(matrix) // _MAX_BLOCKS))
    for start in range(0, len(matrix), step):
        rows = matrix[start : start + step]
        used = np.flatnonzero(rows.any(0))
        first, last = (used[0], used[-1]) if used.size else (0, 0)
        yield rows[:, first : last + 1], slice(int(first), int(last) + 1)


def _product(rows: np.ndarray, x, columns: slice, dim: int):
    """Multiplies a matrix and some columns of an axis of a (batch, channels, height, width)."""
    part = lax.slice_in_dim(x, columns.start, columns.stop, axis=dim)
    form = "nchw,ow->ncho" if dim == 3 else "nchw,oh->ncow"
    return jnp.einsum(form, part, rows.astype(x.dtype), precision=lax.Precision.HIGHEST)


def _fixed_point(x, axis: _Axis, dim: int):
    """A pass over bytes with Pillow's integer weights; rounds and clips."""
    parts = []
    for rows, columns in _blocks(axis):
        # Rounded half away from zero.
        weights = np.trunc(rows * 2.0**PRECISION_BITS + np.copysign(0.5, rows)).astype(np.int64)
        total = jnp.int32(1 << (PRECISION_BITS - 1))
        for begin in range(0, rows.shape[1], _EXACT_TERMS):
            chunk = weights[:, begin : begin + _EXACT_TERMS]
            stop = columns.start + begin + chunk.shape[1]
            source = slice(columns.start + begin, stop)
            total = total + _integer_product(chunk, x, source, dim)
        clipped = jnp.clip(lax.shift_right_arithmetic(total, PRECISION_BITS), 0, 255)
        parts.append(clipped.astype(jnp.uint8))
    return jnp.concatenate(parts, dim)


def _integer_product(weights: np.ndarray, x, columns: slice, dim: int):
    """The int32 product of integer weights and bytes, by exact products of floats."""
    half, base = 1 << (_DIGIT_BITS - 1), 1 << _DIGIT_BITS
    digits = []
    for _ in range(_DIGITS - 1):
        digit = (weights + half) % base - half
        digits.append(digit)
        weights = (weights - digit) // base
    digits.append(weights)
    stacked = np.concatenate(digits).astype(np.float32)
    sums = _product(stacked, x.astype(jnp.float32), columns, dim).astype(jnp.int32)
    return sum(
        digit << (_DIGIT_BITS * place)
        for place, digit in enumerate(jnp.split(sums, _DIGITS, axis=dim))
    )


def _check(images, size, method: str, box):
    shape, dtype = np.shape(images), jnp.result_type(images)
    floating = jnp.issubdtype(dtype, jnp.floating)
    if len(shape) not in (3, 4) or 0 in shape or not (floating or dtype == jnp.uint8):
        raise ValueError(
            "images must be floats or uint8 of shape ([batch,] height, width, channels), got "
            f"{dtype} of shape {shape}."
        )
    if np.shape(size) != (2,) or any(int(s) != s or s < 1 for s in size):
        raise ValueError(f"size must be two positive integers (height, width), got {size!r}.")
    if method not in RESIZE_METHODS:
        raise ValueError(f"method must be one of {', '.join(RESIZE_METHODS)}, got {method!r}.")
    if box is not None:
        height, width = shape[-3:-1]
        left, upper, right, lower = box = tuple(float(b) for b in box)
        if not (0 <= left < right <= width and 0 <= upper < lower <= height):
            raise ValueError(
                f"box must be (left, upper, right, lower) within the {width} x {height} pixels of "
                f"images, got {box}."
            )
    return (int(size[0]), int(size[1])), box
