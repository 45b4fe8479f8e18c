"""How published PyTorch checkpoints name the parameters of our networks.

A *naming* is a table from our module paths to theirs. The names of one network differ between
publications, since whatever fills a strided slot shifts the indices of the layers around it:

  "torchvision": plain networks, nothing in the slots;
  "wrapped": antialiased-cnns, adaptive-filter and LPS checkpoints, where the slot and the layer
    behind it share a sequence (`layer2.0.conv2.0.*`, `layer2.0.conv2.1.weight`);
  "aps": APS checkpoints, where circular padding and convolution share a sequence
    (`conv1.1.weight`).
"""

import functools
from collections.abc import Iterator

import numpy as np
from flax import nnx

from aa_jax.models import VGG, AlexNet, BasicBlock, DenseNet, MobileNetV2, ResNet
from aa_jax.nn import BatchNorm, Conv, Identity, Linear

# Modules inside a slot: adaptive filters, then the score network and the filter of LPS.
_INSIDE_SLOTS = {
    "predictor": "conv",
    "norm": "bn",
    "logits.conv1": "component_selection.get_logits.conv1",
    "logits.conv2": "component_selection.get_logits.conv2",
    "filter.predictor": "_antialias_layer.conv",
    "filter.norm": "_antialias_layer.bn",
    "": "component_selection",
}
_LEAVES = {
    BatchNorm: {
        "scale": "weight",
        "bias": "bias",
        "mean": "running_mean",
        "var": "running_var",
    },
    Conv: {"kernel": "weight", "bias": "bias"},
    Linear: {"kernel": "weight", "bias": "bias"},
}


def namings(model: nnx.Module) -> tuple[str, ...]:
    """The namings in which checkpoints of this network may come, its own first."""
    kind = model.antialias.kind
    if kind == "none":
        return ("torchvision",)
    return ("aps" if kind == "aps" else "wrapped", "torchvision")


def torch_names(model: nnx.Module, *, naming: str) -> dict[str, str]:
    """Names of all parameters and statistics.

    Args:
      model: one of the networks of `aa_jax.models`.
      naming: one of `namings(model)`.

    Returns:
      Our dotted path -> the name in a PyTorch checkpoint.

    Raises:
      ValueError: the network is of a class without name table.
    """
    table = dict(_modules(model, naming))
    names = {}
    for path in variables(model):
        module_path, _, leaf = path.rpartition(".")
        slot = module_path
        while slot and slot not in table:
            slot = slot.rpartition(".")[0]
        theirs = table[slot]
        if slot != module_path or leaf == "temperature":
            theirs = f"{theirs}.{_INSIDE_SLOTS[module_path[len(slot) + 1 :]]}"
        names[path] = f"{theirs}.{_leaf_name(model, module_path, leaf)}"
    return names


def variables(model: nnx.Module) -> dict[str, nnx.Variable]:
    """Parameters and statistics of a network by our dotted path."""
    state = nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat))
    return {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(state)}


def module_at(model: nnx.Module, path: str) -> nnx.Module:
    """The module of a dotted path."""
    for name in path.split("."):
        model = model[int(name)] if name.isdigit() else getattr(model, name)
    return model


def to_torch_layout(module: nnx.Module, leaf: str, array: np.ndarray) -> np.ndarray:
    """Our axis order -> PyTorch's: kernels HWIO -> OIHW, dense (in, out) -> (out, in)."""
    if leaf == "kernel":
        return array.transpose(3, 2, 0, 1) if isinstance(module, Conv) else array.T
    return array


def from_torch_layout(module: nnx.Module, leaf: str, array: np.ndarray) -> np.ndarray:
    """PyTorch's axis order -> ours, the inverse of `to_torch_layout`."""
    if leaf == "kernel" and array.ndim == (4 if isinstance(module, Conv) else 2):
        return array.transpose(2, 3, 1, 0) if isinstance(module, Conv) else array.T
    return array


def _leaf_name(model: nnx.Module, module_path: str, leaf: str) -> str:
    if leaf == "temperature":
        return "gumbel_tau"
    module = module_at(model, module_path)
    table = next(table for kind, table in _LEAVES.items() if isinstance(module, kind))
    return table[leaf]


@functools.singledispatch
def _modules(model: nnx.Module, naming: str) -> Iterator[tuple[str, str]]:
    """Pairs (our module path, theirs); a slot stands for everything inside it."""
    raise ValueError(
        "model must be a network of aa_jax.models to have PyTorch names, got "
        f"{type(model).__name__}"
    )


@_modules.register
def _resnet(model: ResNet, naming: str) -> Iterator[tuple[str, str]]:
    yield "conv1", "conv1.1" if naming == "aps" else "conv1"
    yield "bn1", "bn1"
    yield "first_pool", "maxpool.0"
    # [slot, max, slot], and in LPS a padding before the maximum.
    before = 0 if isinstance(model.first_pool, Identity) else 2 if model.antialias.polyphase else 1
    yield "maxpool.pool", f"maxpool.{before + 1}"
    for stage in range(1, model.num_stages + 1):
        for index, block in enumerate(getattr(model, f"layer{stage}")):
            path = f"layer{stage}.{index}"
            for ours, theirs in _resnet_block(block, naming):
                yield f"{path}.{ours}", f"{path}.{theirs}"
    yield "fc", "fc"


def _resnet_block(block: nnx.Module, naming: str) -> Iterator[tuple[str, str]]:
    slot = naming != "torchvision" and not isinstance(block.pool, Identity)
    convs = ("conv1", "conv2") if isinstance(block, BasicBlock) else ("conv1", "conv2", "conv3")
    for number, name in enumerate(convs, start=1):
        if naming == "aps":
            wrapped = getattr(block, name).kernel.shape[0] > 1
        else:
            wrapped = slot and name == convs[-1]
        yield name, f"{name}.1" if wrapped else name
        yield f"bn{number}", f"bn{number}"
    yield "pool", "aps_down" if naming == "aps" else f"{convs[-1]}.0"
    yield "shortcut.pool", "downsample.0"
    yield "shortcut.conv", f"downsample.{int(slot)}"
    yield "shortcut.norm", f"downsample.{int(slot) + 1}"


@_modules.register
def _mobilenet(model: MobileNetV2, naming: str) -> Iterator[tuple[str, str]]:
    yield from (("stem.conv", "features.0.0"), ("stem.norm", "features.0.1"))
    yield "first_pool", "features.0.3"
    for index, block in enumerate(model.blocks):
        ours, theirs, position = f"blocks.{index}", f"features.{index + 1}.conv", 0
        for name in ("expand", "depthwise"):
            if getattr(block, name) is not None:
                yield f"{ours}.{name}.conv", f"{theirs}.{position}.0"
                yield f"{ours}.{name}.norm", f"{theirs}.{position}.1"
                position += 1
        yield f"{ours}.pool", f"{theirs}.{position}"
        position += naming != "torchvision" and not isinstance(block.pool, Identity)
        yield f"{ours}.project.conv", f"{theirs}.{position}"
        yield f"{ours}.project.norm", f"{theirs}.{position + 1}"
    last = len(model.blocks) + 1
    yield from (("head.conv", f"features.{last}.0"), ("head.norm", f"features.{last}.1"))
    # torchvision has a dropout in front.
    yield "classifier", "classifier.1" if naming == "torchvision" else "classifier.0"


@_modules.register
def _densenet(model: DenseNet, naming: str) -> Iterator[tuple[str, str]]:
    del naming
    for name in ("conv0", "norm0", "norm5"):
        yield name, f"features.{name}"
    yield from (("first_pool", "features.ds0"), ("pool0.pool", "features.pool0"))
    for index, block in enumerate(model.blocks):
        for layer in range(len(block)):
            for name in ("norm1", "conv1", "norm2", "conv2"):
                theirs = f"features.denseblock{index + 1}.denselayer{layer + 1}.{name}"
                yield f"blocks.{index}.{layer}.{name}", theirs
    for index in range(len(model.transitions)):
        for name in ("norm", "conv", "pool"):
            yield f"transitions.{index}.{name}", f"features.transition{index + 1}.{name}"
    yield "classifier", "classifier"


@_modules.register
def _vgg(model: VGG, naming: str) -> Iterator[tuple[str, str]]:
    position = 0
    for stage, units in enumerate(model.stages):
        for index, unit in enumerate(units):
            yield f"stages.{stage}.{index}.conv", f"features.{position}"
            yield f"stages.{stage}.{index}.norm", f"features.{position + 1}"
            position += 2 if unit.norm is None else 3
        yield f"pools.{stage}.pool", f"features.{position + 1}"
        position += 1 if naming == "torchvision" else 2
    for index in range(len(model.classifier)):
        yield f"classifier.{index}", f"classifier.{3 * index}"


@_modules.register
def _alexnet(model: AlexNet, naming: str) -> Iterator[tuple[str, str]]:
    convs = (0, 3, 6, 8, 10) if naming == "torchvision" else (0, 5, 9, 11, 13)
    for index, position in enumerate(convs):
        yield f"convs.{index}", f"features.{position}"
    yield "first_pool", "features.2"
    for index, position in enumerate((4, 8, 16)):
        yield f"pools.{index}.pool", f"features.{position}"
    for index in range(len(model.classifier)):
        yield f"classifier.{index}", f"classifier.{3 * index + 1 - (index == 2)}"
