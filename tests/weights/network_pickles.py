"""Writes network pickles in StyleGAN3's layout, good and evil, opcode by opcode.

Also stand-ins for the official modules, with which Python's own pickle writes and reads the same
layout. Nothing here uses the reader under test.
"""

import io
import pickle
import struct
import sys
import types

import numpy as np

from tests.weights.torch_files import (
    STORAGE_NAMES,
    Call,
    Global,
    Raw,
    legacy_bytes,
    pickled,
    storage,
    tensor,
)

PERSISTENCE = Global("torch_utils.persistence", "_reconstruct_persistent_obj")
LOAD = Global("torch.storage", "_load_from_bytes")
SOURCE = "raise SystemExit('module_src was executed')\n"


def bytes_(data: bytes) -> Raw:
    """A byte string: opcode BINBYTES, as protocol 3 on."""
    return Raw(b"B" + struct.pack("<I", len(data)) + data)


def nested_storage(array: np.ndarray, key: str = "94021") -> Call:
    """A storage in a file of its own, which is what ``pickle.dump`` makes of one."""
    root = storage(key, array.dtype, array.size, None)
    return Call(LOAD, (bytes_(legacy_bytes(root, {key: (array.size, array.tobytes())})),))


def nested_tensor(array: np.ndarray, strides: tuple | None = None) -> Call:
    """A tensor on a storage with the elements of ``array`` in row-major order."""
    return tensor(nested_storage(array), array.shape, strides)


def module(
    class_name: str,
    *,
    parameters: dict | None = None,
    buffers: dict | None = None,
    modules: dict | None = None,
    init_kwargs: dict | None = None,
    source: object = SOURCE,
    **attributes: object,
) -> Call:
    """An object of ``torch_utils.persistence``."""
    state = {
        "training": False,
        "_parameters": parameters or {},
        "_buffers": buffers or {},
        "_modules": modules or {},
        **attributes,
        "_init_args": (),
        "_init_kwargs": init_kwargs or {},
    }
    meta = {"type": "class", "version": 6, "module_src": source, "class_name": class_name}
    return Call(PERSISTENCE, (meta | {"state": state},))


def write(path, root, protocol: int = 4) -> None:
    path.write_bytes(root if isinstance(root, bytes) else pickled(root, protocol))


# With Python's own pickle


class Storage:
    """Stands for a storage of torch, as far as pickling goes."""

    def __init__(self, array):
        root = storage("7", array.dtype, array.size, None)
        self.data = legacy_bytes(root, {"7": (array.size, array.tobytes("A"))})

    def __reduce__(self):
        return sys.modules["torch.storage"]._load_from_bytes, (self.data,)


class Tensor:
    """Stands for a parameter."""

    def __init__(self, array):
        self.array = array

    def __reduce__(self):
        strides = tuple(stride // self.array.itemsize for stride in self.array.strides)
        utilities = sys.modules["torch._utils"]
        data = (Storage(self.array), 0, self.array.shape, strides, False, {})
        return utilities._rebuild_parameter, (Rebuilt(data), True, {})


class Rebuilt:
    def __init__(self, arguments):
        self.arguments = arguments

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


class Persistent:
    """Stands for a network of the official code."""

    def __init__(self, class_name, state):
        self.class_name, self.state = class_name, state

    def __reduce__(self):
        function = sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj
        meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": self.class_name}
        return function, (meta | {"state": self.state},)


def official_modules() -> dict[str, types.ModuleType]:
    """Modules that Python's pickle finds in place of the official ones, for ``sys.modules``."""

    def load_from_bytes(data):
        """Five pickles in a row, as torch.load reads them, but with Python's unpickler."""
        stream = io.BytesIO(data)
        for _ in range(5):
            unpickler = pickle.Unpickler(stream)
            unpickler.persistent_load = lambda identifier: identifier
            unpickler.load()

    class EasyDict(dict):
        pass

    def functions(module_name, **members):
        found = types.ModuleType(module_name)
        for name, member in members.items():
            member.__module__, member.__qualname__ = module_name, name
            setattr(found, name, member)
        return found

    kinds = {name: type(name, (), {}) for name in STORAGE_NAMES.values()}
    return {
        "torch": functions("torch", **kinds),
        "torch.storage": functions("torch.storage", _load_from_bytes=load_from_bytes),
        "torch._utils": functions(
            "torch._utils",
            _rebuild_tensor_v2=lambda *arguments: None,
            _rebuild_parameter=lambda *arguments: None,
        ),
        "torch_utils": types.ModuleType("torch_utils"),
        "torch_utils.persistence": functions(
            "torch_utils.persistence", _reconstruct_persistent_obj=lambda meta: None
        ),
        "dnnlib": types.ModuleType("dnnlib"),
        "dnnlib.util": functions("dnnlib.util", EasyDict=EasyDict),
    }
