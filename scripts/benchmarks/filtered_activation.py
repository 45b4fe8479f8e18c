"""The filtered activation, layer by layer of the alias-free generator, against its rivals."""

import math

import jax
import numpy as np
from jax import lax, numpy as jnp

from aa_jax.ops.filtered_activation import filtered_activation2d
from scripts.benchmarks.ceilings import Ceilings, ceilings
from scripts.benchmarks.filtered_workload import DIRECTIONS, Workload, workloads
from scripts.benchmarks.timing import Timing, compiled, cycling, measure, ratio

GAIN, SLOPE, CLAMP = math.sqrt(2), 0.2, 256.0
# Relative to the largest magnitude, or norm; half precision rounds at a composition's every step.
TOLERANCE = {"float32": 1e-5, "float16": 3e-2, "bfloat16": 5e-2}
# How many bytes' worth of calls fill one measurement on an accelerator, where one is too short.
ENOUGH = 2**31


def ours(workload: Workload):
    """The library's op, as a function of x and bias."""
    arguments = workload.arguments

    def run(x, bias):
        return filtered_activation2d(
            x,
            arguments["up_filter"],
            arguments["down_filter"],
            bias=bias,
            **{name: arguments[name] for name in ("up", "down", "padding")},
            activation="leaky_relu",
            slope=SLOPE,
            gain=GAIN,
            clamp=CLAMP,
        )

    return run


def naive(workload: Workload):
    """What one writes in JAX: zeros inserted, depthwise convolutions, the activation between."""
    arguments = workload.arguments
    up, down = arguments["up"], arguments["down"]
    top, bottom, left, right = arguments["padding"]
    up_filter = arguments["up_filter"] * up ** arguments["up_filter"].ndim

    def run(x, bias):
        x = x + bias
        edges = ((top, bottom + up - 1, up - 1), (left, right + up - 1, up - 1))
        z = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *edges, (0, 0, 0)))
        z = _depthwise(z, up_filter, 1)
        z = jnp.clip(jax.nn.leaky_relu(z, SLOPE) * GAIN, -CLAMP, CLAMP)
        return _depthwise(z, arguments["down_filter"], down)

    return run


def _depthwise(x, taps: np.ndarray, stride: int):
    if taps.ndim == 1:
        passes = ((taps[None, :], (1, stride)), (taps[:, None], (stride, 1)))
    else:
        passes = ((taps, (stride, stride)),)
    for kernel, strides in passes:
        kernel = jnp.asarray(np.flip(kernel), x.dtype)[:, :, None, None]
        x = lax.conv_general_dilated(
            x,
            jnp.tile(kernel, (1, 1, 1, x.shape[-1])),
            strides,
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1],
        )
    return x


def _inputs(workload: Workload, count: int = 3) -> list[tuple[np.ndarray, ...]]:
    """Tuples (x, bias, cotangent). The first stays clear of kinks, for rivals to be compared on.

    Where a sample is nearly zero or at the clamp, rounding decides its gradient.
    """
    rng = np.random.default_rng(0)
    dtype = jnp.dtype(workload.dtype)
    shape, out = workload.shapes

    def filled(shape, values):
        return np.resize(values.astype(dtype), shape)

    # A few million values, repeated: more take longer to draw than to filter.
    few = min(math.prod(max(shape, out, key=math.prod)), 2**22 - 1)
    # Positive and negative channels, without and with clamping.
    level = filled(workload.channels, np.array([100.0, -100.0, 200.0, -1200.0]))
    result = []
    for i in range(count):
        x = filled(shape, rng.normal(size=few) if i else rng.uniform(0.95, 1.05, few))
        x = x if i else x * level
        bias = filled(workload.channels, 0.1 * rng.normal(size=workload.channels))
        # Of mean 1 in the first: the bias's gradient, a sum over a million samples, is not near 0.
        cotangent = filled(out, rng.normal(loc=0.0 if i else 1.0, size=few))
        result.append((x, bias, cotangent))
    return result


def _rivals(workload: Workload, direction: str, repeats: int, *, with_xla: bool):
    """Returns the rivals by (name, variant), and compile seconds and temporary MB of JAX's."""
    gradient = direction != "forward"
    inputs = _inputs(workload)
    rivals, costs = {}, {}
    on_device = [jax.device_put(arrays) for arrays in inputs]
    for name, maker in (("ours", ours), ("xla naive", naive))[: 2 if with_xla else 1]:
        function = _with_gradient(maker(workload)) if gradient else _forward(maker(workload))
        executable, *costs[name] = compiled(function, *on_device[0])
        if repeats == 1:
            rivals[name] = cycling(executable, on_device)
        else:
            rivals[name] = _repeated(function, on_device, repeats)
    rivals = {(name, ""): run for name, run in rivals.items()}
    return rivals | _torch_rivals(workload, inputs, gradient=gradient, repeats=repeats), costs


def _forward(function):
    return lambda x, bias, cotangent: function(x, bias)


def _with_gradient(function):
    def run(x, bias, cotangent):
        # An argument, not a constant: XLA would compute the whole gradient ahead.
        y, vjp = jax.vjp(function, x, bias)
        return y, *vjp(cotangent)

    return run


def _repeated(function, inputs, repeats: int):
    """Calls on as many different arrays, launched as one: no dispatch between, none left out."""
    batches = []
    for arrays in inputs:
        batches.append([tuple(a + 0 for a in arrays) for _ in range(repeats)])
    executable = jax.jit(lambda batch: [function(*arrays) for arrays in batch])
    executable = executable.lower(batches[0]).compile()
    return lambda number: jax.block_until_ready(executable(batches[number % len(batches)]))[-1]


def _torch_rivals(*given, **options) -> dict:
    """PyTorch's rivals, if it can be imported and runs on the same kind of device."""
    try:
        import torch

        from scripts.benchmarks import peers_torch_filtered
    except ImportError:
        return {}
    device = {"cpu": "cpu", "gpu": "cuda"}.get(jax.default_backend())
    if device is None or (device == "cuda" and not torch.cuda.is_available()):
        return {}
    return peers_torch_filtered.rivals(*given, device=device, **options)


def _check(rivals: dict, workload: Workload) -> None:
    """Raises AssertionError if rivals disagree, on the first input."""
    results = {}
    for name, run in rivals.items():
        parts = jax.tree.leaves(run(0))
        if name[0].startswith("torch"):
            from scripts.benchmarks.peers_torch_filtered import to_numpy

            results[name] = [to_numpy(part) for part in parts]
        else:
            results[name] = [np.asarray(part, np.float32) for part in parts]
    expected = results.pop(("ours", ""))
    # Half precision puts samples at the borders on the other side of a kink: few, but wholly.
    norm = np.linalg.norm if workload.dtype != "float32" else lambda a: np.abs(a).max()
    for name, result in results.items():
        for actual, reference in zip(result, expected, strict=True):
            if actual.shape != reference.shape:
                raise AssertionError(f"{name}: shape {actual.shape}, not {reference.shape}")
            error = norm(actual - reference) / norm(reference)
            if not error <= TOLERANCE[workload.dtype]:
                raise AssertionError(f"{name} computes something else: error {error:.1e}")


def rows(
    config: str = "t",
    resolution: int = 256,
    *,
    channel_divisor: int | None = None,
    batch: int | None = None,
    dtype: str | None = None,
    rounds: int = 9,
    with_xla: bool = True,
    layers: tuple[int, ...] | None = None,
):
    """Yields one row, a dict, for every layer and direction, as soon as it is measured.

    Args:
      config: "t" or "r".
      resolution: of the generator.
      channel_divisor: of the generator's channels; None: 8 on a CPU, else 1.
      batch: images; None: 1 on a CPU, else 8.
      dtype: "float32", "bfloat16", "float16"; None: float32 on a CPU, else bfloat16.
      rounds: measured rounds, at least 2.
      with_xla: whether to measure the naive composition.
      layers: indices of the layers wanted; None: all.
    """
    on_cpu = jax.default_backend() == "cpu"
    given = {
        "channel_divisor": channel_divisor or (8 if on_cpu else 1),
        "batch": batch or (1 if on_cpu else 8),
        "dtype": dtype or ("float32" if on_cpu else "bfloat16"),
    }
    limits = ceilings(given["dtype"])
    for workload in workloads(config, resolution, **given):
        if layers is not None and workload.layer.index not in layers:
            continue
        for direction in DIRECTIONS:
            repeats = 1 if on_cpu else min(max(ENOUGH // workload.bytes(direction), 1), 16)
            rivals, costs = _rivals(workload, direction, repeats, with_xla=with_xla)
            _check(rivals, workload)
            timings = measure(rivals, rounds=rounds)
            row = {"case": f"{config}{resolution} {workload.layer.name} {direction}"}
            row |= _measured(workload, direction, timings, costs, limits, repeats)
            yield row


def _measured(workload, direction, timings, costs, limits: Ceilings, repeats: int) -> dict:
    """What the rounds say; of a rival's variants, what the quickest says."""
    best = {}
    for (name, variant), timing in timings.items():
        timing = Timing([t / repeats for t in timing.wall], [t / repeats for t in timing.cpu])
        if name not in best or timing.median_wall < best[name][1].median_wall:
            best[name] = variant, timing
    _, own = best.pop("ours")
    traffic, work = workload.bytes(direction), workload.flops(direction)
    floor_ms = 1e3 * traffic / limits.copy
    row = {
        "layer": workload.layer.name,
        "direction": direction,
        "shape": workload.shapes[0],
        "out_shape": workload.shapes[1],
        "dtype": workload.dtype,
        "ours_ms": own.median_wall,
        "ours_cpu_ms": own.median_cpu,
        "gb_per_s": traffic / own.median_wall / 1e6,
        "gflop_per_s": work / own.median_wall / 1e6,
        "memory_floor_ms": floor_ms,
        "percent_of_copy": 100 * floor_ms / own.median_wall,
        "percent_of_matmul": 100 * 1e3 * work / limits.matmul / own.median_wall,
        "copy_gb_per_s": limits.copy / 1e9,
        "matmul_gflop_per_s": limits.matmul / 1e9,
        "compile_s": costs["ours"][0],
        "temporaries_mb": costs["ours"][1],
        "ratios": {},
    }
    for name, (variant, timing) in best.items():
        middle, spread = ratio(timing, own)
        entry = {"median": middle, "spread": spread, "ms": timing.median_wall, "variant": variant}
        row["ratios"][name] = entry
        if name in costs:
            entry |= dict(zip(("compile_s", "temporaries_mb"), costs[name], strict=True))
    return row
