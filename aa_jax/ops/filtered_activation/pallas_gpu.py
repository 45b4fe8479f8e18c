"""The filtered activation on NVIDIA GPUs from Hopper on: two Pallas Mosaic GPU kernels.

Both take a tile of the input in and bring a tile of the output out; the temporary grid never
touches global memory. `pallas_gpu_tensor` computes the filters of 16-bit signals on tensor cores,
in a quarter of the instructions or less; `pallas_gpu_tensor.serves` says for which stages. The rest
of this account is of the other kernel, which takes every stage and float32 signals too.

A block of 128 threads owns 16 or 32 channels and a strip of columns, and walks down the rows. A
step makes `rows.temporary` rows of it (four for the usual factors: one byte of codes):

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

**Padding.** The copy engine wants rows of whole 16 bytes. Channels that are not a multiple of 16
(without codes of 8, in float32 of 4) are padded and the results cropped: one more pass over each,
by the bytes a third of the kernel's own time. Sizes need no padding.
"""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.ops.filtered_activation import pallas_gpu_tensor
from aa_jax.ops.filtered_activation.pallas_gpu_frames import Frame, row_frames
from aa_jax.ops.filtered_activation.pallas_gpu_pattern import columns_of, rows_of, statements
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_plan import StripTiling
from aa_jax.ops.filtered_activation.pallas_gpu_tiles import Tiling, shared_memory, tiling_of
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
    if pallas_gpu_tensor.serves(stage, dtype, channels):
        return None
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
class Launch:
    """One of the two kernels, made for a stage.

    Attributes:
      body: the kernel's body, which also says what `scratch` it needs.
      tiling: channels of a block, tiles, segments.
      columns: of the output that a block makes.
      shared: bytes of its shared memory.
      plain_stores: whether a result lies in shared memory as in global memory.
      frames: for the interpreter, what is touched of "x", "y" and "codes".
      constants: arrays that the kernel gets after the operands.
    """

    body: Callable
    tiling: Tiling | StripTiling
    columns: int
    shared: int
    plain_stores: bool
    frames: dict[str, Frame]
    constants: tuple[np.ndarray, ...]


def launch_of(
    stage: Stage, batch: int, channels: int, dtype, mode: str, *, interpret: bool = False
) -> Launch:
    """Chooses the kernel for a stage: that on tensor cores wherever it serves.

    Args:
      stage: `unsupported` must have nothing against it.
      batch, channels, dtype: of the signal.
      mode: "plain" forward, forward that "write"s codes, or gated, which "read"s them.
      interpret: whether Pallas' interpreter runs it.
    """
    on_tensor_cores = pallas_gpu_tensor.serves(stage, dtype, channels)
    launch = pallas_gpu_tensor.launch if on_tensor_cores else _sums_launch
    return Launch(**launch(stage, batch, channels, jnp.dtype(dtype), mode, interpret))


def _sums_launch(stage: Stage, batch: int, channels: int, dtype, mode: str, interpret: bool):
    """How to run a stage in float32: arguments of `Launch`."""
    # Imported here: slow, and not there on every platform.
    from aa_jax.ops.filtered_activation.pallas_gpu_copies import Origins, Place
    from aa_jax.ops.filtered_activation.pallas_gpu_kernel import Body

    tiling = tiling_of(stage, batch, channels, dtype.itemsize, mode)
    frames = _frames(stage, tiling) if interpret else {}
    place = Place(
        rows=rows_of(stage),
        columns=columns_of(stage),
        tiling=tiling,
        mode=mode,
        interpret=interpret,
        **{name: Origins(*frame.origin()) for name, frame in frames.items()},
    )
    body = Body(place, stage.activation, stage.temporary_size[0])
    return {
        "body": body,
        "tiling": tiling,
        "columns": tiling.valid * columns_of(stage).outputs,
        "shared": shared_memory(stage, tiling, dtype.itemsize, mode),
        "plain_stores": True,
        "frames": frames,
        "constants": (),
    }


def _frames(stage: Stage, tiling: Tiling) -> dict[str, Frame]:
    columns = columns_of(stage)
    last = (tiling.tiles - 1) * tiling.valid
    units = {
        "x": (columns.input_lead, last + columns.input_lead + tiling.input_units),
        "y": (0, last + tiling.valid),
        "codes": (columns.lead, last + columns.lead + tiling.units),
    }
    widths = {"x": columns.inputs, "y": columns.outputs, "codes": columns.classes}
    return {
        name: Frame(rows, units[name], widths[name], split=True)
        for name, rows in row_frames(rows_of(stage), tiling).items()
    }


def _run(operands, stage: Stage, mode: str, interpret: bool):
    """Pads what has to be padded, calls the kernel, and crops its results."""
    # Imported here: slow, and not there on every platform.
    from jax.experimental.pallas import mosaic_gpu as plgpu

    from aa_jax.ops.filtered_activation.pallas_gpu_copies import GRID

    x = operands[0]
    if x.size == 0:
        return _nothing(x, stage, mode)
    batch, channels = x.shape[0], x.shape[3]
    launch = launch_of(stage, batch, channels, x.dtype, mode, interpret=interpret)
    tiling, frames = launch.tiling, launch.frames
    granule = _granule(x.dtype, mode)
    padded = -(-channels // granule) * granule
    if launch.plain_stores and padded == tiling.channels:
        # Columns with all of their channels would be one run of bytes, and copied as such: beyond
        # the end of a row into the next.
        padded += granule
    if interpret:
        padded = -(-channels // tiling.channels) * tiling.channels
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

    outs = {"y": x.dtype} | ({"codes": jnp.uint8} if mode == "write" else {})
    results = plgpu.kernel(
        launch.body,
        out_type=tuple(out_type(name, dtype) for name, dtype in outs.items()),
        grid=(batch, tiling.tiles * tiling.segments, -(-channels // tiling.channels)),
        grid_names=GRID,
        scratch_types=launch.body.scratch(x.dtype),
        compiler_params=plgpu.CompilerParams(
            # The body says where it needs barriers.
            unsafe_no_auto_barriers=True,
            lowering_semantics=plgpu.LoweringSemantics.Lane,
        ),
        interpret=_interpreter() if interpret else None,
    )(
        *(enter(array, name) for array, name in zip(operands, ("x", "codes"), strict=False)),
        *(jnp.asarray(constant) for constant in launch.constants),
    )
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
