"""Compiles small GPU kernels ahead of time, runs their PTX on the CPU, and compares with XLA.

    JAX_PLATFORMS=cpu python -m scripts.kernels.emulate

Needs what `scripts.kernels.gpu` needs. Exits with 1 if a result differs by more than the tests of
the kernels allow, with an error if the PTX has an instruction that the emulator does not know.

What it shows, unlike Pallas' interpreter: that the compiled program computes the right numbers,
with swizzled copies, the layouts of `ldmatrix`, `stmatrix` and `mma`, clipping at the edges of
arrays, and barriers. Copies run as late as they may: those into shared memory when somebody waits
for their barrier, those out of it when their group is waited for. Warps run one after another
between barriers, in two orders that must give the same bits: the warp that starts the copies first,
and last. Shared memory begins as NaN. So many missing waits show.

What it does not show: time; whether ptxas translates the PTX faithfully; races that only other
interleavings of warps reveal; missing fences and whatever else hangs on the memory model, since
every store is seen at once. Tensor cores may sum in another order than NumPy.
"""

import argparse
import dataclasses
import os
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from scripts.kernels import gpu  # noqa: E402, I001  (sets the environment before JAX starts)

import jax  # noqa: E402
import numpy as np  # noqa: E402
from jax import numpy as jnp  # noqa: E402

from aa_jax import filters  # noqa: E402
from aa_jax.ops.filtered_activation import xla  # noqa: E402
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_plan import StripTiling  # noqa: E402
from aa_jax.ops.filtered_activation.piecewise import PiecewiseLinear, unpack  # noqa: E402
from aa_jax.ops.filtered_activation.stage import Stage  # noqa: E402
from aa_jax.ops.resample.xla import resample  # noqa: E402
from scripts.kernels.emulator import kernel  # noqa: E402
from scripts.kernels.shape_classes import _resample  # noqa: E402

# Largest error over the largest number: as in the tests of the kernels.
TOLERANCE = {"float32": 2e-5, "bfloat16": 1e-2, "float16": 1e-2}
# Orders of the warps.
_ORDERS = ((0, 2, 3, 1), (3, 1, 2, 0))
_COLUMNS = ("class", "channels", "dtype", "pass", "kernel", "blocks", "error", "codes differ", "s")


@dataclasses.dataclass(frozen=True)
class _Design:
    """Taps of a filter, as `stage_of` has them of a layer."""

    values: np.ndarray

    def taps(self) -> np.ndarray:
        return self.values


def _stage(size, up, padding, radial, dtype) -> Stage:
    """Factors `up` and 2, six taps for each on either grid; `radial`: the down filter is."""
    grow = _Design(filters.firwin_sinc(6 * up, 0.45, 0.4, up))
    shrink = filters.firwin_jinc if radial else filters.firwin_sinc
    first = _resample(size, grow, dtype, up=up, padding=(padding, padding))
    between = tuple(axis.size_out for axis in first.axes)
    second = _resample(between, _Design(shrink(12, 0.45, 0.4, 2)), dtype, down=2)
    return Stage(first, second, PiecewiseLinear(slope=0.2, gain=2**0.5, clamp=1.0))


# Size, up factor, padding, whether radial; channels, dtype. Channels and width decide how many
# strips a block has (1, 2, 4), and the last block of 80 channels is a partial one. The last tile
# of the float32 class passes the right edge, with all channels in one block; with codes and
# backward it is one of several.
CASES = {
    "2/2 separable": (((9, 12), 2, (9, 8), False), 80, "bfloat16"),
    "4/2 cropped": (((13, 11), 4, (-3, -5), False), 32, "float16"),
    "2/2 radial": (((9, 11), 2, (9, 8), True), 16, "bfloat16"),
    "4/2 radial": (((9, 25), 4, (13, 12), True), 16, "bfloat16"),
    "2/2 past the edge": (((5, 65), 2, (9, 8), False), 16, "float32"),
}


def check(name: str, mode: str) -> bool:
    """Runs one kernel, prints a row of the table, and says whether the results agree."""
    (*shape,), channels, dtype = CASES[name]
    forward = _stage(*shape, dtype)
    stage = forward.transpose if mode == "read" else forward
    x = jax.random.normal(jax.random.key(0), (1, *stage.size, channels)).astype(dtype)
    codes = None
    if mode == "read":
        other = jax.random.normal(jax.random.key(1), (1, *forward.size, channels))
        codes = np.asarray(xla.filtered(other, forward, with_codes=True)[1])
    start = time.perf_counter()
    (y, written, launch), (again, written_again, _) = (
        kernel.run(stage, x, mode, order, codes) for order in _ORDERS
    )
    seconds = time.perf_counter() - start
    with jax.enable_x64(True):
        exact = x.astype(jnp.float64)
        if mode == "read":
            expected = np.asarray(xla.gated(exact, jnp.asarray(codes), stage))[0]
        else:
            expected, codes = map(np.asarray, xla.filtered(exact, stage, with_codes=True))
            expected = expected[0]
    error = np.abs(y.astype(np.float64) - expected).max() / np.abs(expected).max()
    # An error that is not a number is too large.
    right, share = bool(error <= TOLERANCE[dtype]) and np.array_equal(y, again), ""
    if mode == "write":
        differ, agree = _compare_codes(written[None], codes, x, stage, dtype)
        right = right and agree and np.array_equal(written, written_again)
        share = f"{differ:.4f}"
    tiling = launch.tiling
    on_tensor_cores = isinstance(tiling, StripTiling)
    blocks = tiling.tiles * tiling.segments * -(-channels // tiling.channels)
    cells = (
        *(name, channels, dtype, gpu.MODES[mode]),
        f"tensor cores, strips: {tiling.strips}" if on_tensor_cores else "sums",
        *(blocks, f"{error:.1e}" + ("" if right else " WRONG"), share, f"{seconds:.1f}"),
    )
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)
    return right


def _compare_codes(codes, expected, x, stage: Stage, dtype) -> tuple[float, bool]:
    """Share of codes that differ, and whether only rounding made them: near a threshold, rare."""
    height = stage.temporary_size[0]
    differ = np.asarray(unpack(codes, height)) != np.asarray(unpack(expected, height))
    u = stage.activation.gain * np.asarray(resample(x.astype(jnp.float32), stage.up))
    v = np.abs(np.where(u < 0, stage.activation.slope * u, u))
    near = np.minimum(v, np.abs(v - stage.activation.clamp))
    within = not differ.any() or near[differ].max() <= TOLERANCE[dtype] * np.abs(u).max()
    # Bits below the grid are zero.
    clean = height % 4 == 0 or not np.any(codes[:, -1] >> (2 * (height % 4)))
    return float(differ.mean()), bool(within and clean and differ.mean() < 1e-2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("classes", nargs="*", default=list(CASES), metavar="CLASS")
    arguments = parser.parse_args()
    print("| " + " | ".join(_COLUMNS) + " |")
    print("|---" * len(_COLUMNS) + "|")
    runs = [(name, mode) for name in arguments.classes for mode in gpu.MODES]
    wrong = [f"{name} {gpu.MODES[mode]}" for name, mode in runs if not check(name, mode)]
    if wrong:
        raise SystemExit(f"the compiled kernels differ from XLA in: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
