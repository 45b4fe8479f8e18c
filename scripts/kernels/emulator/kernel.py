"""Compiles one launch for an H200, and runs its PTX block by block."""

import functools
import glob
import itertools
import math
import os
import tempfile

import jax
import numpy as np

from aa_jax.ops.filtered_activation import pallas_gpu, pallas_gpu_tensor_plan, pallas_gpu_tiles
from aa_jax.ops.filtered_activation.pallas_gpu_pattern import columns_of, rows_of
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_plan import StripTiling
from aa_jax.ops.filtered_activation.stage import Stage
from scripts.kernels import gpu
from scripts.kernels.emulator import arithmetic, transfers
from scripts.kernels.emulator.block import Block
from scripts.kernels.emulator.maps import Map
from scripts.kernels.emulator.program import parse

_FUNCTIONS = arithmetic.INSTRUCTIONS | transfers.INSTRUCTIONS


def run(stage: Stage, x: jax.Array, mode: str, order, codes: np.ndarray | None = None):
    """Runs the compiled kernel on one image.

    Args:
      stage: for `mode` "read" the gated one.
      x: (1, height, width, C).
      mode: "plain" forward, forward that "write"s codes, or gated, which "read"s `codes`.
      order: in which the four warps run between barriers.

    Returns:
      The output (height, width, C), the packed codes or None, and the launch. What no block has
      written is NaN, and 255 in the codes.
    """
    channels = x.shape[3]
    launch = pallas_gpu.launch_of(stage, 1, channels, x.dtype, mode)
    # As `pallas_gpu._run` pads.
    granule = pallas_gpu._granule(x.dtype, mode)
    padded = -(-channels // granule) * granule
    padded += granule * (launch.plain_stores and padded == launch.tiling.channels)

    def widened(array):
        return np.pad(np.asarray(array), ((0, 0), (0, 0), (0, padded - channels)))

    y = np.full((*stage.out_size, padded), np.nan, x.dtype)
    if mode == "write":
        codes = np.full(stage.codes_shape(1, padded)[1:], 255, np.uint8)
    elif mode == "read":
        codes = widened(codes[0])
    arrays = {"x": widened(x[0]), "y": y, "codes": codes}
    maps = _maps(stage, launch, mode, arrays)
    program = parse(ptx_of(stage, channels, x.dtype, mode))
    tiling = launch.tiling
    tiles = tiling.tiles * tiling.segments
    for tile, block in itertools.product(range(tiles), range(-(-channels // tiling.channels))):
        # The last axis of the grid is the first of a block's index.
        Block(program, _FUNCTIONS, maps, (block, tile, 0), order).run()
    return y[..., :channels], None if mode == "plain" else codes[..., :channels], launch


def _maps(stage: Stage, launch, mode: str, arrays: dict[str, np.ndarray]) -> list[Map]:
    """The tensor maps, in the order in which the kernel first uses them."""
    tiling = launch.tiling
    if isinstance(tiling, StripTiling):
        shapes = pallas_gpu_tensor_plan.buffers(launch.body.rounded.stage, tiling, mode)
        boxes = {"x": shapes["ring"][2:], "y": shapes["out"]}
        if mode != "plain":
            boxes["codes"] = (1, *shapes["bits"][2:])
        arrays = arrays | {"matrices": launch.constants[0]}
        boxes["matrices"] = shapes["matrices"]
        order = ("matrices", "x")
    else:
        rows, columns = rows_of(stage), columns_of(stage)
        shapes = pallas_gpu_tiles.buffers(rows, columns, tiling, mode)
        boxes = {
            "x": (rows.fresh, math.prod(shapes["ring"][2:4]), tiling.channels),
            "y": (1, tiling.valid * columns.outputs, tiling.channels),
        }
        if mode != "plain":
            boxes["codes"] = (rows.code_rows, math.prod(shapes["bits"][2:4]), tiling.channels)
        order = ("x",)
    order += {"plain": ("y",), "write": ("y", "codes"), "read": ("codes", "y")}[mode]
    swizzled = isinstance(tiling, StripTiling)
    return [Map(arrays[n], boxes[n], _swizzle(arrays[n], boxes[n], n, swizzled)) for n in order]


def _swizzle(array: np.ndarray, box: tuple[int, ...], name: str, swizzled: bool) -> int:
    """Bytes of a column of the box, if there are enough to be swizzled."""
    size = box[-1] * array.itemsize
    return size if swizzled and name != "matrices" and size >= 32 else 0


@functools.cache
def ptx_of(stage: Stage, channels: int, dtype, mode: str) -> str:
    """The PTX of a kernel for one image, compiled for an H200 as in `scripts.kernels.gpu`.

    Cached, since a process does not write the PTX of a program that it has compiled before.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MOSAIC_GPU_DUMP_TO"] = folder
        try:
            with gpu.CompilerOutput():
                gpu.lowered_kernel(stage, 1, channels, dtype, mode).compile()
        finally:
            del os.environ["MOSAIC_GPU_DUMP_TO"]
        (path,) = glob.glob(f"{folder}/*.ptx")
        with open(path) as file:
            return file.read()
