"""The adaptive low-pass layer against its published formulation by unfolding."""

import jax
import numpy as np
from flax import nnx
from jax import lax, numpy as jnp

from aa_jax.nn import AdaptiveBlurPool
from scripts.benchmarks.timing import compiled, cycling

SHAPE, GROUPS, SIZE, STRIDE = (8, 56, 56, 64), 8, 3, 2


def unfolded(params, x, *, train: bool):
    """Filters at all positions, applied to unfolded patches; the stride throws most away."""
    kernel, scale, bias, mean, var = params
    half, taps = SIZE // 2, SIZE**2
    padded = jnp.pad(x, ((0, 0), (half, half), (half, half), (0, 0)), mode="reflect")
    logits = lax.conv_general_dilated(
        padded, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    if train:
        mean, var = logits.mean((0, 1, 2)), logits.var((0, 1, 2))
    logits = (logits - mean) * lax.rsqrt(var + 1e-5) * scale + bias
    filters = jax.nn.softmax(logits).reshape(*x.shape[:3], GROUPS, 1, taps)
    height, width = x.shape[1:3]
    patches = jnp.stack(
        [padded[:, u : u + height, v : v + width] for u in range(SIZE) for v in range(SIZE)], -1
    ).reshape(*x.shape[:3], GROUPS, x.shape[3] // GROUPS, taps)
    return (patches * filters).sum(-1).reshape(x.shape)[:, ::STRIDE, ::STRIDE]


def cases():
    """Yields (title, rivals, compile seconds, temporary MB) for evaluation and training.

    The unfolded formulations always predict at all positions, as published; ours is measured with
    the batch statistics of all positions (equal numbers) and of the kept ones.
    """
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=SHAPE).astype(np.float32) for _ in range(3)]
    for title, train, statistics in (
        ("evaluation forward", False, "all"),
        ("training forward+backward", True, "all"),
        ("training forward+backward, kept", True, "kept"),
    ):
        layer = AdaptiveBlurPool(
            SHAPE[3], filter_size=SIZE, groups=GROUPS, statistics=statistics, rngs=nnx.Rngs(0)
        )
        rivals, cost = {}, None
        for name, (function, params) in _formulations(layer, train).items():
            inputs = [(params, jnp.asarray(array)) for array in arrays]
            executable, *measured = compiled(
                _with_gradient(function) if train else function, *inputs[0]
            )
            rivals[name] = cycling(executable, inputs)
            cost = cost or measured
        if statistics == "all":
            _agree(rivals)
        rivals |= _torch_rivals(arrays, train)
        yield f"adaptive layer {SHAPE} {title}", rivals, *cost


def _formulations(layer, train: bool):
    graph, state = nnx.split(layer)
    norm = layer.norm
    params = (
        layer.predictor.kernel[...],
        *(v[...] for v in (norm.scale, norm.bias, norm.mean, norm.var)),
    )
    return {
        "ours": (lambda state, x: nnx.merge(graph, state, copy=True)(x, train=train), state),
        "xla unfold": (lambda params, x: unfolded(params, x, train=train), params),
    }


def _with_gradient(function):
    def squares(params, x):
        return (function(params, x) ** 2).sum()

    return jax.value_and_grad(squares, (0, 1))


def _agree(rivals) -> None:
    ours, peer = (jax.tree.leaves(run(0))[0] for run in rivals.values())
    if not np.allclose(ours, peer, rtol=1e-4, atol=1e-4):
        raise AssertionError("the unfolded formulation computes something else")


def _torch_rivals(arrays, train: bool):
    try:
        import torch

        from scripts.benchmarks import peers_torch
    except ImportError:
        return {}
    layer = peers_torch.AdaptiveUnfold(SHAPE[3], GROUPS, SIZE, STRIDE).train(train)
    inputs = [peers_torch.tensors(array) for array in arrays]

    def run(number):
        x = inputs[number % len(inputs)]
        if not train:
            with torch.inference_mode():
                return layer(x)
        x = x.detach().requires_grad_()
        return torch.autograd.grad((layer(x) ** 2).sum(), (x, *layer.parameters()))

    return {"torch unfold": run}
