"""How the official code names and lays out the tensors of alias-free networks, and its filters."""

from collections.abc import Iterator, Mapping

import numpy as np
from flax import nnx

from aa_jax.filters import binomial
from aa_jax.models.alias_free import FilterDesign, Generator
from aa_jax.models.alias_free.discriminator import Discriminator

# Designs are float64, rounded once to float32; another library's last bit may differ.
_FILTER_TOLERANCE = 5e-7
_TRANSFORM = "synthesis.input.transform"


def variables(model: nnx.Module) -> dict[str, nnx.Variable]:
    """Every variable of a network, also what isn't trained, by our dotted path."""
    state = nnx.to_flat_state(nnx.state(model))
    return {".".join(map(str, path)): variable for path, variable in state}


def official_names(model: Generator | Discriminator) -> dict[str, str]:
    """Our dotted path -> the official name, of every variable of a network."""
    modules = dict(_generator(model) if isinstance(model, Generator) else _discriminator(model))
    names = {}
    for path in variables(model):
        module, _, leaf = path.rpartition(".")
        names[path] = f"{modules[module]}.{'weight' if leaf == 'kernel' else leaf}"
    return names


def official_shape(path: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The official shape of a variable of ours."""
    if not path.endswith("kernel"):
        return shape
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape[::-1]


def from_official(path: str, array: np.ndarray) -> np.ndarray:
    """An official tensor in our layout: OIHW becomes HWIO, (out, in) becomes (in, out)."""
    if not path.endswith("kernel"):
        return array
    if path == "epilogue.fc.kernel":
        # It takes a flattened 4 x 4 map: theirs by channel first, ours by position first.
        out, features = array.shape
        return array.reshape(out, features // 16, 4, 4).transpose(2, 3, 1, 0).reshape(features, out)
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def fixed_problems(
    model: Generator | Discriminator, tensors: Mapping[str, np.ndarray]
) -> tuple[list[str], list[str], float]:
    """Compares official buffers that hold nothing learnt with what our networks compute with.

    Args:
        model: the network, possibly abstract.
        tensors: the file's, by official name.

    Returns:
        The names compared; a line for each that differs or is missing; the largest difference of
        a filter, relative to its largest tap.
    """
    names, problems, worst = [], [], 0.0
    for name, expected in _fixed(model):
        stored = tensors.get(name)
        if stored is not None:
            names.append(name)
        if expected is None:
            if stored is not None:
                problems.append(f"other filter: {name} is there; expected none")
        elif stored is None:
            problems.append(f"missing: {name}")
        elif stored.shape != expected.shape:
            problems.append(
                f"other filter: {name} has shape {stored.shape}, expected {expected.shape}"
            )
        else:
            difference = float(np.abs(stored.astype(np.float64) - expected).max())
            difference /= np.abs(expected).max()
            if not difference <= _FILTER_TOLERANCE:
                what = "other filter" if name != _TRANSFORM else "not the identity"
                problems.append(f"{what}: {name} differs from ours by {difference:.2g}")
            worst = max(worst, difference)
    return names, problems, worst


def _fixed(model: Generator | Discriminator) -> Iterator[tuple[str, np.ndarray | None]]:
    """Official names of fixed buffers, and what each must hold; None where there must be none."""
    if isinstance(model, Generator):
        # A picture's transform is an argument here, so a stored one would be lost.
        yield _TRANSFORM, np.eye(3)
        for spec in model.synthesis.plan.layers:
            for side, design in (("up", spec.up_filter), ("down", spec.down_filter)):
                yield f"synthesis.{spec.name}.{side}_filter", _taps(design)
        return
    row = np.asarray(binomial(4), np.float64)
    kernel = np.outer(row, row) / row.sum() ** 2
    for path, name in _discriminator(model):
        kind = path.rpartition(".")[2]
        if path.startswith("blocks.") or path == "epilogue.conv":
            yield f"{name}.resample_filter", kernel
        if kind == "conv0":
            yield f"{name.rpartition('.')[0]}.resample_filter", kernel


def _taps(design: FilterDesign | None) -> np.ndarray | None:
    return None if design is None else design.taps()


def _generator(model: Generator) -> Iterator[tuple[str, str]]:
    """Pairs (our module path, theirs)."""
    yield from _mapping(model)
    for name in ("synthesis.input", "synthesis.input.affine"):
        yield name, name
    for index, spec in enumerate(model.synthesis.plan.layers):
        for inner in ("", ".affine"):
            yield f"synthesis.layers.{index}{inner}", f"synthesis.{spec.name}{inner}"


def _discriminator(model: Discriminator) -> Iterator[tuple[str, str]]:
    if model.mapping is not None:
        yield from _mapping(model)
    for index, block in enumerate(model.blocks):
        for name in ("fromrgb", "conv0", "conv1", "skip"):
            if getattr(block, name) is not None:
                yield f"blocks.{index}.{name}", f"b{block.resolution}.{name}"
    for name in ("conv", "fc", "out"):
        yield f"epilogue.{name}", f"b4.{name}"


def _mapping(model: Generator | Discriminator) -> Iterator[tuple[str, str]]:
    yield from (("mapping", "mapping"), ("mapping.embed", "mapping.embed"))
    for index in range(len(model.mapping.layers)):
        yield f"mapping.layers.{index}", f"mapping.fc{index}"
