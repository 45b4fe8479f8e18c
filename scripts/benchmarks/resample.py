"""Resampling: ours against XLA's grouped convolution and PyTorch, forward and with gradient."""

import functools

import jax
import numpy as np
from jax import lax, numpy as jnp

from aa_jax.filters import binomial, firwin_sinc
from aa_jax.ops.blur import blur_pool
from aa_jax.ops.resample import downsample2d, upsample2d
from scripts.benchmarks.timing import compiled, cycling

TAPS = firwin_sinc(12, cutoff=1.0, width=1.2, rate=4.0)
SHAPES = ((1, 36, 36, 512), (4, 72, 72, 64), (1, 148, 148, 64), (1, 276, 276, 32))


def grouped(x, kernel, *, up=(1, 1), down=(1, 1), padding=((0, 0), (0, 0))):
    """XLA's own convolution with one filter per channel."""
    return lax.conv_general_dilated(
        x,
        jnp.tile(jnp.asarray(kernel, x.dtype)[:, :, None, None], (1, 1, 1, x.shape[-1])),
        down,
        # The zeros that follow the last sample count as padding here.
        padding,
        lhs_dilation=up,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def xla_up(x):
    column, row = TAPS[::-1, None] * 2, TAPS[None, ::-1] * 2
    pads = ((len(TAPS) + 1) // 2, (len(TAPS) - 2) // 2 + 1)
    y = grouped(x, column, up=(2, 1), down=(1, 1), padding=(pads, (0, 0)))
    return grouped(y, row, up=(1, 2), down=(1, 1), padding=((0, 0), pads))


def xla_down(x):
    pads = ((len(TAPS) - 1) // 2, (len(TAPS) - 2) // 2)
    y = grouped(x, TAPS[::-1, None], up=(1, 1), down=(2, 1), padding=(pads, (0, 0)))
    return grouped(y, TAPS[None, ::-1], up=(1, 1), down=(1, 2), padding=((0, 0), pads))


def xla_blur(x):
    taps = binomial(4)
    x = jnp.pad(x, ((0, 0), (1, 2), (1, 2), (0, 0)), mode="reflect")
    return grouped(x, np.outer(taps, taps), down=(2, 2))


def operations(names):
    """Yields (operation name, ours, XLA's, {peer name: maker of PyTorch functions})."""
    try:
        from scripts.benchmarks import peers_torch as torch_peers
    except ImportError:
        torch_peers = None

    def peers(**makers):
        if torch_peers is None:
            return {}
        return {
            f"torch {name.replace('_', ' ')}": functools.partial(getattr(torch_peers, maker), taps)
            for name, (maker, taps) in makers.items()
        }

    table = {
        "up": (
            lambda x: upsample2d(x, TAPS),
            xla_up,
            peers(
                zero_insertion=("upsample_zero_insertion", TAPS),
                transposed=("upsample_transposed", TAPS),
            ),
        ),
        "down": (
            lambda x: downsample2d(x, TAPS),
            xla_down,
            peers(grouped=("downsample_grouped", TAPS)),
        ),
        "blur": (
            lambda x: blur_pool(x, filter_size=4),
            xla_blur,
            peers(grouped=("blur_pool", binomial(4))),
        ),
    }
    for name in names:
        yield name, *table[name]


def cases(names, *, with_xla: bool):
    """Yields (title, rivals by name, compile seconds, temporary MB) for every shape and direction.

    The first rival is ours; all are checked to agree before they are timed.
    """
    rng = np.random.default_rng(0)
    for name, ours, xla, peers in operations(names):
        for shape in SHAPES:
            arrays = [rng.normal(size=shape).astype(np.float32) for _ in range(3)]
            inputs = [(jnp.asarray(array),) for array in arrays]
            out = jax.eval_shape(ours, inputs[0][0]).shape
            cotangent = rng.normal(size=out).astype(np.float32)
            for direction in ("forward", "forward+backward"):
                rivals, cost = {}, None
                # An argument, not a constant: XLA would compute the whole gradient ahead.
                extra = () if direction == "forward" else (jnp.asarray(cotangent),)
                given = [(x, *extra) for (x,) in inputs]
                for rival, function in (("ours", ours), ("xla grouped", xla)):
                    if rival != "ours" and not with_xla:
                        continue
                    if direction != "forward":
                        function = _with_gradient(function)
                    executable, *measured = compiled(function, *given[0])
                    rivals[rival] = cycling(executable, given)
                    cost = cost or measured
                for rival, maker in peers.items():
                    run = maker(channels=shape[-1])
                    for layout, last in (("", False), (" NHWC", True)):
                        rivals[rival + layout] = _torch_run(
                            run, arrays, cotangent, direction, channels_last=last
                        )
                _check(rivals)
                yield f"{name} {shape} {direction}", rivals, *cost


def _with_gradient(function):
    def run(x, cotangent):
        y, vjp = jax.vjp(function, x)
        return y, vjp(cotangent)[0]

    return run


def _torch_run(run, arrays, cotangent, direction, *, channels_last: bool):
    import torch

    from scripts.benchmarks import peers_torch

    tensors = functools.partial(peers_torch.tensors, channels_last=channels_last)
    inputs = [tensors(array) for array in arrays]
    if direction == "forward":

        def forward(number):
            with torch.inference_mode():
                return run(inputs[number % len(inputs)])

        return forward
    cotangent = tensors(cotangent)

    def both(number):
        x = inputs[number % len(inputs)].detach().requires_grad_()
        y = run(x)
        return y, torch.autograd.grad(y, x, cotangent)[0]

    return both


def _check(rivals) -> None:
    results = {name: run(0) for name, run in rivals.items()}
    expected = [np.asarray(part) for part in jax.tree.leaves(results.pop("ours"))]
    for name, result in results.items():
        for actual, reference in zip(jax.tree.leaves(result), expected, strict=True):
            actual = np.asarray(actual.detach() if hasattr(actual, "detach") else actual)
            if name.startswith("torch"):
                actual = np.moveaxis(actual, 1, -1)
            error = np.abs(actual - reference).max() / np.abs(reference).max()
            if actual.shape != reference.shape or error > 1e-5:
                raise AssertionError(f"{name} computes something else: error {error:.1e}")
