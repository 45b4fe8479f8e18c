"""Reads a checkpoint of whatever format and wrapping into a flat dictionary of arrays."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from aa_jax.weights.errors import WeightsError
from aa_jax.weights.pickle_globals import TensorRecord
from aa_jax.weights.safetensors_file import read_safetensors
from aa_jax.weights.storages import TorchFile
from aa_jax.weights.torch_file import open_legacy, open_zip

_CONTAINERS = ("state_dict", "model_state", "model_state_dict", "model")
_MAX_WRAPPINGS = 4
_PARALLEL_PREFIX = "module."


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        tensors: arrays by name, read-only, in the file's dtypes and layouts; tensors that share
            a storage in the file share memory here.
        ignored: what else the file has (optimiser state, epoch, ...) by its path, with its type.
        format: ``"torch-zip"``, ``"torch-legacy"`` or ``"safetensors"``.
    """

    tensors: dict[str, np.ndarray]
    ignored: dict[str, str]
    format: str


def read_checkpoint(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads the tensors of a PyTorch or safetensors checkpoint without executing anything in it.

    The format is recognised by the file's first bytes. The usual containers (``state_dict``,
    ``model_state``, ``model_state_dict``, ``model``) are unwrapped, and a ``module.`` that
    every name begins with is removed. ``read_checkpoint_with_report`` tells what was left out.

    Args:
        path: a ``.pth``, ``.pt`` or ``.safetensors`` file.

    Returns:
        Arrays by name, as ``Checkpoint.tensors``.

    Raises:
        UnsafePickleError: the file asks for something beyond tensors and plain containers; the
            message names it.
        WeightsError: the file is of another format, damaged, or holds no tensors.
        OSError: the file can't be opened.

    Example:
        >>> tensors = read_checkpoint("resnet18.pth")
        >>> tensors["conv1.weight"].shape
        (64, 3, 7, 7)
    """
    return read_checkpoint_with_report(path).tensors


def read_checkpoint_with_report(path: str | os.PathLike) -> Checkpoint:
    """Reads a checkpoint as ``read_checkpoint`` does, and says what it ignored.

    Args:
        path: a ``.pth``, ``.pt`` or ``.safetensors`` file.

    Returns:
        The tensors, the ignored entries and the format.

    Raises:
        UnsafePickleError, WeightsError, OSError: as ``read_checkpoint``.
    """
    try:
        with open(path, "rb") as file:
            format = _recognise(file)
            if format == "safetensors":
                return _checkpoint(read_safetensors(path), {}, format)
            opened = (open_zip if format == "torch-zip" else open_legacy)(file)
            return _tensors_of(opened, opened.root)
    except WeightsError as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from error


@dataclasses.dataclass(frozen=True)
class CheckpointParts:
    """What a file with several networks holds.

    Attributes:
        parts: arrays by name, of each network that was asked for and is there.
        ignored: what else the file has, by its path, with its type.
    """

    parts: dict[str, dict[str, np.ndarray]]
    ignored: dict[str, str]


def read_checkpoint_parts(path: str | os.PathLike, names: Sequence[str]) -> CheckpointParts:
    """Reads some of the state dictionaries of a PyTorch file that holds several.

    Args:
        path: a file of ``torch.save``, zip or legacy.
        names: the keys of its outermost dictionary to read; the rest is not even decoded.

    Returns:
        The arrays; a ``module.`` that every name of a part begins with is removed.

    Raises:
        UnsafePickleError, WeightsError, OSError: as ``read_checkpoint``.
    """
    try:
        with open(path, "rb") as file:
            format = _recognise(file)
            if format == "safetensors":
                raise WeightsError("a safetensors file; expected one of torch.save, with parts")
            opened = (open_zip if format == "torch-zip" else open_legacy)(file)
            if type(opened.root) is not dict:
                raise WeightsError(
                    f"the checkpoint holds a {_kind(opened.root)}; expected a dictionary with "
                    f"some of {', '.join(names)}"
                )
            parts, ignored = {}, {}
            for name, value in opened.root.items():
                if isinstance(name, str) and name in names and type(value) is dict:
                    part = _tensors_of(opened, value)
                    parts[name] = part.tensors
                    ignored |= {f"{name}.{inner}": kind for inner, kind in part.ignored.items()}
                else:
                    ignored[_shown(name)] = _kind(value)
            return CheckpointParts(parts, ignored)
    except WeightsError as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from error


def _recognise(file: BinaryIO) -> str:
    """The format, by its first bytes: the extension is only a promise."""
    head = file.read(512)
    file_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    if head.startswith(b"PK\x03\x04"):
        return "torch-zip"
    if head[257:262] == b"ustar":
        raise WeightsError(
            "a tar file, as PyTorch 0.1 wrote; expected a zip, legacy pickle or safetensors file: "
            "load and save it again with a later PyTorch"
        )
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= file_bytes - 8:
        return "safetensors"
    if head.startswith(b"\x80"):
        return "torch-legacy"
    if not head:
        raise WeightsError("the file is empty; expected a PyTorch or safetensors checkpoint")
    raise WeightsError(
        f"neither a PyTorch (zip or legacy) nor a safetensors checkpoint: it has {file_bytes} "
        f"bytes and begins with {head[:12]!r}; a truncated download or a web page saved by mistake?"
    )


def _tensors_of(opened: TorchFile, root: Any) -> Checkpoint:
    """Reads the dictionary of tensors in `root`, which is what was saved or a part of it."""
    ignored: dict[str, str] = {}
    entries, path = _unwrap(root, ignored)
    tensors = {}
    for name, value in entries.items():
        if isinstance(name, str) and isinstance(value, TensorRecord):
            try:
                tensors[name] = opened.tensor(value)
            except WeightsError as error:
                raise WeightsError(f"entry {name[:120]!r}: {error}") from error
        else:
            ignored[path + _shown(name)] = _kind(value)
    return _checkpoint(tensors, ignored, opened.format)


def _unwrap(root: Any, ignored: dict[str, str]) -> tuple[Mapping[Any, Any], str]:
    """The dictionary that holds the tensors, and its path; the rest goes to ``ignored``."""
    path = ""
    for _ in range(_MAX_WRAPPINGS):
        if type(root) is not dict:
            raise WeightsError(
                f"the checkpoint holds a {_kind(root)}; expected a dictionary of tensors or one "
                f"with such a dictionary under {', '.join(map(repr, _CONTAINERS))}"
            )
        key = next((key for key in _CONTAINERS if type(root.get(key)) is dict), None)
        if key is None:
            break
        for other, value in root.items():
            if other != key:
                ignored[path + _shown(other)] = _kind(value)
        path += f"{key}."
        root = root[key]
    return root, path


def _checkpoint(tensors: dict[str, np.ndarray], ignored: dict[str, str], format: str) -> Checkpoint:
    if not tensors:
        seen = ", ".join(list(ignored)[:10]) or "nothing"
        raise WeightsError(f"the checkpoint holds no tensors where a state dict has them: {seen}")
    if all(name.startswith(_PARALLEL_PREFIX) for name in tensors):
        tensors = {name.removeprefix(_PARALLEL_PREFIX): value for name, value in tensors.items()}
    return Checkpoint(tensors=tensors, ignored=ignored, format=format)


def _shown(key: Any) -> str:
    return key[:120] if isinstance(key, str) else repr(key)


def _kind(value: Any) -> str:
    """What a value is, in one or two words: never its content, which may be vast."""
    if isinstance(value, TensorRecord):
        return f"tensor {value.shape}"
    if isinstance(value, (dict, list, tuple)):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__
