"""The filtered activation as a Pallas kernel for TPU.

A program takes one image and 128 channels (lanes) from the top row to the bottom row. The grid's
last axis walks down the image in steps of up to 32 rows of the temporary grid (`pallas_tpu_plan`):
HBM sees each input row, output row and byte of codes once. Rows of the temporary grid live for one
loop iteration, four at a time (`pallas_tpu_kernel`), so that no size of image needs more than a
band of rows in VMEM. Where a batch has few channels, its images lie side by side on the lanes.

Costs of an output position (128 lanes) of a stage up 2, down 2 with 12 taps, in float32:

- HBM: 1 kB, and 128 bytes of codes; 1.9 cycles of a v5e (819 GB/s at 1.5 GHz).
- Vector unit: about 110 instructions on vectors of 8 positions, filters along columns of the image,
  activation, splitting for the matrix unit; 4 execute in a cycle: 3.4 cycles.
- Matrix units: 8 rows of the banded matrix up, 4 down, on 4 units: 3 cycles.

The compiler's schedule for v5e at 276 x 276 has 6.1 cycles (bfloat16 5.2), 6.8 with codes.
"""

import functools

import jax
from jax import numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from aa_jax.ops.filtered_activation import pallas_tpu_kernel
from aa_jax.ops.filtered_activation.pallas_tpu_bands import LANES
from aa_jax.ops.filtered_activation.pallas_tpu_plan import VMEM_LIMIT, Plan, plan_of
from aa_jax.ops.filtered_activation.piecewise import ROWS_PER_BYTE
from aa_jax.ops.filtered_activation.stage import Stage

_DTYPES = ("float32", "bfloat16", "float16")


def filtered(x: jax.Array, stage: Stage, *, with_codes: bool, interpret=False):
    """Returns down(act(up(x))), and with it, if asked, the packed codes; see `Stage`."""
    run = functools.partial(_run, stage, mode="codes" if with_codes else "plain")
    y, *codes = run(_to_lanes(_native(x)), interpret=interpret)
    y = _from_lanes(y, x.shape).astype(x.dtype)
    return (y, _from_lanes(codes[0], x.shape)) if with_codes else y


def gated(v: jax.Array, codes: jax.Array, stage: Stage, *, interpret=False) -> jax.Array:
    """Returns down(slopes * up(v)) with the slopes that the packed codes stand for."""
    operands = _to_lanes(_native(v)), _to_lanes(codes)
    (out,) = _run(stage, *operands, mode="gated", interpret=interpret)
    return _from_lanes(out, v.shape).astype(v.dtype)


def unsupported(stage: Stage, dtype, channels: int) -> str | None:
    """Returns in one sentence why the kernel can't run a stage, or None if it can."""
    del channels
    dtype = jnp.dtype(dtype)
    if dtype not in _DTYPES:
        return f"the TPU kernel takes float32, bfloat16 and float16, not {dtype}"
    itemsize = _native_dtype(dtype).itemsize
    plan = plan_of(stage, itemsize=itemsize, with_codes=True)
    needed = plan.vmem_bytes(itemsize, with_codes=True)
    if needed > VMEM_LIMIT:
        return (
            f"rows of {stage.size[1]} samples with these filters need {needed / 2**20:.0f} MiB of "
            f"VMEM, and the TPU kernel has {VMEM_LIMIT / 2**20:.0f} MiB"
        )
    return None


def _native_dtype(dtype):
    return jnp.dtype("bfloat16" if dtype == "bfloat16" else "float32")


def _native(x):
    """TPUs have no arithmetic or layout for float16: it travels as float32."""
    return x.astype(_native_dtype(x.dtype))


def _folds(shape) -> bool:
    """Whether images side by side fill the lanes much better than one at a time."""
    batch, channels = shape[0], shape[3]
    return 4 * -(-batch * channels // LANES) <= 3 * batch * -(-channels // LANES)


def _to_lanes(x):
    """(N, H, W, C) to (1, H, W, N * C) where that pays."""
    if not _folds(x.shape):
        return x
    return jnp.moveaxis(x, 0, 2).reshape(1, *x.shape[1:3], -1)


def _from_lanes(x, shape):
    """Undoes `_to_lanes`; `shape` is of the array that went in."""
    if not _folds(shape):
        return x
    return jnp.moveaxis(x.reshape(*x.shape[1:3], shape[0], shape[3]), 2, 0)


def _run(stage: Stage, x, codes=None, *, mode: str, interpret) -> list[jax.Array]:
    batch, _, _, channels = x.shape
    plan = plan_of(stage, itemsize=x.dtype.itemsize, with_codes=mode != "plain")
    rows, lanes = plan.rows, min(channels, LANES)
    constants = [jnp.asarray(plan.up_matrix), jnp.asarray(plan.down_matrix)]

    def rows_spec(height: int, count: int, width: int, lag: int):
        """Blocks of `height` rows, of which step `lag` is the first to need or to finish one."""
        blocks = -(-count // height)

        def index(image, lane, step):
            return image, jnp.clip(step - lag, 0, blocks - 1), 0, lane

        return pl.BlockSpec((None, height, width, lanes), index)

    byte_rows, codes_width = stage.codes_shape(batch, channels)[1:3]
    codes_spec = rows_spec(
        rows.tall // ROWS_PER_BYTE, byte_rows, codes_width, rows.lag // rows.tall
    )
    in_specs = [rows_spec(rows.fresh, *stage.size, 0)]
    in_specs += [codes_spec] if mode == "gated" else []
    in_specs += [
        pl.BlockSpec(constant.shape, lambda *_, ndim=constant.ndim: (0,) * ndim)
        for constant in constants
    ]
    out_shapes = [jax.ShapeDtypeStruct((batch, *stage.out_size, channels), x.dtype)]
    out_specs = [rows_spec(rows.out, *stage.out_size, rows.out_lag)]
    if mode == "codes":
        out_shapes.append(jax.ShapeDtypeStruct(stage.codes_shape(batch, channels), jnp.uint8))
        out_specs.append(codes_spec)
    return pl.pallas_call(
        functools.partial(pallas_tpu_kernel.step, plan, mode=mode),
        grid=(batch, -(-channels // lanes), rows.steps(with_codes=mode == "codes")),
        in_specs=in_specs,
        out_specs=out_specs,
        out_shape=out_shapes,
        scratch_shapes=[pltpu.VMEM(shape, dtype) for shape, dtype in plan.scratch(lanes).values()],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary"),
            vmem_limit_bytes=_vmem_limit(plan, x.dtype, mode),
        ),
        cost_estimate=_cost(plan, x, codes, out_shapes),
        interpret=interpret,
        name=f"filtered_activation_{mode}",
    )(x, *([] if codes is None else [codes]), *constants)


def _cost(plan: Plan, x, codes, out_shapes) -> pl.CostEstimate:
    """What XLA's scheduler may assume of a call: every array passes through HBM once."""
    arrays = [x, *([] if codes is None else [codes]), *out_shapes]
    return pl.CostEstimate(
        flops=plan.operations * x.shape[0] * x.shape[3],
        transcendentals=0,
        bytes_accessed=sum(array.size * array.dtype.itemsize for array in arrays),
    )


def _vmem_limit(plan: Plan, dtype, mode: str) -> int:
    """What the plan needs and a margin for the compiler's own temporaries."""
    needed = plan.vmem_bytes(dtype.itemsize, with_codes=mode != "plain")
    return max(16 * 2**20, needed + 4 * 2**20)
