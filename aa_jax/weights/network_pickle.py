"""Reads StyleGAN3's network pickles without their code, without PyTorch, executing nothing.

The official files are dictionaries of whole networks: ``G``, ``D`` and ``G_ema``, each a tree of
objects that carry the source text of their classes. The official loader executes that text. Here
it is dropped unread, and what remains is data: class names, constructor arguments and tensors.
"""

import collections
import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from aa_jax.weights.errors import WeightsError
from aa_jax.weights.network_globals import (
    Findings,
    PersistentRecord,
    network_dialect,
)
from aa_jax.weights.pickle_globals import TensorRecord
from aa_jax.weights.pickle_reader import RestrictedUnpickler
from aa_jax.weights.plain_data import kind_of, plain
from aa_jax.weights.safetensors_file import is_safetensors
from aa_jax.weights.storages import TorchFile
from aa_jax.weights.torch_file import LEGACY_MAGIC

MAX_FILE_BYTES = 1 << 32
"""Largest file accepted; those of the published networks have a tenth of it at most."""

_MAX_DEPTH = 16
_MAX_MODULES = 10_000
_MAX_NAME = 200
_MAX_LINE = 1 << 12
_EXPECTED = "expected the dictionary of G, D and G_ema that StyleGAN3's training writes"


@dataclasses.dataclass(frozen=True)
class PickledNetwork:
    """One network of a pickle, as data.

    Attributes:
        class_name: its class, such as ``"Generator"``.
        init_kwargs: keyword arguments of its constructor, as dictionaries, lists, numbers,
            strings and ``None``.
        init_args: positional arguments of its constructor; empty in official files.
        tensors: parameters and buffers by dotted name, read-only; those that are ``None`` are left
            out.
        buffers: which of the tensors are buffers, not parameters.
        modules: class name of every module by its dotted name; the network's own is ``""``.
        ignored: other attributes of its modules, and how many modules have each.
    """

    class_name: str
    init_kwargs: dict[str, Any]
    init_args: list[Any]
    tensors: dict[str, np.ndarray]
    buffers: frozenset[str]
    modules: dict[str, str]
    ignored: dict[str, int]

    @property
    def parameter_count(self) -> int:
        """Numbers in all parameters."""
        return sum(t.size for name, t in self.tensors.items() if name not in self.buffers)


@dataclasses.dataclass(frozen=True)
class NetworkPickle(Mapping[str, PickledNetwork]):
    """A network pickle: maps ``"G"``, ``"D"``, ``"G_ema"`` (and others it has) to networks.

    Attributes:
        networks: by name.
        training_set_kwargs: facts about the training set; empty where the file has none.
        ignored: what else the dictionary has, with its type.
        sources: how many distinct source texts came along; none was executed or kept.
        source_bytes: their total length.
    """

    networks: dict[str, PickledNetwork]
    training_set_kwargs: dict[str, Any]
    ignored: dict[str, str]
    sources: int
    source_bytes: int

    def __getitem__(self, name: str) -> PickledNetwork:
        return self.networks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.networks)

    def __len__(self) -> int:
        return len(self.networks)


def read_network_pickle(path: str | os.PathLike) -> NetworkPickle:
    """Reads a ``.pkl`` of StyleGAN3, such as ``stylegan3-t-ffhq-1024x1024.pkl``.

    Args:
        path: the file.

    Returns:
        Its networks as plain data and arrays.

    Raises:
        UnsafePickleError: the file asks for a name that such pickles don't have; the message says
            which. Nothing has been imported or called.
        WeightsError: the file is damaged or truncated, or of another kind: a PyTorch checkpoint, a
            state dict, StyleGAN2, a TensorFlow pickle.
        OSError: the file can't be opened.

    Example:
        >>> network = read_network_pickle("stylegan3-t-ffhq-1024x1024.pkl")["G_ema"]
        >>> network.init_kwargs["img_resolution"]
        1024
    """
    try:
        with open(path, "rb") as file:
            return _read(file)
    except WeightsError as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from error


class _BoundedFile:
    """A file whose reads allocate no more than it has left, whatever length a pickle declares."""

    def __init__(self, file: BinaryIO, size: int):
        self._file, self._size = file, size
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, self._size - self.tell()))

    def readline(self) -> bytes:
        return self._file.readline(_MAX_LINE)


def _read(file: BinaryIO) -> NetworkPickle:
    head = file.read(16)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    _check_kind(head, size)
    findings = Findings()
    stream = _BoundedFile(file, size)
    root = RestrictedUnpickler(stream, dialect=network_dialect(findings)).load()
    records = _check_root(root)
    # Storages leave the findings as they are read, so the tensors are in memory only once.
    opened = TorchFile(
        root,
        format="network-pickle",
        file_bytes=size,
        read_bytes=lambda storage: bytes(findings.storages.pop(storage.key)),
    )
    networks = {name: _network(name, record, opened) for name, record in records.items()}
    kwargs = root.get("training_set_kwargs") or {}
    if type(kwargs) is not dict:
        raise WeightsError(f"training_set_kwargs is a {kind_of(kwargs)}; expected a dictionary")
    rest = {key: value for key, value in root.items() if key not in networks}
    rest.pop("training_set_kwargs", None)
    return NetworkPickle(
        networks=networks,
        training_set_kwargs=plain(kwargs, "training_set_kwargs"),
        ignored={str(key)[:_MAX_NAME]: kind_of(value) for key, value in rest.items()},
        sources=len(findings.sources),
        source_bytes=sum(findings.sources.values()),
    )


def _check_kind(head: bytes, size: int) -> None:
    """Raises unless the first bytes may be those of a pickle."""
    if not head:
        raise WeightsError("the file is empty; fetch it again")
    if head.startswith(b"PK\x03\x04"):
        raise WeightsError(
            f"the file is a zip, as torch.save writes, not a network pickle; {_EXPECTED} (a state "
            "dict alone is read with read_checkpoint)"
        )
    if is_safetensors(head, size):
        raise WeightsError(f"the file is a safetensors file, not a network pickle; {_EXPECTED}")
    if not head.startswith(b"\x80"):
        raise WeightsError(
            f"the file is no pickle of protocol 2 or later: it has {size} bytes and begins with "
            f"{head[:12]!r}; a web page saved by mistake?"
        )
    if size > MAX_FILE_BYTES:
        raise WeightsError(
            f"the file has {size} bytes; expected at most {MAX_FILE_BYTES}, ten times what the "
            "largest published networks have"
        )


def _check_root(root: Any) -> dict[str, PersistentRecord]:
    """The networks of the top level dictionary; says what else it is if there are none."""
    if type(root) is int and root == LEGACY_MAGIC:
        raise WeightsError(
            f"the file is a PyTorch checkpoint of torch.save, not a network pickle; {_EXPECTED} "
            "(a state dict alone is read with read_checkpoint)"
        )
    if isinstance(root, PersistentRecord):
        raise WeightsError(f"the pickle holds a single {root.class_name[:80]}; {_EXPECTED}")
    if type(root) is not dict:
        raise WeightsError(f"the pickle holds a {kind_of(root)}; {_EXPECTED}")
    networks = {key: item for key, item in root.items() if isinstance(item, PersistentRecord)}
    if networks and all(type(key) is str and len(key) <= _MAX_NAME for key in networks):
        return networks
    tensors = sum(isinstance(value, TensorRecord) for value in root.values())
    if tensors:
        raise WeightsError(
            f"the pickle holds a state dict of {tensors} tensors, which lacks the networks' "
            f"configuration; {_EXPECTED}"
        )
    keys = ", ".join(str(key)[:40] for key in list(root)[:8]) or "none"
    raise WeightsError(
        f"the pickle holds a dictionary without networks (keys: {keys}); {_EXPECTED}"
    )


def _network(name: str, record: PersistentRecord, opened: TorchFile) -> PickledNetwork:
    modules: dict[str, str] = {}
    tensors: dict[str, np.ndarray] = {}
    buffers: set[str] = set()
    ignored: collections.Counter[str] = collections.Counter()
    for path, module in _walk(name, record):
        modules[path] = module.class_name
        for group in ("_parameters", "_buffers"):
            for leaf, tensor in _members(module, group, TensorRecord, f"{name}.{path}").items():
                full = f"{path}.{leaf}" if path else leaf
                try:
                    tensors[full] = opened.tensor(tensor)
                except WeightsError as error:
                    raise WeightsError(f"tensor {name}.{full}: {error}") from error
                if group == "_buffers":
                    buffers.add(full)
        ignored.update(str(key)[:_MAX_NAME] for key in module.state if key not in _KEPT)
    if "SynthesisBlock" in modules.values():
        raise WeightsError(
            f"{name} is a StyleGAN2 {record.class_name[:80]} (its synthesis network is made of "
            "SynthesisBlock modules); only StyleGAN3 networks, configurations T and R, are read"
        )
    arguments = record.state.get("_init_args", ())
    kwargs = record.state.get("_init_kwargs", {})
    if type(kwargs) is not dict or type(arguments) not in (tuple, list):
        raise WeightsError(f"the constructor arguments of {name} aren't a list and a dictionary")
    return PickledNetwork(
        class_name=record.class_name,
        init_kwargs=plain(kwargs, f"{name}'s init_kwargs"),
        init_args=plain(arguments, f"{name}'s init_args"),
        tensors=tensors,
        buffers=frozenset(buffers),
        modules=modules,
        ignored=dict(ignored),
    )


_KEPT = ("_parameters", "_buffers", "_modules", "_init_args", "_init_kwargs")


def _walk(name: str, root: PersistentRecord) -> Iterator[tuple[str, PersistentRecord]]:
    """Modules with their dotted names, each before those inside it. A module may contain itself."""
    pending, count = [("", root, 0)], 0
    while pending:
        path, module, depth = pending.pop()
        count += 1
        if depth > _MAX_DEPTH or count > _MAX_MODULES:
            raise WeightsError(
                f"{name} nests modules deeper than {_MAX_DEPTH} or has more than {_MAX_MODULES}: "
                "the file is damaged or not StyleGAN3's"
            )
        yield path, module
        children = _members(module, "_modules", PersistentRecord, f"{name}.{path}")
        pending += [
            (f"{path}.{child}" if path else child, value, depth + 1)
            for child, value in reversed(children.items())
        ]


def _members(module: PersistentRecord, group: str, kind: type, where: str) -> dict[str, Any]:
    """One of a module's registries, without its ``None`` entries."""
    members = module.state.get(group)
    if type(members) is not dict:
        raise WeightsError(f"{where.rstrip('.')} has no {group}: it is not a PyTorch module")
    for name, value in members.items():
        if type(name) is not str or not name or "." in name or len(name) > _MAX_NAME:
            raise WeightsError(f"{where.rstrip('.')} has an entry of {group} without a plain name")
        if value is not None and not isinstance(value, kind):
            raise WeightsError(f"{where.rstrip('.')}.{name} in {group} is a {kind_of(value)}")
    return {name: value for name, value in members.items() if value is not None}
