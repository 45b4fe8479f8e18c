"""The names and opcodes of StyleGAN3's network pickles, beyond those of a PyTorch checkpoint.

These files come from ``pickle.dump``. A network is a call of ``torch_utils.persistence``, whose
official counterpart executes the source text that came along; here it makes an inert record and
drops the text. Each tensor's storage is a small file of ``torch.save`` within a byte string.

The table holds for one file: its entries write down what they find (`Findings`).
"""

import dataclasses
import math
from typing import Any

import numpy as np

from aa_jax.weights.errors import UnsafePickleError, WeightsError
from aa_jax.weights.pickle_globals import (
    GLOBALS,
    Foreign,
    Function,
    NumpyType,
    Stateful,
    StorageRecord,
    StorageType,
    check_count,
    check_key,
)
from aa_jax.weights.pickle_reader import OPCODES, Dialect, RestrictedUnpickler
from aa_jax.weights.torch_file import read_nested_storage

MAX_STORAGES = 10_000
"""Most storages accepted in one file; the official ones have about 600."""

_MAX_ARRAY = 1 << 16

_REMEDY = (
    "Only networks as the official StyleGAN3 code saves them are read; do not open the file with "
    "other programs unless you trust its author."
)
_TENSORFLOW = (
    "the file is a TensorFlow-era StyleGAN pickle (of dnnlib.tflib.network.Network objects); only "
    "StyleGAN3 networks, configurations T and R, are read"
)


# The small files within have nothing but a storage in them.
_STORAGE = Dialect(
    globals={key: kind for key, kind in GLOBALS.items() if isinstance(kind, StorageType)},
    opcodes=OPCODES,
    remedy=_REMEDY,
)


@dataclasses.dataclass(frozen=True)
class PersistentRecord:
    """A pickled object of ``torch_utils.persistence``: its class's name and its attributes."""

    class_name: str
    state: dict[Any, Any]


class NumpyArray(Stateful):
    """Stand-in for a ``numpy.ndarray`` of plain numbers; small, as only attributes have them."""

    name = "numpy.ndarray"

    def __init__(self):
        self.value = np.zeros(0, np.float64)

    def set_state(self, state: Any) -> None:
        """Takes ``(version, shape, dtype, is_fortran, data)``."""
        if type(state) is not tuple or len(state) != 5:
            raise UnsafePickleError("the pickle sets a state of numpy.ndarray beyond plain numbers")
        _, shape, kind, is_fortran, data = state
        self.fill(data, kind, shape, "F" if is_fortran is True else "C")

    def fill(self, data: Any, kind: Any, shape: Any, order: Any) -> "NumpyArray":
        """Takes the bytes of an array, checked against its declared type and shape."""
        if not isinstance(kind, NumpyType) or type(data) is not bytes or order not in ("C", "F"):
            raise UnsafePickleError("the pickle has a numpy.ndarray that isn't of plain numbers")
        if type(shape) is not tuple or len(shape) > 32:
            raise WeightsError("the pickle has a numpy.ndarray without a shape")
        shape = tuple(check_count(size, "array sizes") for size in shape)
        count = math.prod(shape)
        if count > _MAX_ARRAY or len(data) != count * kind.dtype.itemsize:
            raise WeightsError(
                f"the pickle has a numpy.ndarray of {count} elements in {len(data)} bytes; "
                f"expected at most {_MAX_ARRAY}, and bytes for each of them"
            )
        self.value = np.frombuffer(data, kind.dtype).reshape(shape, order=order)
        return self


@dataclasses.dataclass(frozen=True)
class EmptyClass:
    """A class that opcode NEWOBJ may make without arguments: a dictionary in our place."""

    name: str


class Findings:
    """What the table's entries saw in one file.

    Attributes:
        storages: bytes of each storage by our key for it; taken out when a tensor is read.
        sources: length in bytes of each distinct source text, by its hash. The texts are gone.
    """

    def __init__(self):
        self.storages: dict[str, memoryview] = {}
        self.sources: dict[int, int] = {}

    def storage(self, data: Any) -> StorageRecord:
        """In place of ``torch.storage._load_from_bytes``: a record of the storage in ``data``."""
        if type(data) is not bytes:
            raise WeightsError(f"the pickle has a storage made of a {type(data).__name__}")
        if len(self.storages) >= MAX_STORAGES:
            raise WeightsError(f"the pickle has more than {MAX_STORAGES} tensor storages")
        record, content = read_nested_storage(data, _STORAGE)
        # Keys are memory addresses of the writer, which may have used one of them twice.
        record = dataclasses.replace(record, key=str(len(self.storages)))
        self.storages[record.key] = content
        return record

    def persistent(self, meta: Any) -> PersistentRecord:
        """In place of ``_reconstruct_persistent_obj``, which would execute ``module_src``."""
        if type(meta) is not dict or meta.get("type") != "class":
            raise WeightsError("the pickle has a persistent object that isn't a class's instance")
        source, name, state = (meta.get(key) for key in ("module_src", "class_name", "state"))
        if type(source) is not str or type(name) is not str or type(state) is not dict:
            raise WeightsError(
                "the pickle has a persistent object without module_src, class_name and state"
            )
        key = hash(source)
        if key not in self.sources:
            self.sources[key] = len(source.encode("utf-8", "surrogatepass"))
        return PersistentRecord(name, state)


def network_dialect(findings: Findings) -> Dialect:
    """What a network pickle may say; ``findings`` takes down its storages and sources."""
    persistence = "torch_utils.persistence", "_reconstruct_persistent_obj"
    # Rationed by MAX_STORAGES; the others' arguments are a few items long.
    functions = {
        persistence: findings.persistent,
        ("torch.storage", "_load_from_bytes"): findings.storage,
        ("builtins", "set"): _set,
        ("__builtin__", "set"): _set,
        ("numpy.core.multiarray", "_reconstruct"): _array,
        ("numpy._core.multiarray", "_reconstruct"): _array,
        ("numpy.core.numeric", "_frombuffer"): _array_of_buffer,
        ("numpy._core.numeric", "_frombuffer"): _array_of_buffer,
    }
    return Dialect(
        globals=GLOBALS
        | {
            key: Function(".".join(key), build, copies=build is _set)
            for key, build in functions.items()
        }
        | {
            ("numpy", "ndarray"): NumpyArray,
            ("dnnlib.util", "EasyDict"): EmptyClass("dnnlib.util.EasyDict"),
            ("dnnlib.tflib.network", "Network"): Foreign(_TENSORFLOW),
        },
        opcodes=OPCODES
        | {"EMPTY_SET": _empty_set, "ADDITEMS": _add_items, "NEWOBJ": _new}
        | {"BYTEARRAY8": lambda machine, data: machine.stack.append(bytes(data))},
        remedy=_REMEDY,
    )


def _array(kind: Any, shape: Any, code: Any) -> NumpyArray:
    """``_reconstruct(ndarray, (0,), b"b")``: an empty array, whose state comes afterwards."""
    if kind is not NumpyArray:
        raise UnsafePickleError("the pickle reconstructs something other than a numpy.ndarray")
    return NumpyArray()


def _array_of_buffer(data: Any, kind: Any, shape: Any, order: Any) -> NumpyArray:
    """``_frombuffer``, which pickle protocol 5 has in place of ``_reconstruct``."""
    return NumpyArray().fill(data, kind, shape, order)


def _set(items: Any = ()) -> set:
    if type(items) not in (list, tuple):
        raise WeightsError("the pickle has a set that isn't made of a list")
    return {check_key(item) for item in items}


def _empty_set(machine: RestrictedUnpickler, argument: Any) -> None:
    machine.stack.append(set())


def _add_items(machine: RestrictedUnpickler, argument: Any) -> None:
    items = machine.pop_mark()
    target = machine.stack[-1]
    if type(target) is not set:
        raise UnsafePickleError(f"the pickle adds items to a {type(target).__name__}")
    target.update(check_key(item) for item in items)


def _new(machine: RestrictedUnpickler, argument: Any) -> None:
    arguments = machine.stack.pop()
    kind = machine.stack.pop()
    if not isinstance(kind, EmptyClass) or arguments != ():
        name = getattr(kind, "name", type(kind).__name__)
        raise UnsafePickleError(f"the pickle makes an instance of {name}. {machine.dialect.remedy}")
    machine.stack.append({})
