"""Rebuilds the weights of the reference networks, which are stored as a rule, and runs them."""

import ast

import jax
import numpy as np
from flax import nnx
from jax import numpy as jnp

from aa_jax.models import create
from aa_jax.nn import AntiAlias
from aa_jax.weights.load import load_into


def generate_weights(reference: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The float32 tensors of a reference network, by PyTorch name."""
    rng = np.random.Generator(np.random.PCG64(int(reference["seed"])))
    names = [str(name) for name in reference["param_names"]]
    scales = dict(zip(map(str, reference["bn_names"]), reference["bn_scale"], strict=True))
    tensors = {}
    for name, text in zip(names, reference["param_shapes"], strict=True):
        shape = tuple(int(side) for side in str(text).split("x"))
        noise = rng.standard_normal(shape)
        stem, _, leaf = name.rpartition(".")
        scale = float(scales.get(stem, 1.0))
        if leaf == "bias":
            value = 0.1 * noise
        elif leaf == "running_mean":
            value = 0.1 * noise * np.sqrt(scale)
        elif leaf == "running_var":
            value = np.exp(0.1 * noise) * scale
        elif f"{stem}.running_mean" in names:
            value = 1 + 0.1 * noise
        elif len(shape) == 4:
            value = float(reference["conv_gain"]) * noise / np.sqrt(np.prod(shape[1:]))
        else:
            value = noise / np.sqrt(shape[1])
        tensors[name] = value.astype(np.float32)
    sums = [tensor.sum(dtype=np.float64) for tensor in tensors.values()]
    np.testing.assert_allclose(sums, reference["param_sum"], rtol=1e-9, atol=1e-9)
    return tensors


def antialias_of(reference: dict[str, np.ndarray]) -> AntiAlias:
    """The anti-aliasing that a reference file's options describe."""
    arch = str(reference["meta_arch"])
    if "Custom" in arch:
        return _learnt_polyphase(reference)
    size = int(reference["meta_filter_size"]) if "meta_filter_size" in reference else None
    kinds = {"blurpool": "blur", "adaptive": "adaptive", "APS": "aps"}
    kind = next((kind for word, kind in kinds.items() if word in arch), "none")
    return AntiAlias(kind, filter_size=size, groups=int(reference.get("meta_group", 8)))


def _learnt_polyphase(reference: dict[str, np.ndarray]) -> AntiAlias:
    options = ast.literal_eval(str(reference["meta_antialias"]))
    widths = ast.literal_eval(str(reference["meta_logits_channels"]))
    reduction = 1 if widths is None else 64 // widths["maxpool"]
    if options is None:
        return AntiAlias("lps", hidden_reduction=reduction)
    return AntiAlias(
        "lps",
        filter_size=options["antialias_size"],
        groups=options["antialias_group"],
        filter_kind="adaptive" if options["antialias_mode"] == "DDAC" else "binomial",
        hidden_reduction=reduction,
    )


def build(reference: dict[str, np.ndarray], *, param_dtype=jnp.float32) -> nnx.Module:
    """The network of a reference file, its weights loaded through the PyTorch name tables."""
    abstract = abstract_network(reference, param_dtype=param_dtype)
    graphdef, state = nnx.split(abstract)
    # Drawing initial weights would take longer than the test.
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), state)
    model = nnx.merge(graphdef, zeros)
    load_into(model, generate_weights(reference))
    return model


def abstract_network(reference: dict[str, np.ndarray], **options) -> nnx.Module:
    """The network of a reference file, shapes only."""
    arch = str(reference["meta_arch"]).split()[0].removesuffix(",")
    name = "resnet18" if arch == "ResNet18Custom" else arch
    num_classes = int(reference.get("meta_num_classes", 1000))
    options["num_classes"] = None if "features" in reference else num_classes
    options["antialias"] = antialias_of(reference)
    return nnx.eval_shape(lambda: create(name, rngs=nnx.Rngs(0), **options))


def run(model: nnx.Module, x: np.ndarray) -> dict[str, np.ndarray]:
    """Logits and all recorded intermediates for NCHW images, compiled once, back in NCHW."""
    graphdef, state = nnx.split(model)

    @jax.jit
    def forward(state, x):
        recorded = {}
        recorded["logits"] = nnx.merge(graphdef, state)(x, record=recorded.__setitem__)
        return recorded

    dtype = jax.tree.leaves(state)[0].dtype
    outputs = forward(state, jnp.asarray(x.transpose(0, 2, 3, 1), dtype))
    return {
        name: np.asarray(array).transpose(0, 3, 1, 2) if array.ndim == 4 else np.asarray(array)
        for name, array in outputs.items()
    }
