"""Puts the tensors of a checkpoint into a network, completely or not at all."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from flax import nnx

from aa_jax.filters import binomial
from aa_jax.nn import AntiAlias
from aa_jax.weights.errors import WeightsError
from aa_jax.weights.names import (
    from_torch_layout,
    module_at,
    namings,
    to_torch_layout,
    torch_names,
    variables,
)

# Training wrappers put these in front of every name.
_PREFIXES = ("module.", "core.")
# Counts batches in PyTorch's batch norm; nothing here needs it.
_COUNTER = "num_batches_tracked"
# State with a sensible default that older checkpoints lack.
_OPTIONAL = "temperature"


@dataclasses.dataclass(frozen=True)
class Report:
    """What became of a checkpoint.

    Attributes:
      entries: name in the checkpoint -> our path, of everything loaded.
      ignored: names that were not needed: batch counters, and fixed blur kernels, which were
        compared with our own.
      naming: the naming the checkpoint turned out to use, see `aa_jax.weights.names`.
    """

    entries: dict[str, str]
    ignored: tuple[str, ...]
    naming: str


def load_into(
    model: nnx.Module, tensors: Mapping[str, np.ndarray], *, source: str = "torch"
) -> Report:
    """Loads a checkpoint into a network, in place.

    A plain checkpoint goes into an anti-aliased network too if its slots have no parameters of
    their own (blur, aps). Nothing is written unless everything fits.

    Args:
      model: one of the networks of `aa_jax.models`.
      tensors: arrays by name, as `read_checkpoint` gives them.
      source: "torch" for PyTorch names and layouts, "aa_jax" for what `export` gives.

    Returns:
      What was loaded and what was ignored.

    Raises:
      WeightsError: entries are missing, left over, of another shape, or not finite, or a stored
        blur kernel is not the network's; the one message lists all of them.
      ValueError: `source` is unknown.
    """
    ours = variables(model)
    if source == "aa_jax":
        names, naming, ignored = {path: path for path in ours}, "aa_jax", ()
    elif source == "torch":
        tensors = _strip_prefixes(tensors)
        names, naming = _best_naming(model, tensors)
        ignored = tuple(name for name in tensors if name.rpartition(".")[2] in (_COUNTER, "filt"))
    else:
        raise ValueError(f'source must be "torch" or "aa_jax", got {source!r}')
    filters = {name: tensors[name] for name in ignored if name.endswith("filt")}
    problems = _wrong_filters(filters, model.antialias) if filters else []
    values, more = _match(model, ours, names, tensors, ignored, source)
    problems += more
    if problems:
        raise WeightsError(
            f"{len(problems)} entries of the checkpoint do not fit a {type(model).__name__} with "
            f"antialias={model.antialias.kind!r} (names read as {naming!r}):\n  "
            + "\n  ".join(problems)
        )
    for path, value in values.items():
        module_path, _, leaf = path.rpartition(".")
        variable = getattr(module_at(model, module_path), leaf)
        variable[...] = value.astype(variable.dtype)
    return Report({names[path]: path for path in values}, ignored, naming)


def export(model: nnx.Module) -> dict[str, np.ndarray]:
    """Parameters and statistics by our dotted path, in our layouts, as `load_into` takes them."""
    return {path: np.asarray(leaf[...]) for path, leaf in variables(model).items()}


def export_torch(model: nnx.Module) -> dict[str, np.ndarray]:
    """Parameters and statistics under the network's own PyTorch names, in PyTorch's layouts.

    Blur kernels and batch counters, which hold nothing learnt, are left out.
    """
    names = torch_names(model, naming=namings(model)[0])
    arrays = {}
    for path, array in export(model).items():
        module_path, _, leaf = path.rpartition(".")
        arrays[names[path]] = to_torch_layout(module_at(model, module_path), leaf, array)
    return arrays


def _match(model, ours, names, tensors, ignored, source):
    """Values by our path for all that fits, and a line for each entry that does not."""
    values, problems = {}, []
    for path, variable in ours.items():
        name = names[path]
        module_path, _, leaf = path.rpartition(".")
        if name not in tensors:
            if leaf != _OPTIONAL:
                problems.append(f"missing: {name} of shape {variable.shape} (our {path})")
            continue
        module, array = module_at(model, module_path), np.asarray(tensors[name])
        expected = variable.shape
        if source == "torch":
            expected = to_torch_layout(module, leaf, np.empty(expected, np.bool_)).shape
        if array.shape != expected:
            problems.append(f"misshapen: {name} has shape {array.shape}, expected {expected}")
            continue
        not_finite = array.size - int(np.isfinite(array.astype(np.float64)).sum())
        if not_finite:
            problems.append(f"not finite: {name} has {not_finite} NaN or infinite values")
        values[path] = from_torch_layout(module, leaf, array) if source == "torch" else array
    known = {*names.values(), *ignored}
    for name in tensors:
        if name not in known:
            problems.append(f"surplus: {name} of shape {np.shape(tensors[name])}")
    return values, problems


def _best_naming(model: nnx.Module, tensors: Mapping[str, np.ndarray]) -> tuple[dict, str]:
    """The naming under which most names agree; the network's own where it makes no difference."""
    tables = {naming: torch_names(model, naming=naming) for naming in namings(model)}
    present = set(tensors)
    naming = max(tables, key=lambda candidate: len(present & set(tables[candidate].values())))
    return tables[naming], naming


def _strip_prefixes(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    stripped = dict(tensors)
    for prefix in _PREFIXES:
        if stripped and all(name.startswith(prefix) for name in stripped):
            stripped = {name[len(prefix) :]: array for name, array in stripped.items()}
    return stripped


def _wrong_filters(filters: Mapping[str, np.ndarray], antialias: AntiAlias) -> list[str]:
    """A line for each stored blur kernel that is not the one this network applies."""
    problems = []
    blurs = antialias.kind in ("blur", "aps") or (
        antialias.kind == "lps" and antialias.filter_kind == "binomial"
    )
    row = np.asarray(binomial(antialias.taps), np.float64)
    kernel = np.outer(row, row) / row.sum() ** 2
    for name, stored in filters.items():
        if not blurs:
            problems.append(f"surplus: {name} of shape {stored.shape} (a fixed blur kernel)")
        elif stored.shape[-2:] != kernel.shape:
            size = stored.shape[-1] if stored.ndim else 0
            problems.append(
                f"other filter: {name} has {size} taps, the network blurs with {antialias.taps}; "
                f"build it with filter_size={size}"
            )
        elif not np.allclose(stored.astype(np.float64), kernel, rtol=1e-3, atol=1e-6):
            problems.append(f"other filter: {name} is not the binomial filter of {kernel.shape}")
    return problems
