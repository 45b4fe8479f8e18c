"""The complete table of names a checkpoint's pickle may use, and the records they become.

Every entry maps ``(module, name)`` to a stand-in of ours. Nothing here imports the named module;
the functions only check their arguments and build inert records.
"""

import abc
import dataclasses
import re
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from aa_jax.weights.errors import UnsafePickleError, WeightsError

_MAX_DIMENSIONS = 32


@dataclasses.dataclass(frozen=True)
class StorageType:
    """A PyTorch storage class, which stands for its element type and can't be called."""

    name: str
    dtype: np.dtype


@dataclasses.dataclass(frozen=True)
class StorageRecord:
    """A flat buffer in the file: where it is and what it holds; its bytes are not read yet.

    Attributes:
        key: the buffer's name within the file.
        dtype: element type.
        size: number of elements of the whole buffer, as the pickle declares it.
        start: first element of the part that this record covers.
        length: number of elements of that part.
    """

    key: str
    dtype: np.dtype
    size: int
    start: int
    length: int

    @property
    def byte_count(self) -> int:
        """Bytes of the whole buffer."""
        return self.size * self.dtype.itemsize


@dataclasses.dataclass(frozen=True)
class TensorRecord:
    """A strided view of a storage, checked to stay inside it. Counts are in elements."""

    storage: StorageRecord
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Stateful(abc.ABC):
    """A record that the pickle completes after it has been made; its class says with what."""

    name: str

    @abc.abstractmethod
    def set_state(self, state: Any) -> None:
        """Takes what the pickle sets, or refuses it."""


class NumpyType(Stateful):
    """Stand-in for a ``numpy.dtype`` of plain numbers; its pickled state gives the byte order."""

    name = "numpy.dtype"

    def __init__(self, code: str):
        self.dtype = np.dtype(code)

    def set_state(self, state: Any) -> None:
        """Takes the byte order from a pickled state; refuses fields, sub-arrays and metadata."""
        if (
            type(state) is not tuple
            or not 2 <= len(state) <= 9
            or state[1] not in ("<", ">", "|", "=")
            or any(part is not None for part in state[2:5])
            or any(type(part) not in (int, type(None)) for part in state[5:])
        ):
            raise UnsafePickleError("the checkpoint sets a state of numpy.dtype beyond byte order")
        if state[1] in "<>":
            self.dtype = self.dtype.newbyteorder(state[1])


@dataclasses.dataclass(frozen=True)
class Function:
    """A name that may be called, and what we do in its place.

    Attributes:
        name: with its module, for messages.
        build: makes the record.
        copies: whether it copies its arguments, and calls must therefore be rationed.
    """

    name: str
    build: Callable[..., Any]
    copies: bool = True

    def call(self, arguments: tuple[Any, ...]) -> Any:
        """Builds the record; a wrong number of arguments is a ``WeightsError``."""
        try:
            return self.build(*arguments)
        except TypeError as error:
            raise WeightsError(
                f"the checkpoint calls {self.name} with {len(arguments)} arguments that don't fit"
            ) from error


@dataclasses.dataclass(frozen=True)
class Foreign:
    """A name that tells what other kind of file this is; the message says so."""

    message: str


def check_key(key: Any) -> Any:
    """Returns a dictionary key if it is a string or a 64-bit integer.

    Other keys don't occur in checkpoints, and hashing a deeply nested tuple ends the process.
    """
    if type(key) is str or (type(key) is int and -(2**63) <= key < 2**63):
        return key
    raise UnsafePickleError(
        f"the checkpoint has a dictionary key of type {type(key).__name__}; expected strings or "
        "integers"
    )


def check_count(value: Any, what: str) -> int:
    """Returns ``value`` if it is an integer >= 0 that fits 63 bits; ``what`` names it."""
    if type(value) is not int or not 0 <= value < 2**63:
        shown = value if type(value) is int and abs(value) < 2**64 else type(value).__name__
        raise WeightsError(f"the checkpoint's {what} must be an integer >= 0, got {shown}")
    return value


def _ordered_dict(items: Any = ()) -> dict:
    """``OrderedDict()`` or, as Python 2 wrote it, ``OrderedDict([[key, value], ...])``."""
    if type(items) not in (list, tuple) or any(
        type(pair) not in (list, tuple) or len(pair) != 2 for pair in items
    ):
        raise WeightsError("the checkpoint has an OrderedDict that isn't made of pairs")
    return {check_key(key): value for key, value in items}


def _counter(counts: Any = None) -> dict:
    if counts is not None and type(counts) is not dict:
        raise WeightsError("the checkpoint has a Counter that isn't made of a dictionary")
    return counts or {}


def _size(sizes: Any = ()) -> tuple[int, ...]:
    if type(sizes) not in (list, tuple) or len(sizes) > _MAX_DIMENSIONS:
        raise WeightsError(f"the checkpoint has a shape that isn't <= {_MAX_DIMENSIONS} integers")
    return tuple(check_count(size, "tensor sizes and strides") for size in sizes)


def _device(name: Any, index: Any = None) -> str:
    if type(name) is not str or type(index) not in (int, type(None)):
        raise WeightsError("the checkpoint has a device that isn't a name and an index")
    return name if index is None else f"{name}:{index}"


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> TensorRecord:
    """The arguments of ``torch._utils._rebuild_tensor``, checked against the storage's bounds."""
    if not isinstance(storage, StorageRecord):
        raise WeightsError(
            f"the checkpoint has a tensor whose storage is a {type(storage).__name__}"
        )
    offset = check_count(offset, "tensor offset")
    shape, strides = _size(shape), _size(strides)
    if len(shape) != len(strides):
        raise WeightsError(f"the checkpoint has a tensor of shape {shape} with strides {strides}")
    elements = 1
    for size in shape:
        elements *= size
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    # The first bound alone would let a stride of zero make terabytes of a single element.
    if elements > storage.length or (elements and last >= storage.length):
        raise WeightsError(
            f"the checkpoint has a tensor of shape {shape}, strides {strides} and offset {offset} "
            f"outside its storage of {storage.length} elements"
        )
    return TensorRecord(storage, offset, shape, strides)


def _tensor_v2(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any,
    backward_hooks: Any,
    metadata: Any = None,
) -> TensorRecord:
    if metadata:
        # Lazily conjugated or negated: its values are not those in the storage.
        raise WeightsError("the checkpoint has a lazily conjugated or negated tensor; resolve it")
    return _tensor(storage, offset, shape, strides)


def _parameter(data: Any, requires_grad: Any, backward_hooks: Any) -> TensorRecord:
    if not isinstance(data, TensorRecord):
        raise WeightsError(f"the checkpoint has a parameter made of a {type(data).__name__}")
    return data


def _encode(text: Any, encoding: Any) -> bytes:
    """Python's pickle protocol 2 writes byte strings as ``_codecs.encode(text, 'latin1')``."""
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise UnsafePickleError("the checkpoint calls _codecs.encode for more than byte strings")
    return text.encode("latin-1")


def _numpy_type(code: Any, *flags: Any) -> NumpyType:
    if type(code) is not str or not re.fullmatch(r"[<>=|]?(b1|[iu][1248]|f[248]|c8|c16)", code):
        raise UnsafePickleError("the checkpoint has a numpy.dtype that isn't a plain number")
    if len(flags) > 2 or any(type(flag) not in (int, bool) for flag in flags):
        raise WeightsError("the checkpoint has a numpy.dtype with flags that don't fit")
    return NumpyType(code)


def _numpy_scalar(kind: Any, data: Any) -> np.generic:
    if not isinstance(kind, NumpyType):
        raise UnsafePickleError("the checkpoint has a NumPy scalar without a plain number type")
    if type(data) is str:  # Written by Python 2.
        data = data.encode("latin-1")
    if type(data) is not bytes or len(data) != kind.dtype.itemsize:
        raise WeightsError(f"the checkpoint has a NumPy scalar that isn't one {kind.dtype}")
    return np.frombuffer(data, kind.dtype)[0]


_STORAGE_DTYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
    "ComplexFloatStorage": np.complex64,
    "ComplexDoubleStorage": np.complex128,
}

_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("collections", "Counter"): _counter,
    ("torch", "Size"): _size,
    ("torch", "device"): _device,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor_v2,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _numpy_type,
    ("numpy.core.multiarray", "scalar"): _numpy_scalar,
    ("numpy._core.multiarray", "scalar"): _numpy_scalar,
}

GLOBALS: dict[tuple[str, str], Function | StorageType] = {
    key: Function(".".join(key), build) for key, build in _FUNCTIONS.items()
} | {
    (module, name): StorageType(f"{module}.{name}", np.dtype(dtype))
    for module in ("torch", "torch.cuda")
    for name, dtype in _STORAGE_DTYPES.items()
}
