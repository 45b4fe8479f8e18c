"""The filtered activation of 16-bit signals on the tensor cores of NVIDIA GPUs from Hopper on.

All four filters are banded matrix products. A block of 128 threads owns 64 channels of a strip of
columns (or 32 of two strips, 16 of four), and walks down the rows, four rows of the temporary grid
in a step. Each warp has 16 of the channels and depends on no other but for the copies. A product
is of numbers (16 channels, 16 samples) and taps (16 samples, 8 results), summed in float32;
`pallas_gpu_tensor_units` says how they lie in registers.

1. The copy engine brings the next input rows into a ring in shared memory, one step ahead, with
   zeros outside of the image.
2. Vertical up filter: the samples are eight rows of two columns, and the results four temporary
   rows of the two. Rounded to 16 bits, and through shared memory, since the next filter wants
   neighbouring columns where this one has neighbouring rows.
3. Horizontal up filter: the samples are 16 neighbouring columns. The taps repeat from block to
   block, so that there are two to four such matrices in all. Rounded to 16 bits.
4. Activation and codes, on two numbers in an instruction.
5. Horizontal down filter, as 3. Rounded to 16 bits.
6. Vertical down filter: the samples are eight columns of two rows, and the taps two multiples of
   the identity, so that the results are the eight columns. They are added at once to the partial
   output rows, which stay in registers from step to step. Within a segment no row is computed
   twice.
7. The completed rows, and the bytes of codes, leave through shared memory and the copy engine.

From 3 to 6 each result is where the next product wants it, so that nothing is exchanged between
threads. In 6 seven of eight products are by zero, in 2 half of them; still a result takes an eighth
of the instructions, or less, that its sum would. Filters of several terms repeat 2 and 3, or 5 and
6, into the same sums.

Taps are rounded to 16 bits, which `pallas_gpu_tensor_taps` keeps from leaking.

**Cost**, counted in the compiled program (SASS), not timed. Instructions of a thread in the loop
over steps, for a sample of the temporary grid that its strip is for (bfloat16, 512 channels); in
the first row the kernel that sums in float32 takes about 40 and 46:

| up/down, filter | forward | with codes | backward |
|---|--:|--:|--:|
| 2/2 separable | 6.4 | 11.3 | 9.6 |
| 4/2 separable | 6.0 | 11.0 | 9.9 |
| 2/2 radial, 4 terms | 11.4 | 16.8 | 14.2 |
| 4/2 radial, 3 terms | 9.5 | 14.9 | 17.1 |

Of the 823 instructions of a step at 2/2, 144 are products, 176 round to 16 bits, 240 are the
activation. For the 14 layers of T-1024, batch 8, all at once on an H200 (132 multiprocessors,
1.755 GHz): 2.6 ms to issue them, 2.9 ms for the tensor cores at the 62 % of their peak that
`mma.sync` is said to reach, 2.4 ms for the unit that compares and converts, 1.9 ms to copy the
unavoidable bytes at 4.3 TB/s. Whatever does not overlap comes on top; so does the padding of
channels that are not a multiple of 8, see `pallas_gpu`.
"""

from jax import numpy as jnp

from aa_jax.ops.filtered_activation.pallas_gpu_frames import Frame, row_frames
from aa_jax.ops.filtered_activation.pallas_gpu_pattern import rows_of
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_plan import (
    BLOCK,
    StripTiling,
    rows_copied,
    shared_memory,
    strip_of,
    strips_of,
)
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_taps import rounded
from aa_jax.ops.filtered_activation.stage import Stage


def serves(stage: Stage, dtype, channels: int) -> bool:
    """Whether a stage runs on tensor cores: 16-bit signals, up and down in two dimensions."""
    dtype = jnp.dtype(dtype)
    if dtype.name not in ("bfloat16", "float16") or stage.is_pointwise:
        return False
    stage = rounded(stage, dtype.name).stage
    return all(strips_of(stage, 1, channels, mode) for mode in ("plain", "write", "read"))


def launch(stage: Stage, batch: int, channels: int, dtype, mode: str, interpret: bool):
    """How to run a stage that it `serves`: arguments of `pallas_gpu.Launch`."""
    # Imported here: slow, and not there on every platform.
    from aa_jax.ops.filtered_activation.pallas_gpu_copies import Origins
    from aa_jax.ops.filtered_activation.pallas_gpu_tensor_copies import StripPlace
    from aa_jax.ops.filtered_activation.pallas_gpu_tensor_kernel import StripBody
    from aa_jax.ops.filtered_activation.pallas_gpu_tensor_units import words_of

    dtype = jnp.dtype(dtype)
    stage_of_taps = rounded(stage, dtype.name)
    stage = stage_of_taps.stage
    tiling = strips_of(stage, batch, channels, mode)
    strip = strip_of(stage, tiling.groups)
    frames = _frames(stage, tiling) if interpret else {}
    place = StripPlace(
        rows=rows_of(stage),
        strip=strip,
        tiling=tiling,
        mode=mode,
        interpret=interpret,
        **{name: Origins(*frame.origin()) for name, frame in frames.items()},
    )
    return {
        "body": StripBody(place, stage_of_taps),
        "tiling": tiling,
        "columns": tiling.strips * strip.width,
        "shared": shared_memory(stage, tiling, mode),
        # Bytes of 16 channels are too few to be swizzled.
        "plain_stores": mode == "write" and tiling.channels < 32,
        "frames": frames,
        "constants": (words_of(strip.matrices, dtype),),
    }


def _frames(stage: Stage, tiling: StripTiling) -> dict[str, Frame]:
    steps, strip = rows_of(stage), strip_of(stage, tiling.groups)
    rows = row_frames(steps, tiling)
    rows["x"] = rows["x"][0], rows["x"][1] + rows_copied(steps, tiling) - steps.fresh
    count = tiling.tiles * tiling.strips

    def touched(first: int, step: int, width: int) -> tuple[int, int]:
        return first, first + (count - 1) * step + width

    columns = {
        "x": touched(strip.input_first, strip.input_step, strip.input_blocks * BLOCK + 1),
        "y": touched(0, strip.width, strip.width),
        "codes": touched(strip.first, strip.step, strip.blocks * BLOCK),
    }
    return {name: Frame(rows[name], columns[name]) for name in rows}
