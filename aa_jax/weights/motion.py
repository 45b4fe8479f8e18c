"""Checkpoints of the First Order Motion model, published ones and our own: networks in one file.

A published file is a dictionary of state dictionaries `kp_detector`, `generator` and, not always,
`discriminator`, beside the state of optimisers, which is never read. What the networks look like
is not in the file: it follows from the shapes of its tensors. Our own files are `.safetensors`
with the same names and layouts; what shapes do not tell is JSON in their metadata.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Mapping

import numpy as np
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.motion import KeypointDetector, MotionGenerator, MultiScaleDiscriminator
from aa_jax.nn.spectral_norm import SpectralNormConv
from aa_jax.weights.checkpoint import read_checkpoint_parts
from aa_jax.weights.errors import WeightsError
from aa_jax.weights.motion_options import (
    MotionSettings,
    detector_options,
    discriminator_options,
    generator_options,
    published_settings,
    settings_from_json,
    settings_to_json,
)
from aa_jax.weights.names import from_torch_layout, module_at, to_torch_layout, variables
from aa_jax.weights.safetensors_file import read_metadata, read_safetensors, write_safetensors

_SETTINGS = "aa_jax.motion"  # in the metadata
PARTS = ("kp_detector", "generator", "discriminator")
# Counts batches in PyTorch's batch norm; nothing here needs it. A Gaussian's taps are computed
# anew: those stored would tie the network to one size of frames.
_IGNORED = re.compile(r"(^|\.)(num_batches_tracked|down\.weight)$")
_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "u": "weight_u",
    "v": "weight_v",
}


@dataclasses.dataclass(frozen=True)
class MotionNetworks:
    """The networks of a checkpoint.

    Attributes:
      kp_detector, generator: as trained.
      discriminator: as trained, or None where the file has none.
      settings: what the shapes of tensors do not tell.
      ignored: names in the file that were not needed.
    """

    kp_detector: KeypointDetector
    generator: MotionGenerator
    discriminator: MultiScaleDiscriminator | None
    settings: MotionSettings
    ignored: tuple[str, ...]


def load_motion(
    path: str | os.PathLike,
    *,
    corners: str | None = None,
    param_dtype: jnp.dtype = jnp.float32,
) -> MotionNetworks:
    """Loads a checkpoint; nothing in it is executed.

    Args:
      path: a published `.pth.tar`, `.pth` or `.pt` file (whose `.tar` is only a name), or what
        `save_motion` wrote.
      corners: how flows are read, see `aa_jax.ops.grid_sample`; None: as the file says, and
        published files do not say: those of 2019 and 2020 were trained with "aligned" corners.
      param_dtype: dtype of the weights.

    Raises:
      UnsafePickleError: the file asks for something beyond tensors and plain containers.
      WeightsError: it is another model's, or damaged; entries that are missing, surplus,
        misshapen or not finite are listed in one message.
      OSError: it can't be opened.

    Example:
      >>> networks = load_motion("vox-cpk.pth.tar")
      >>> networks.kp_detector(frames).value.shape
      (1, 10, 2)
    """
    try:
        if os.fspath(path).endswith(".safetensors"):
            settings = settings_from_json(read_metadata(path).get(_SETTINGS))
            parts = _parts(read_safetensors(path))
        else:
            parts = read_checkpoint_parts(path, PARTS).parts
            settings = published_settings(parts)
        if corners is not None:
            settings = dataclasses.replace(settings, corners=corners)
        return motion_networks(parts, settings, param_dtype=param_dtype)
    except WeightsError as error:
        if os.fspath(path) in str(error):
            raise
        raise WeightsError(f"{os.fspath(path)}: {error}") from error


def save_motion(
    path: str | os.PathLike,
    kp_detector: KeypointDetector,
    generator: MotionGenerator,
    settings: MotionSettings,
) -> None:
    """Writes a detector and its generator as `.safetensors`, whole or not at all.

    Args:
      path: the file to write; an earlier one is replaced once the new one is complete.
      kp_detector, generator: the networks.
      settings: theirs.

    Raises:
      OSError: the file can't be written.
    """
    tensors = {
        f"{part}.{name}": array
        for part, network in (("kp_detector", kp_detector), ("generator", generator))
        for name, array in export_motion(network).items()
    }
    write_safetensors(path, tensors, metadata={_SETTINGS: settings_to_json(settings)})


def motion_networks(
    parts: Mapping[str, Mapping[str, np.ndarray]],
    settings: MotionSettings,
    *,
    param_dtype: jnp.dtype = jnp.float32,
) -> MotionNetworks:
    """The same from tensors that are read already: part -> name -> array, PyTorch's layouts."""
    absent = [part for part in ("kp_detector", "generator") if part not in parts]
    if absent:
        raise WeightsError(
            "the checkpoint must have the parts kp_detector and generator, but has no "
            f"{' and no '.join(absent)}: another model's?"
        )
    options = {
        "kp_detector": detector_options(parts["kp_detector"], settings),
        "generator": generator_options(parts["generator"], settings),
    }
    kinds = {"kp_detector": KeypointDetector, "generator": MotionGenerator}
    if "discriminator" in parts:
        options["discriminator"] = discriminator_options(parts["discriminator"])
        kinds["discriminator"] = MultiScaleDiscriminator
    networks, ignored, problems = {}, [], []
    for part, kind in kinds.items():
        network = abstract_network(kind, options[part] | {"param_dtype": param_dtype})
        ignored += [f"{part}.{name}" for name in parts[part] if _IGNORED.search(name)]
        problems += [f"{part}: {line}" for line in fill_network(network, parts[part])]
        networks[part] = network
    if problems:
        raise WeightsError(
            f"{len(problems)} entries of the checkpoint do not fit a motion model:\n  "
            + "\n  ".join(problems)
        )
    discriminator = networks.get("discriminator")
    return MotionNetworks(
        networks["kp_detector"], networks["generator"], discriminator, settings, tuple(ignored)
    )


def motion_names(network: nnx.Module) -> dict[str, str]:
    """Our dotted path -> the name in a published checkpoint, of everything stored."""
    return {path: _name(network, path) for path in variables(network)}


def export_motion(network: nnx.Module) -> dict[str, np.ndarray]:
    """Parameters and statistics under their published names, in PyTorch's layouts."""
    arrays = {}
    for path, variable in variables(network).items():
        module_path, _, leaf = path.rpartition(".")
        array = np.asarray(variable[...])
        arrays[_name(network, path)] = to_torch_layout(module_at(network, module_path), leaf, array)
    return arrays


def _name(network: nnx.Module, path: str) -> str:
    module_path, _, leaf = path.rpartition(".")
    theirs = re.sub(r"(^|\.)bottleneck\.", r"\1bottleneck.r", module_path)
    theirs = re.sub(r"(^|\.)(en|de)coder\.", _blocks, theirs)
    if isinstance(network, MultiScaleDiscriminator):
        # Theirs are named by scale, ours are numbered.
        number = theirs.split(".")[1]
        scale = network.scale_names[int(number)]
        theirs = theirs.replace(f"discs.{number}.", f"discs.{scale}.", 1)
    trained = isinstance(module_at(network, module_path), SpectralNormConv) and leaf == "kernel"
    return f"{theirs}.weight_orig" if trained else f"{theirs}.{_LEAVES[leaf]}"


def _parts(tensors: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Tensors of a flat file by the part in front of their names."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name, array in tensors.items():
        part, _, rest = name.partition(".")
        if part not in PARTS:
            raise WeightsError(f"entry {name[:120]!r} is of no part: another model's?")
        parts.setdefault(part, {})[rest] = array
    return parts


def _blocks(match: re.Match) -> str:
    kind = "down" if match[2] == "en" else "up"
    return f"{match[1]}{match[2]}coder.{kind}_blocks."


def fill_network(network: nnx.Module, tensors: Mapping[str, np.ndarray]) -> list[str]:
    """Puts tensors, in PyTorch's layouts, into an abstract network; a line for each misfit."""
    problems = []
    left = {name for name in tensors if not _IGNORED.search(name)}
    for path, variable in variables(network).items():
        module_path, _, leaf = path.rpartition(".")
        module, name = module_at(network, module_path), _name(network, path)
        expected = to_torch_layout(module, leaf, np.empty(variable.shape, np.bool_)).shape
        left.discard(name)
        if name not in tensors:
            problems.append(f"missing: {name} of shape {expected}")
            continue
        array = tensors[name]
        if array.shape != expected:
            problems.append(f"misshapen: {name} has shape {array.shape}, expected {expected}")
        elif not jnp.issubdtype(array.dtype, jnp.floating):
            problems.append(f"of another kind: {name} has dtype {array.dtype}")
        elif not np.isfinite(array).all():
            problems.append(f"not finite: {name} has NaN or infinite values")
        else:
            value = from_torch_layout(module, leaf, array)
            variable.set_value(jnp.asarray(value, variable.dtype))
    return problems + [f"surplus: {name} of shape {tensors[name].shape}" for name in sorted(left)]


def abstract_network(kind: Callable[..., nnx.Module], options: Mapping) -> nnx.Module:
    """A network with shapes in place of weights: nothing is drawn."""
    return nnx.eval_shape(lambda: kind(**options, rngs=nnx.Rngs(0)))
