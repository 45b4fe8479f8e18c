"""The sums on NVIDIA GPUs from Hopper on: two Pallas Mosaic GPU kernels, without atomics.

What points say is gathered beforehand into a table (columns, entries) in the order of `Bins`, so
that what a cell needs is contiguous, and comes by the copy engine into shared memory.

- `peak` and `evaluate`: a program per block of positions. Each of its four warps takes every fourth
  entry of the cell; a thread holds two positions, and sums in registers. There are as many steps as
  the cell's entries need; the warps' results are added up in the end.
- `moments`: a program takes 16 entries of a cell, and sums over the positions of all blocks of the
  cell, eight at once, one pair to a thread; then each entry has its results, which plain JAX adds
  up by point. Where there are more programs than chunks of 16 entries, several share a chunk's
  blocks; in particular where there is one cell only.

Where the list of entries was too short, all cells hold all points (`Bins`), in the same order: then
`moments` takes them as one cell. So the number of programs, which is static, always suffices.

Everything is float32, with the accurate exponential function.

**Cost**, counted in the compiled programs, not timed. The case: 768 x 512 pixels, 10 000 points
that reach 7.5 pixels, so 7.6 cells each and 12 to a cell; three channels. `evaluate` takes 32
instructions of a thread for each of 5.4 million pairs, 9 of them the exponential function and 5
loads, and 250 instructions of each warp before and after: 12 us on an H100 that issues one in each
cycle, 6 us for 19 MB. Sorting points into cells, in plain JAX, takes several times as long.
`scripts/kernels/gpu_splat.py` prints registers and shared memory.
"""

from collections.abc import Sequence

import jax
from jax import numpy as jnp

from aa_jax.ops.splat.bins import Bins
from aa_jax.ops.splat.layout import Layout
from aa_jax.ops.splat.terms import Term
from aa_jax.ops.splat.window import Window

# Sums of one thread in registers, and statements that are written out.
_MOST_TERMS = 30
# Programs that keep a GPU busy, if there is one cell only.
_MANY_PROGRAMS = 2048


def unsupported(dtype, terms: Sequence[Term] = ()) -> str | None:
    """Says why the kernels can't compute sums, in one sentence, or None if they can."""
    if jnp.dtype(dtype) != jnp.float32:
        return f"the GPU kernels take float32, not {jnp.dtype(dtype).name}"
    if len(terms) > _MOST_TERMS:
        return f"the GPU kernels sum up to {_MOST_TERMS} terms at once, not {len(terms)}"
    return None


def peak(
    geometry, centres, layout: Layout, bins: Bins, *, window: Window, interpret: bool = False
) -> jax.Array:
    """As `xla.peak`; `interpret` runs it in Pallas' GPU interpreter, on any platform."""
    (result,) = _at_positions(geometry, centres, layout, bins, (), None, window, interpret)
    return jnp.where((result > -jnp.inf) & layout.used, result, jnp.inf)


def evaluate(
    geometry,
    centres,
    coefficients,
    shift,
    layout: Layout,
    bins: Bins,
    *,
    terms: tuple[Term, ...],
    window: Window,
    interpret: bool = False,
) -> jax.Array:
    """As `xla.evaluate`; `interpret` runs it in Pallas' GPU interpreter, on any platform."""
    beside = (coefficients, shift)
    return _at_positions(geometry, centres, layout, bins, beside, terms, window, interpret)


def _at_positions(geometry, centres, layout: Layout, bins: Bins, beside, terms, window, interpret):
    # Imported here and below: slow, and not there on every platform.
    from aa_jax.ops.splat.pallas_gpu_kernel import CHUNK, AtPositions

    table = _table(geometry, centres, window, *beside[:1])
    body = AtPositions(window, terms, len(table), interpret)
    blocks = len(layout.cells)
    count = jnp.where(layout.used.any(1), bins.count[layout.cells], 0)
    return _launch(
        body,
        blocks,
        (body.channels, *layout.used.shape),
        _entries(table, bins, CHUNK),
        _in_lines(bins.start[layout.cells], count),
        layout.positions,
        *beside[1:],
    )


def moments(
    geometry,
    centres,
    cotangent,
    shift,
    layout: Layout,
    bins: Bins,
    *,
    terms: tuple[Term, ...],
    window: Window,
    interpret: bool = False,
) -> jax.Array:
    """As `xla.moments`; `interpret` runs it in Pallas' GPU interpreter, on any platform.

    Blocks of a cell must be neighbours, and those not used the last.
    """
    from aa_jax.ops.splat.pallas_gpu_kernel import ENTRIES_OF_PROGRAM, AtEntries

    points = geometry.shape[1]
    start, count, first, number = _programs(layout, bins, ENTRIES_OF_PROGRAM)
    table = _table(geometry, centres, window)
    body = AtEntries(window, terms, len(table), interpret)
    results = _launch(
        body,
        len(start),
        (body.rows, len(start) * ENTRIES_OF_PROGRAM),
        _entries(table, bins, ENTRIES_OF_PROGRAM),
        _in_lines(start, first, number, jnp.zeros_like(start)),
        layout.positions,
        shift,
        cotangent,
    )
    rank = jnp.arange(ENTRIES_OF_PROGRAM, dtype=jnp.int32)
    entry = jnp.minimum(start[:, None] + rank, len(bins.points) - 1)
    there = (rank < count[:, None]) & (number > 0)[:, None]
    # Beyond a cell's last entry there are results too, of others: the last row drops them.
    point = jnp.where(there, bins.points[entry], points).ravel()
    sums = jnp.zeros((points + 1, len(terms)), geometry.dtype)
    sums = sums.at[point].add(results[: len(terms)].T)
    return sums[:points].T


def _programs(layout: Layout, bins: Bins, at_once: int):
    """Which entries, of which blocks, each program of `moments` takes.

    Returns:
      (programs,) int32 each: its first entry, how many there are, the first block, and how many.
    """
    cells, blocks, capacity = len(bins.count), len(layout.cells), len(bins.points)
    number = -(-capacity // at_once) + cells
    if cells == 1:
        number = max(number, min(number * blocks, _MANY_PROGRAMS))
    # Where every cell has all points, one serves for all blocks; else cells follow each other.
    all_points = (bins.start[-1] == 0) & (bins.count[0] > 0)
    cell = jnp.arange(cells, dtype=jnp.int32)
    count = jnp.where(all_points & (cell > 0), 0, bins.count)
    mine = jnp.where(layout.used.any(1), jnp.where(all_points, 0, layout.cells), cells)
    edges = _places(mine, jnp.arange(cells + 1, dtype=jnp.int32), side="left")
    of_cell = edges[1:] - edges[:-1]
    chunks = jnp.where(of_cell > 0, -(-count // at_once), 0)
    last = jnp.cumsum(chunks, dtype=jnp.int32)
    program = jnp.arange(number, dtype=jnp.int32)
    total = jnp.maximum(last[-1], 1)
    shares, share = number // total, program // total
    chunk = program % total
    cell = jnp.minimum(_places(last, chunk, side="right"), cells - 1)
    rank = (chunk - (last - chunks)[cell]) * at_once
    each = -(-of_cell[cell] // shares)
    first = jnp.minimum(share * each, of_cell[cell])
    some = jnp.minimum(of_cell[cell] - first, each)
    some = jnp.where((share < shares) & (chunk < last[-1]), some, 0)
    left = jnp.clip(count[cell] - rank, 0, at_once)
    return jnp.where(some > 0, bins.start[cell] + rank, 0), left, edges[cell] + first, some


def _places(rising, values, *, side: str) -> jax.Array:
    # Written out it is one kernel, otherwise a loop of them.
    places = jnp.searchsorted(rising, values, side=side, method="scan_unrolled")
    return places.astype(jnp.int32)


def _table(geometry, centres, window: Window, *coefficients) -> jax.Array:
    """(columns, points): what `columns_before_coefficients` counts, then coefficients."""
    rows = [geometry, *([centres] if window.kind == "square" else []), *coefficients]
    return jnp.concatenate(rows)


def _entries(table, bins: Bins, at_once: int) -> jax.Array:
    """(columns, entries), with room for reading `at_once` from any entry on."""
    # The copy engine wants rows of whole 16 bytes.
    padding = at_once + -len(bins.points) % 4
    return table[:, jnp.pad(bins.points, (0, padding))]


def _in_lines(*numbers) -> jax.Array:
    """(programs,) each -> one array of all, program after program, in whole copies."""
    from aa_jax.ops.splat.pallas_gpu_kernel import NUMBERS

    flat = jnp.stack(numbers, 1).ravel()
    return jnp.pad(flat, (0, -len(flat) % NUMBERS))


def _launch(body, programs: int, shape: tuple[int, ...], *operands) -> jax.Array:
    from jax.experimental.pallas import mosaic_gpu as plgpu

    from aa_jax.ops.splat.pallas_gpu_kernel import GRID, REDUCTION

    return plgpu.kernel(
        body,
        out_type=jax.ShapeDtypeStruct(shape, jnp.float32),
        grid=(programs,),
        grid_names=GRID,
        scratch_types=body.scratch(),
        compiler_params=plgpu.CompilerParams(
            # The bodies say where they need barriers.
            unsafe_no_auto_barriers=True,
            lowering_semantics=plgpu.LoweringSemantics.Lane,
            reduction_scratch_bytes=REDUCTION,
        ),
        interpret=_interpreter() if body.interpret else None,
    )(*operands)


def _interpreter():
    from jax.experimental.pallas import mosaic_gpu as plgpu

    if hasattr(plgpu, "InterpretGPUParams"):
        return plgpu.InterpretGPUParams()
    # Not public before jax 0.11.
    from jax._src.pallas.mosaic_gpu.interpret.params import InterpretGPUParams

    return InterpretGPUParams()
