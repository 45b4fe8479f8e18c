"""The filtered activation on NVIDIA GPUs from Hopper on: one Pallas Mosaic GPU kernel.

A block of 128 threads owns 16 or 32 channels and a strip of columns, and walks down the rows. Only
the input, the output and the codes touch global memory; the temporary grid never does. A step
makes `rows.temporary` rows of it (four for the usual factors: one byte of codes):

1. The copy engine brings the next input rows into a ring in shared memory, one step ahead, with
   zeros outside of the image.
2. Vertical up filter, ring to `tall`, a group of rows at a time: they share most of what they read.
3. For each row: horizontal up filter, activation and codes in registers, into `wide`;
4. horizontal down filter, out of `wide`, added at once, times the vertical taps, to the partial
   output rows, which stay in registers from step to step. Within a segment no row is
   computed twice.
5. The completed rows, and the bytes of codes, leave through shared memory and the copy engine.

Columns lie by class (`pallas_gpu_pattern.Columns`): those with equal taps are neighbours, so each
tap is a constant of the program, each sum one of shifted arrays, and one load serves all outputs
that read it. All arithmetic is float32, for every dtype, so taps keep all their digits.
Filters of several terms repeat the sums of 2 to 4 over the same operands.

**Cost**, counted in the compiled program, not timed. The case: factors 2 and 2, 12 taps each,
bfloat16, forward with codes. A tile is 26 output columns of 32 channels; a step makes 4 temporary
and 2 output rows of it. It copies in 6.1 kB (3.3 kB without the overlap of tiles), and out 3.3 kB
and 2.0 kB of codes, for 2350 instructions of each thread: 3.5 unavoidable bytes a cycle and
multiprocessor, where global memory delivers 16. So arithmetic rules. Per sample of the temporary
grid that a tile is for, its overlap included, a thread multiplies and adds so often, in so many
instructions (PTX); the floor is that of float32 arithmetic without any other instruction:

| up/down, filter | floor | products | forward | with codes | backward |
|---|--:|--:|--:|--:|--:|
| 2/2 separable | 19.6 | 25 | 37 | 45 | 38 |
| 4/2 separable | 18.4 | 21 | 32 | 40 | 41 |
| 2/2 radial, 4 terms | 44.6 (direct form) | 59 | 71 | 78 | 87 |
| 4/2 radial, 3 terms | 44.3 (direct form) | 41 | 53 | 60 | 71 |

That bounds it to 43 to 57 % of the float32 floor for separable filters, 51 to 84 % for radial ones.
`scripts/kernels/gpu.py` prints registers and shared memory of each shape class.

**Tensor cores** could go below that floor. `wgmma` with the taps as its 64 rows does not: 7 of 8
products of the up filter and 11 of 12 of the down filter are by zero, twice over because taps need
two 16-bit parts, which takes as long as the sums above. Pixels as its rows, and 16 columns of
taps, would; that needs operands transposed between the passes.

**Padding.** The copy engine wants rows of whole 16 bytes. Channels that are not a multiple of 16
(without codes of 8, in float32 of 4) are padded and the results cropped: one more pass over each,
by the bytes a third of the kernel's own time. Sizes need no padding.
"""

import dataclasses

import jax
from jax import numpy as jnp

from aa_jax.ops.filtered_activation.pallas_gpu_pattern import columns_of, rows_of, statements
from aa_jax.ops.filtered_activation.pallas_gpu_tiles import Tiling, tiling_of
from aa_jax.ops.filtered_activation.stage import Stage
from aa_jax.ops.resample.geometry import Axis


def filtered(x: jax.Array, stage: Stage, *, with_codes: bool, interpret: bool = False):
    """Returns down(act(up(x))), and with it, if asked, the packed codes.

    Args:
      x: (N, height, width, C), float32, bfloat16 or float16.
      stage: what to do; `unsupported` must have nothing against it.
      with_codes: whether to return codes too.
      interpret: run in Pallas' GPU interpreter, on any platform.
    """
    mode = "write" if with_codes else "plain"
    y, *codes = _run((x,), stage, mode, interpret)
    return (y, *codes) if with_codes else y


def gated(v: jax.Array, codes: jax.Array, stage: Stage, *, interpret: bool = False):
    """Returns down(slopes * up(v)) with the slopes that the packed codes stand for."""
    return _run((v, codes), stage, "read", interpret)[0]


def unsupported(stage: Stage, dtype, channels: int) -> str | None:
    """Says why the kernel can't run a stage, in one sentence, or None if it can."""
    dtype = jnp.dtype(dtype)
    if dtype.name not in ("float32", "bfloat16", "float16"):
        return f"the GPU kernel takes float32, bfloat16 and float16, not {dtype.name}"
    if stage.activation.gain <= 0:
        return f"the GPU kernel needs a positive gain, not {stage.activation.gain}"
    for a, (up, down) in enumerate(zip(stage.up.axes, stage.down.axes, strict=True)):
        if _reads_made_up_samples(up, down, [term[a] for term in stage.up.terms]):
            return (
                "its down filter reads beyond the temporary grid, where its up filter, continued, "
                "is not zero"
            )
    for mode in ("plain", "write", "read"):
        if tiling_of(stage, 1, channels, dtype.itemsize, mode) is None:
            return "no tile of it fits in the registers and the shared memory of a multiprocessor"
    if (count := statements(stage)) > _MOST_STATEMENTS:
        return f"its filters unroll to {count} products of arrays, more than {_MOST_STATEMENTS}"
    return None


# About as many seconds of compilation as hundreds of these.
_MOST_STATEMENTS = 4000


def _reads_made_up_samples(up: Axis, down: Axis, terms) -> bool:
    """Whether samples beyond the temporary grid would have to be masked.

    The kernel computes them like all others. They are never read in a stage whose down filter
    stays within the grid, and in the transpose of such a stage they come out as zeros.
    """
    first, end = down.reach
    outside = [*range(first, min(0, end)), *range(max(up.size_out, first), end)]
    return any(
        0 <= sample < up.size_in and any(taps[k] != 0.0 for taps in terms)
        for at in outside
        for k, sample in up.taps_of_phase(at)
    )


@dataclasses.dataclass(frozen=True)
class _Frame:
    """The rows and units of an array that the blocks touch, first and one past the last."""

    rows: tuple[int, int]
    units: tuple[int, int]
    width: int

    def padded(self, x: jax.Array) -> jax.Array:
        """All that is touched, zero where there is nothing, with its columns split into units."""
        (top, bottom), (left, right) = self._margins(x.shape[1:3])
        x = jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
        return x.reshape(*x.shape[:2], -1, self.width, x.shape[3])

    def cropped(self, y: jax.Array, size: tuple[int, int]) -> jax.Array:
        """Undoes `padded`."""
        (top, _), (left, _) = self._margins(size)
        y = y.reshape(*y.shape[:2], -1, y.shape[4])
        return y[:, top : top + size[0], left : left + size[1]]

    def origin(self):
        return max(-self.rows[0], 0), max(-self.units[0], 0)

    def _margins(self, size):
        top, left = self.origin()
        bottom = max(self.rows[1] - size[0], 0)
        units = max(self.units[1], -(-size[1] // self.width))
        return (top, bottom), (left * self.width, units * self.width - size[1])


def _frames(stage: Stage, tiling: Tiling) -> dict[str, _Frame]:
    rows, columns = rows_of(stage), columns_of(stage)
    emitting = rows.first_emitting
    begin, end = emitting - tiling.lead_steps, emitting + tiling.segments * tiling.length
    last = (tiling.tiles - 1) * tiling.valid
    return {
        "x": _Frame(
            (
                begin * rows.fresh + rows.first_input,
                (end - 1 + rows.chunks) * rows.fresh + rows.first_input,
            ),
            (columns.input_lead, last + columns.input_lead + tiling.input_units),
            columns.inputs,
        ),
        "y": _Frame(
            (
                emitting * rows.emitted + rows.first_output,
                end * rows.emitted + rows.first_output,
            ),
            (0, last + tiling.valid),
            columns.outputs,
        ),
        "codes": _Frame(
            (begin * rows.code_rows, end * rows.code_rows),
            (columns.lead, last + columns.lead + tiling.units),
            columns.classes,
        ),
    }


def _run(operands, stage: Stage, mode: str, interpret: bool):
    """Pads what has to be padded, calls the kernel, and crops its results."""
    # Imported here: slow, and not there on every platform.
    from jax.experimental.pallas import mosaic_gpu as plgpu

    from aa_jax.ops.filtered_activation.pallas_gpu_copies import GRID, Origins, Place
    from aa_jax.ops.filtered_activation.pallas_gpu_kernel import Body

    x = operands[0]
    if x.size == 0:
        return _nothing(x, stage, mode)
    batch, channels = x.shape[0], x.shape[3]
    tiling = tiling_of(stage, batch, channels, x.dtype.itemsize, mode)
    padded = -(-channels // _granule(x.dtype, mode)) * _granule(x.dtype, mode)
    if interpret:
        padded = -(-channels // tiling.channels) * tiling.channels
    frames = _frames(stage, tiling) if interpret else {}
    shapes = {"y": (batch, *stage.out_size, padded), "codes": stage.codes_shape(batch, padded)}

    def enter(array, name):
        if padded > channels:
            array = jnp.pad(array, ((0, 0), (0, 0), (0, 0), (0, padded - channels)))
        return frames[name].padded(array) if interpret else array

    def out_type(name, dtype):
        shape = jax.ShapeDtypeStruct(shapes[name], dtype)
        return jax.eval_shape(frames[name].padded, shape) if interpret else shape

    def leave(array, name):
        if interpret:
            array = frames[name].cropped(array, shapes[name][1:3])
        return array[..., :channels] if padded > channels else array

    place = Place(
        rows=rows_of(stage),
        columns=columns_of(stage),
        tiling=tiling,
        mode=mode,
        interpret=interpret,
        **{name: Origins(*frame.origin()) for name, frame in frames.items()},
    )
    body = Body(place, stage.activation, stage.temporary_size[0])
    outs = {"y": x.dtype} | ({"codes": jnp.uint8} if mode == "write" else {})
    results = plgpu.kernel(
        body,
        out_type=tuple(out_type(name, dtype) for name, dtype in outs.items()),
        grid=(batch, tiling.tiles * tiling.segments, -(-padded // tiling.channels)),
        grid_names=GRID,
        scratch_types=body.scratch(x.dtype),
        compiler_params=plgpu.CompilerParams(
            # The body says where it needs barriers.
            unsafe_no_auto_barriers=True,
            lowering_semantics=plgpu.LoweringSemantics.Lane,
        ),
        interpret=_interpreter() if interpret else None,
    )(*(enter(array, name) for array, name in zip(operands, ("x", "codes"), strict=False)))
    return [leave(array, name) for array, name in zip(results, outs, strict=True)]


def _nothing(x, stage: Stage, mode: str) -> list[jax.Array]:
    """Results for an empty batch, for which there is no grid."""
    y = jnp.zeros((x.shape[0], *stage.out_size, x.shape[3]), x.dtype)
    codes = jnp.zeros(stage.codes_shape(x.shape[0], x.shape[3]), jnp.uint8)
    return [y, codes] if mode == "write" else [y]


def _granule(dtype, mode: str) -> int:
    """Channels are copied by 16 bytes: of the signal, and of the codes."""
    return 16 if mode != "plain" else 16 // jnp.dtype(dtype).itemsize


def _interpreter():
    from jax.experimental.pallas import mosaic_gpu as plgpu

    if hasattr(plgpu, "InterpretGPUParams"):
        return plgpu.InterpretGPUParams()
    # Not public before jax 0.11.
    from jax._src.pallas.mosaic_gpu.interpret.params import InterpretGPUParams

    return InterpretGPUParams()
