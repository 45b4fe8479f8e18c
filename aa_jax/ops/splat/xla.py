"""The sums in plain JAX: the specification, and what runs on CPU.

Points come to positions through a list of who reaches which cell (`bins`). The loops are of dynamic
length, over blocks sorted by their number of points, so that hardly a weight is computed in vain;
their derivatives are sums of the same kind (`terms`), never those of a loop.
"""

import functools
from collections.abc import Sequence

import jax
from jax import lax, numpy as jnp

from aa_jax.ops.splat.bins import Bins
from aa_jax.ops.splat.layout import LANES, Layout
from aa_jax.ops.splat.terms import LOG_WEIGHT, XX, XY, YY, Term, X, Y
from aa_jax.ops.splat.window import Window

# Measured on CPU: small enough for a core's cache, large enough to keep loops short.
_BLOCKS_AT_ONCE = 128
_POINTS_AT_ONCE = 8
_CHUNKS_AT_ONCE = 32
_CHUNK = 16
_FEW_TERMS = 30
# Sums of products of both signs: accelerators must not round their factors.
_EXACT = lax.Precision.HIGHEST


def peak(geometry, centres, layout: Layout, bins: Bins, *, window: Window) -> jax.Array:
    """Greatest log weight at every position, plus infinity where no point reaches.

    Args:
      geometry: (6, points), rows as named in `terms`.
      centres: (2, points), what a square window is centred on.
      layout: the positions.
      bins: which points reach them.
      window: how far.

    Returns:
      (blocks, LANES), to be subtracted from log weights.
    """
    table = _table(geometry, centres)

    def add(result, x, y, rows):
        log_weight = _log_weight(_offset(x, y, rows), rows, x, y, window)
        return [functools.reduce(jnp.maximum, log_weight, result[0])]

    least = jnp.full(layout.used.shape, -jnp.inf, geometry.dtype)
    (result,) = _over_blocks(add, table, layout, bins, [least])
    return jnp.where((result > -jnp.inf) & layout.used, result, jnp.inf)


def evaluate(
    geometry, centres, coefficients, shift, layout: Layout, bins: Bins, *, terms, window: Window
) -> jax.Array:
    """Sums of terms at every position.

    Args:
      geometry: (6, points).
      centres: (2, points).
      coefficients: (terms, points).
      shift: (blocks, LANES), subtracted from log weights; plus infinity gives zero.
      layout: the positions.
      bins: which points reach them.
      terms: what is summed.
      window: how far points reach.

    Returns:
      (channels, blocks, LANES).
    """
    table = _table(geometry, centres, coefficients)
    channels = 1 + max(channel for *_, channel in terms)
    groups = _grouped(terms)
    # Written out, many terms take minutes to compile; as matrix products, some time to run.
    few = len(terms) <= _FEW_TERMS

    def add(result, x, y, rows, shift):
        dx, dy, r = offset = _offset(x, y, rows)
        exponential = _exponential(offset, rows, x, y, shift, window)
        factors = rows[_SHAPE:]
        sums = [0.0] * channels
        for (n, a, b), members in groups.items():
            weight = _times_powers(window.profile(n, r, exponential), dx, dy, a, b)
            if few:
                products = [_added(factors[t] * weight) for t in members]
            else:
                some = jnp.concatenate([factors[t] for t in members], -1)
                products = jnp.einsum("kbp,kbc->cbp", weight, some, precision=_EXACT)
            for t, product in zip(members, products, strict=True):
                sums[terms[t][3]] += product
        return [old + new for old, new in zip(result, sums, strict=True)]

    nothing = [jnp.zeros(shift.shape, geometry.dtype)] * channels
    at_once = _POINTS_AT_ONCE if few else _CHUNK
    return jnp.stack(_over_blocks(add, table, layout, bins, nothing, shift, points_at_once=at_once))


def moments(
    geometry, centres, cotangent, shift, layout: Layout, bins: Bins, *, terms, window: Window
) -> jax.Array:
    """The transpose of `evaluate` in its coefficients: sums over positions, for every point.

    Args:
      cotangent: (channels, blocks, LANES).
      geometry, centres, shift, layout, bins, terms, window: as of `evaluate`.

    Returns:
      (terms, points).
    """
    table = _table(geometry, centres)
    points = geometry.shape[1]
    start, count = _ranges(layout, bins)
    chunks = -(-count // _CHUNK)
    first = jnp.cumsum(chunks, dtype=jnp.int32)
    number = first[-1]
    signal = jnp.moveaxis(cotangent, 0, -1)  # (blocks, LANES, channels)
    groups = _grouped(terms)

    def add_chunks(i, sums):
        chunk = i * _CHUNKS_AT_ONCE + jnp.arange(_CHUNKS_AT_ONCE, dtype=jnp.int32)
        block = jnp.searchsorted(first, chunk, side="right").astype(jnp.int32)
        block = jnp.minimum(block, len(first) - 1)
        rank = (chunk - (first - chunks)[block])[:, None] * _CHUNK
        rank = rank + jnp.arange(_CHUNK, dtype=jnp.int32)
        there = (rank < count[block][:, None]) & (chunk < number)[:, None]
        entry = jnp.where(there, start[block][:, None] + rank, 0)
        point = jnp.where(there, bins.points[entry], points)
        rows = _columns(table[point])  # each (chunks, _CHUNK, 1)
        x, y = layout.positions[:, block][:, :, None]
        dx, dy, r = offset = _offset(x, y, rows)
        exponential = _exponential(offset, rows, x, y, shift[block][:, None], window)
        values = [None] * len(terms)
        for (n, a, b), members in groups.items():
            weight = _times_powers(window.profile(n, r, exponential), dx, dy, a, b)
            some = signal[block][..., _consecutive([terms[t][3] for t in members])]
            product = jnp.einsum("kip,kpc->kic", weight, some, precision=_EXACT)
            for place, t in enumerate(members):
                values[t] = product[..., place]
        return sums.at[point.ravel()].add(jnp.stack(values, -1).reshape(-1, len(terms)))

    nothing = jnp.zeros((points + 1, len(terms)), geometry.dtype)
    rounds = -(-number // _CHUNKS_AT_ONCE)
    return lax.fori_loop(0, rounds, add_chunks, nothing)[:points].T


def _grouped(terms: Sequence[Term]) -> dict:
    """Indices of the terms that share a weight, by (n, a, b), in the order of their channels."""
    groups = {}
    for index, (n, a, b, _) in enumerate(terms):
        groups.setdefault((n, a, b), []).append(index)
    return {key: sorted(members, key=lambda t: terms[t][3]) for key, members in groups.items()}


def _consecutive(channels: list[int]):
    """A slice if it can be one: gathers along the last axis are slow."""
    first, last = channels[0], channels[-1]
    whole = channels == list(range(first, last + 1))
    return slice(first, last + 1) if whole else jnp.asarray(channels)


_SHAPE = 8  # rows of a table before the coefficients: the geometry and the centre


def _table(geometry, centres, coefficients=None) -> jax.Array:
    """One row per point, and one more for no point, of zero weight."""
    rows = [geometry, centres] + ([] if coefficients is None else [coefficients])
    table = jnp.concatenate(rows).T
    nobody = jnp.zeros((1, table.shape[1]), table.dtype).at[0, LOG_WEIGHT].set(-jnp.inf)
    return jnp.concatenate([table, nobody])


def _columns(rows: jax.Array) -> list:
    """Rows (..., columns) of a table -> its columns, each (..., 1), against lanes."""
    return [rows[..., c, None] for c in range(rows.shape[-1])]


def _ranges(layout: Layout, bins: Bins):
    """Where each block's points are listed, and how many there are."""
    count = jnp.where(layout.used.any(1), bins.count[layout.cells], 0)
    return bins.start[layout.cells], count


def _over_blocks(
    add, table, layout: Layout, bins: Bins, initial: list, *beside, points_at_once=_POINTS_AT_ONCE
):
    """Folds `add` over the points of every block; arrays (blocks, LANES) in and out.

    Args:
      add: of the result so far, x and y of some blocks, columns of a few of their points, and the
        same blocks of `beside`; returns the new result.
      table: of the points.
      layout: the positions.
      bins: which points reach them.
      initial: the result before any point.
      *beside: what else `add` needs.
      points_at_once: how many points of every block `add` gets.
    """
    start, count = _ranges(layout, bins)
    at_once = min(_BLOCKS_AT_ONCE, len(count))
    slabs = -(-len(count) // at_once)
    # Blocks of a slab take as many steps as their fullest.
    order = jnp.argsort(count)
    padded = jnp.concatenate([jnp.full(slabs * at_once - len(count), order[0]), order])
    nobody = len(table) - 1

    def slab(blocks):
        x, y = layout.positions[:, blocks]
        others = [array[blocks] for array in beside]
        first, number = start[blocks], count[blocks]

        def step(i, result):
            rank = i * points_at_once + jnp.arange(points_at_once, dtype=jnp.int32)[:, None]
            there = rank < number
            point = bins.points[jnp.where(there, first + rank, 0)]
            rows = _columns(table[jnp.where(there, point, nobody)])
            return add(result, x, y, rows, *others)

        steps = -(-number.max() // points_at_once)
        return lax.fori_loop(0, steps, step, [array[blocks] for array in initial])

    results = lax.map(slab, padded.reshape(slabs, at_once))
    place = jnp.zeros(len(count), jnp.int32).at[order].set(jnp.arange(len(count), dtype=jnp.int32))
    place = place + (slabs * at_once - len(count))
    return [result.reshape(-1, LANES)[place] for result in results]


def _offset(x, y, rows):
    dx, dy = x - rows[X], y - rows[Y]
    r = rows[XX] * dx * dx + 2 * rows[XY] * dx * dy + rows[YY] * dy * dy
    return dx, dy, r


def _inside(r, rows, x, y, window: Window):
    if window.kind == "square":
        apart = jnp.maximum(jnp.abs(x - rows[6]), jnp.abs(y - rows[7]))
        return apart <= window.radius
    return r <= window.radius**2


def _log_weight(offset, rows, x, y, window: Window):
    log_weight = rows[LOG_WEIGHT] + window.log_profile(offset[2])
    if window.kind == "square":
        return jnp.where(_inside(offset[2], rows, x, y, window), log_weight, -jnp.inf)
    return log_weight


def _exponential(offset, rows, x, y, shift, window: Window):
    """exp(l - r/2 - shift), zero outside of the window."""
    exponent = rows[LOG_WEIGHT] - 0.5 * offset[2] - shift
    # A shift is the greatest of these, but where they are huge not to the last digit.
    exponential = jnp.exp(jnp.minimum(exponent, window.greatest_exponent))
    return jnp.where(_inside(offset[2], rows, x, y, window), exponential, 0)


def _added(products):
    """Sum over the first axis, written out: XLA on CPU vectorises it better than a reduction."""
    return functools.reduce(jnp.add, products)


def _times_powers(product, dx, dy, a: int, b: int):
    for _ in range(a):
        product = product * dx
    for _ in range(b):
        product = product * dy
    return product
