"""Multiplying both axes of images by the matrices of a reduction, without their zeros.

Rows are added up first, by whole rows of all columns and channels, which lie together in memory:
where outputs have the same taps at a fixed step, as shifted sums of every so manyth row; where not,
as products of blocks of the matrix. Columns follow, when there are few rows left: as products with
blocks whose entries are repeated for every channel, since three channels fill no vector; or, where
there are many channels, as the rows.
"""

import dataclasses
import functools

import jax
import numpy as np
from jax import lax, numpy as jnp

from aa_jax.ops.downsample.designs import Design
from aa_jax.ops.linear import apply_linear

# So many outputs of an axis are computed by one product, and at most so many products.
_BLOCK = 16
_MAX_BLOCKS = 32
# Blocks with repeated entries multiply by as many zeros for each channel.
_FEW_CHANNELS = 8


@dataclasses.dataclass(frozen=True)
class Reduction:
    """Reduces (batch, height, width, channels); see `aa_jax.ops.linear`."""

    rows: Design
    columns: Design
    transposed: bool = False

    @property
    def transpose(self) -> "Reduction":
        return dataclasses.replace(self, transposed=not self.transposed)

    def apply(self, x):
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if self.transposed:
            wide = _columns(wide, self.columns.matrix.T)
            wide = _rows_by_blocks(wide, self.rows.matrix.T)
        else:
            wide = _rows(wide, self.rows.matrix)
            wide = _columns(wide, self.columns.matrix)
        return wide.astype(x.dtype)


def reduce_axes(x: jax.Array, rows: Design, columns: Design) -> jax.Array:
    """Multiplies both axes of (batch, height, width, channels) by matrices.

    Differentiable to any order; computes in float32 or better, and returns the dtype of `x`.
    """
    return apply_linear(Reduction(rows, columns), x)


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4))
def reduce_images(images, kernel: str, factor: float, phase: str = "native", options: tuple = ()):
    """`reduce_axes` of ([batch,] height, width, channels) by the same kernel along both."""
    batch = images if images.ndim == 4 else images[None]
    designs = [Design(size, kernel, factor, phase, options) for size in batch.shape[1:3]]
    y = reduce_axes(batch, *designs)
    return y if images.ndim == 4 else y[0]


def _rows(x, matrix: np.ndarray):
    step, first, last = _same_taps(matrix)
    if last - first < max(2, len(matrix) // 2):
        return _rows_by_blocks(x, matrix)
    flat = x.reshape(*x.shape[:2], -1)
    used = np.flatnonzero(matrix[first])
    begin, reach = used[0], (last - first - 1) * step + 1
    total = None
    for column in range(begin, used[-1] + 1):
        part = lax.slice_in_dim(flat, column, column + reach, step, axis=1)
        part = part * np.asarray(matrix[first, column], x.dtype)
        total = part if total is None else total + part
    parts = [_dense_rows(flat, matrix[:first]), total, _dense_rows(flat, matrix[last:])]
    total = jnp.concatenate([part for part in parts if part is not None], 1)
    return total.reshape(x.shape[0], len(matrix), *x.shape[2:])


def _same_taps(matrix: np.ndarray) -> tuple[int, int, int]:
    """The step, and the first and the last plus one of the rows around the middle that repeat."""
    middle = len(matrix) // 2
    if len(matrix) < 3:
        return 1, middle, middle + 1
    places = [np.flatnonzero(matrix[i])[0] for i in (middle - 1, middle)]
    step = int(places[1] - places[0])
    if step < 1:
        return 1, middle, middle + 1

    def repeats(row: int) -> bool:
        shift = (row - middle) * step
        moved = np.roll(matrix[middle], shift)
        used = np.flatnonzero(matrix[middle])[[0, -1]] + shift
        inside = used[0] >= 0 and used[1] < matrix.shape[1]
        return inside and np.abs(moved - matrix[row]).max() < 1e-15

    first, last = middle, middle + 1
    while first > 0 and repeats(first - 1):
        first -= 1
    while last < len(matrix) and repeats(last):
        last += 1
    return step, first, last


def _dense_rows(flat, matrix: np.ndarray):
    """Some rows next to a border; None if there are none."""
    if not len(matrix):
        return None
    used = np.flatnonzero(matrix.any(0))
    begin, end = int(used[0]), int(used[-1]) + 1
    part = lax.slice_in_dim(flat, begin, end, axis=1)
    taps = matrix[:, begin:end].astype(flat.dtype)
    return jnp.einsum("oh,nhw->now", taps, part, precision=lax.Precision.HIGHEST)


def _rows_by_blocks(x, matrix: np.ndarray):
    flat = x.reshape(*x.shape[:2], -1)
    parts = [_dense_rows(flat, rows) for rows in _blocks(matrix)]
    return jnp.concatenate(parts, 1).reshape(x.shape[0], len(matrix), *x.shape[2:])


def _columns(x, matrix: np.ndarray):
    batch, height, width, channels = x.shape
    if channels > _FEW_CHANNELS:
        y = _rows(x.reshape(batch * height, width, 1, channels), matrix)
        return y.reshape(batch, height, -1, channels)
    flat = x.reshape(batch * height, width * channels)
    parts = []
    for rows in _blocks(matrix):
        used = np.flatnonzero(rows.any(0))
        begin, end = int(used[0]), int(used[-1]) + 1
        block = np.kron(rows[:, begin:end], np.eye(channels)).astype(x.dtype)
        part = lax.slice_in_dim(flat, begin * channels, end * channels, axis=1)
        parts.append(jnp.dot(part, block.T, precision=lax.Precision.HIGHEST))
    return jnp.concatenate(parts, 1).reshape(batch, height, len(matrix), channels)


def _blocks(matrix: np.ndarray) -> list[np.ndarray]:
    """Blocks of rows; of a matrix that grows an axis, by so many more."""
    growth = max(len(matrix) // matrix.shape[1], 1)
    step = max(_BLOCK * growth, -(-len(matrix) // _MAX_BLOCKS))
    return [matrix[start : start + step] for start in range(0, len(matrix), step)]
