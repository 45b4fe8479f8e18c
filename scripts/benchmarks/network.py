"""ResNet-50 evaluation at 8 x 224 x 224: plain, blur and adaptive, against PyTorch."""

import numpy as np
from flax import nnx
from jax import numpy as jnp

from aa_jax.models import resnet50
from scripts.benchmarks.timing import compiled, cycling

SHAPE = (8, 224, 224, 3)
OPTIONS = {
    "none": {},
    "blur": {"antialias": "blur", "filter_size": 4},
    "adaptive": {"antialias": "adaptive", "filter_size": 3, "groups": 8},
}


def cases():
    """Yields one case for each variant; its rivals include our plain network."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=SHAPE).astype(np.float32) for _ in range(2)]
    runs, costs = {}, {}
    for kind, options in OPTIONS.items():
        graph, state = nnx.split(resnet50(rngs=nnx.Rngs(0), **options))
        inputs = [(state, jnp.asarray(array)) for array in arrays]
        executable, *costs[kind] = compiled(
            lambda state, x, graph=graph: nnx.merge(graph, state, copy=True)(x), *inputs[0]
        )
        runs[kind] = cycling(executable, inputs)
    for kind in OPTIONS:
        rivals = {"ours": runs[kind]}
        if kind != "none":
            rivals["our plain"] = runs["none"]
        yield f"resnet50 {kind} {SHAPE}", rivals | _torch_rival(kind, arrays), *costs[kind]


def _torch_rival(kind: str, arrays):
    try:
        import torch

        from scripts.benchmarks import peers_torch
    except ImportError:
        return {}
    torch.manual_seed(0)
    network = peers_torch.resnet50(kind).eval()
    inputs = [peers_torch.tensors(array) for array in arrays]

    def run(number):
        with torch.inference_mode():
            return network(inputs[number % len(inputs)])

    return {f"torch {kind}": run}
