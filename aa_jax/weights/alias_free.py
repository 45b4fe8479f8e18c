"""Alias-free networks out of files and into them: official pickles, and safetensors of our own."""

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.alias_free import Generator, GeneratorPlan
from aa_jax.models.alias_free.discriminator import Discriminator
from aa_jax.weights.alias_free_names import (
    fixed_problems,
    from_official,
    official_names,
    official_shape,
    variables,
)
from aa_jax.weights.alias_free_options import (
    discriminator_options_of,
    generator_from_json,
    generator_plan_of,
    generator_to_json,
)
from aa_jax.weights.errors import WeightsError
from aa_jax.weights.network_pickle import PickledNetwork, read_network_pickle
from aa_jax.weights.safetensors_file import (
    is_safetensors,
    read_metadata,
    read_safetensors,
    write_safetensors,
)

_FORMAT, _CONFIGURATION = "aa_jax", "configuration"
_GENERATOR = "alias_free.Generator"


@dataclasses.dataclass(frozen=True)
class NetworkReport:
    """What became of an official network's tensors.

    Attributes:
        entries: official name -> our path, of everything loaded.
        fixed: names of buffers that hold nothing learnt: filters, and the identity transform. They
            were compared with ours.
        filter_difference: the largest difference among them, relative to the largest tap.
    """

    entries: dict[str, str]
    fixed: tuple[str, ...]
    filter_difference: float


def load_generator(
    path: str | os.PathLike,
    *,
    network: str = "G_ema",
    half_dtype: str | None = None,
    param_dtype: jnp.dtype = jnp.float32,
) -> Generator:
    """Loads an alias-free generator, configuration included; nothing in the file is executed.

    Args:
        path: an official StyleGAN3 ``.pkl`` of configuration T or R, or a ``.safetensors`` file of
            ``save_generator``; recognised by its content.
        network: which of a pickle's generators: ``"G_ema"``, averaged over training, or ``"G"``.
        half_dtype: as ``Generator`` takes it; None: as the file says, else full precision.
        param_dtype: dtype of the weights.

    Returns:
        The generator.

    Raises:
        UnsafePickleError: the pickle asks for a name that such files don't have.
        WeightsError: the file is damaged or of another kind, its configuration unknown, or its
            tensors don't fit that configuration; everything that doesn't is listed.
        OSError: the file can't be opened.

    Example:
        >>> generator = load_generator("stylegan3-r-ffhqu-256x256.pkl")
        >>> images = generator(latents_from_seeds([1, 2], generator.z_dim))
    """
    with open(path, "rb") as file:
        head = file.read(16)
        size = file.seek(0, os.SEEK_END)
    if not is_safetensors(head, size):
        pickled = _member(path, network)
        with _naming(path):
            return generator_of(pickled, half_dtype, param_dtype)[0]
    metadata, tensors = read_metadata(path), read_safetensors(path)
    with _naming(path):
        plan, options = _configuration(metadata)
        options |= {"half_dtype": half_dtype or options["half_dtype"], "param_dtype": param_dtype}
        abstract = _abstract(Generator, plan, **options)
        return _filled(abstract, tensors, {name: name for name in variables(abstract)}, (), [])


def load_discriminator(
    path: str | os.PathLike,
    *,
    half_dtype: str | None = None,
    param_dtype: jnp.dtype = jnp.float32,
) -> Discriminator:
    """Loads the discriminator of an official StyleGAN3 pickle; nothing in it is executed.

    Args:
        path: the ``.pkl``.
        half_dtype: as ``Discriminator`` takes it.
        param_dtype: dtype of the weights.

    Raises:
        UnsafePickleError, WeightsError, OSError: as ``load_generator``.
    """
    pickled = _member(path, "D")
    with _naming(path):
        return discriminator_of(pickled, half_dtype, param_dtype)[0]


def save_generator(generator: Generator, path: str | os.PathLike) -> None:
    """Writes a generator as ``.safetensors`` that ``load_generator`` reads, whole or not at all.

    The tensors have our names and layouts; the configuration is JSON in the file's metadata.

    Args:
        generator: the network.
        path: the file to write; an earlier one is replaced once the new one is complete.

    Raises:
        WeightsError: an option of the generator is beyond what a file may say.
        OSError: the file can't be written.
    """
    options = dict(generator.options)
    if options["half_dtype"] is not None:
        options["half_dtype"] = jnp.dtype(options["half_dtype"]).name
    try:
        configuration = generator_to_json(generator.plan, options)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"the generator's options can't be written: {error}") from error
    generator_from_json(configuration)  # What can't be read again isn't written.
    tensors = {name: np.asarray(leaf[...]) for name, leaf in variables(generator).items()}
    metadata = {_FORMAT: _GENERATOR, _CONFIGURATION: configuration}
    write_safetensors(path, tensors, metadata=metadata)


def generator_of(
    network: PickledNetwork, half_dtype: str | None = None, param_dtype: jnp.dtype = jnp.float32
) -> tuple[Generator, NetworkReport]:
    """Makes a generator of one in a pickle.

    Args:
        network: from ``read_network_pickle``.
        half_dtype: as ``Generator`` takes it.
        param_dtype: dtype of the weights.

    Returns:
        The generator, and what became of the tensors.

    Raises:
        WeightsError: it isn't a StyleGAN3 generator, or its parts don't fit each other.
    """
    _check_class(network, "Generator", {"synthesis.input": "SynthesisInput"})
    plan, options = generator_plan_of(network.init_kwargs)
    planned = [f"synthesis.{spec.name}" for spec in plan.layers]
    found = [name for name, kind in network.modules.items() if kind == "SynthesisLayer"]
    if planned != found:
        raise WeightsError(
            f"the file's configuration plans the layers {_listed(planned)}; the file has "
            f"{_listed(found)}"
        )
    options |= {"half_dtype": half_dtype, "param_dtype": param_dtype}
    return _from_official(_abstract(Generator, plan, **options), network)


def discriminator_of(
    network: PickledNetwork, half_dtype: str | None = None, param_dtype: jnp.dtype = jnp.float32
) -> tuple[Discriminator, NetworkReport]:
    """Makes a discriminator of one in a pickle; arguments and errors as of ``generator_of``."""
    _check_class(network, "Discriminator", {"b4": "DiscriminatorEpilogue"})
    options = discriminator_options_of(network.init_kwargs)
    options |= {"half_dtype": half_dtype, "param_dtype": param_dtype}
    return _from_official(_abstract(Discriminator, **options), network)


def _member(path: str | os.PathLike, name: str) -> PickledNetwork:
    networks = read_network_pickle(path)
    if name not in networks:
        raise WeightsError(
            f"{os.fspath(path)}: the file has no network {name!r}; it has {_listed(networks)}"
        )
    return networks[name]


@contextlib.contextmanager
def _naming(path: str | os.PathLike) -> Iterator[None]:
    """Puts the file's name before an error."""
    try:
        yield
    except WeightsError as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from error


def _configuration(metadata: Mapping[str, str]) -> tuple[GeneratorPlan, dict[str, Any]]:
    if metadata.get(_FORMAT) != _GENERATOR or _CONFIGURATION not in metadata:
        raise WeightsError(
            "the file's metadata don't describe an alias-free generator; expected a file of "
            "save_generator"
        )
    return generator_from_json(metadata[_CONFIGURATION])


def _check_class(network: PickledNetwork, name: str, parts: Mapping[str, str]) -> None:
    if network.init_args:
        raise WeightsError(
            f"the network was made with {len(network.init_args)} positional arguments; expected "
            "keywords, as the official training code passes them"
        )
    found = {part: network.modules.get(part) for part in parts}
    if network.class_name != name or found != parts:
        raise WeightsError(
            f"the network is a {network.class_name[:80]} with {found}; expected a StyleGAN3 {name} "
            f"with {dict(parts)}"
        )


def _abstract(kind: type[nnx.Module], *arguments: Any, **options: Any) -> nnx.Module:
    """A network with shapes in place of weights: nothing is drawn or allocated."""
    try:
        return nnx.eval_shape(lambda: kind(*arguments, **options, rngs=nnx.Rngs(0)))
    except ValueError as error:
        raise WeightsError(f"these options make no network: {error}") from error


def _from_official(
    abstract: nnx.Module, network: PickledNetwork
) -> tuple[nnx.Module, NetworkReport]:
    names = official_names(abstract)
    fixed, problems, worst = fixed_problems(abstract, network.tensors)
    model = _filled(abstract, network.tensors, names, fixed, problems, official=True)
    entries = {theirs: ours for ours, theirs in names.items()}
    return model, NetworkReport(entries, tuple(fixed), worst)


def _filled(
    abstract: nnx.Module,
    tensors: Mapping[str, np.ndarray],
    names: Mapping[str, str],
    others: Iterable[str],
    problems: Iterable[str],
    *,
    official: bool = False,
) -> nnx.Module:
    """The network with the tensors in it, or one error with a line for all that doesn't fit."""
    problems = list(problems)
    graph, state = nnx.split(abstract)
    leaves = []
    for path, variable in nnx.to_flat_state(state):
        ours = ".".join(map(str, path))
        expected = official_shape(ours, variable.shape) if official else variable.shape
        array = tensors.get(names[ours])
        problem = _misfit(names[ours], array, expected)
        if problem:
            problems.append(problem)
        else:
            array = from_official(ours, array) if official else array
            leaves.append((path, variable.replace(jnp.asarray(array, variable.dtype))))
    known = {*names.values(), *others}
    problems += [
        f"surplus: {name[:120]} of shape {array.shape}"
        for name, array in tensors.items()
        if name not in known
    ]
    if problems:
        raise WeightsError(
            f"{len(problems)} entries do not fit the {type(abstract).__name__} that the file's "
            "configuration describes:\n  " + "\n  ".join(problems)
        )
    return nnx.merge(graph, nnx.from_flat_state(leaves))


def _misfit(name: str, array: np.ndarray | None, shape: tuple[int, ...]) -> str | None:
    """A line that says what is wrong with a tensor, if anything."""
    if array is None:
        return f"missing: {name} of shape {shape}"
    if array.shape != shape:
        return f"misshapen: {name} has shape {array.shape}, expected {shape}"
    if not jnp.issubdtype(array.dtype, jnp.floating):
        return f"of another kind: {name} has dtype {array.dtype}, expected floating numbers"
    not_finite = array.size - int(np.isfinite(array).sum())
    if not_finite:
        return f"not finite: {name} has {not_finite} NaN or infinite values"
    return None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name[:80] for name in list(names)[:40]) or "none"
