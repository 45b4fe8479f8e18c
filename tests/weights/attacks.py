"""Pickles that run a shell command when Python's own unpickler reads them."""

import os

import numpy as np

from tests.weights.torch_files import Built, Call, Global, Raw, assemble, pickled, state_dict

OS = os.system.__module__  # "posix" or "nt"
EXTENSION_CODE = 0xE7


def short(text: str) -> bytes:
    """SHORT_BINUNICODE, as protocol 4 writes it."""
    return b"\x8c" + bytes([len(text)]) + text.encode()


# Each takes a shell command and gives a pickle that runs it under Python's own unpickler,
# together with the name that the refusal must mention.
def by_reduce(command):
    return pickled(Call(Global(OS, "system"), (command,))), f"{OS}.system"


def by_eval(command):
    return pickled(Call(Global("builtins", "eval"), (f"__import__('os').system({command!r})",))), (
        "builtins.eval"
    )


def inside_state_dict(command):
    records, _ = state_dict({"weight": np.ones(2, np.float32)})
    evil = {"state_dict": {"bias": [Call(Global(OS, "system"), (command,))], "epoch": 3}}
    return pickled(evil), f"{OS}.system"


def by_setstate(command):
    """Gives an object a __setstate__ of os.system, then sets its state."""
    target = Call(Global("argparse", "Namespace"), ())
    armed = Built(target, {"__setstate__": Global(OS, "system")})
    return pickled(Built(armed, command)), "argparse.Namespace"


def by_inst(command):
    return f"(S{command!r}\ni{OS}\nsystem\n.".encode(), f"{OS}.system"


def by_obj(command):
    return f"(c{OS}\nsystem\nS{command!r}\no.".encode(), f"{OS}.system"


def by_newobj(command):
    """tuple.__new__(tuple, map.__new__(map, os.system, [command])): two harmless classes."""
    arguments = assemble((Global(OS, "system"), [command]))
    mapped = assemble(Global("builtins", "map")) + arguments + b"\x81"
    return pickled(Raw(assemble(Global("builtins", "tuple")) + mapped + b"\x85\x81")), (
        "builtins.tuple"
    )


def by_stack_global(command):
    body = short(OS) + b"\x94" + short("system") + b"\x94\x93" + assemble((command,)) + b"R."
    return b"\x80\x04" + body, f"{OS}.system"


def by_remembered_name(command):
    """The two halves of the name come out of the memo, in the wrong order."""
    parts = short("system") + b"\x94" + short(OS) + b"\x94" + b"h\x01h\x00\x93"
    return b"\x80\x04" + parts + assemble((command,)) + b"R.", f"{OS}.system"


def by_dotted_name(command):
    """A path of attributes that starts at a permitted module."""
    body = short("collections") + short("_sys.modules.__class__") + b"\x930"
    return b"\x80\x04" + body + by_stack_global(command)[0][2:], "_sys.modules.__class__"


def by_extension(command):
    return b"\x80\x02\x82" + bytes([EXTENSION_CODE]) + assemble((command,)) + b"R.", "EXT1"


def by_getattr(command):
    module = Call(Global("importlib", "import_module"), ("os",))
    system = Call(Global("builtins", "getattr"), (module, "system"))
    return pickled(Call(system, (command,))), "builtins.getattr"


def by_numpy_helper(command):
    code = f"import os; os.system({command!r})"
    return pickled(Call(Global("numpy.testing._private.utils", "runstring"), (code, {}))), (
        "numpy.testing._private.utils.runstring"
    )


def by_dict_key(command):
    return pickled(Raw(b"}" + assemble(Call(Global(OS, "system"), (command,))) + b"K\x01s")), (
        f"{OS}.system"
    )


HOSTILE = [
    by_reduce,
    by_eval,
    inside_state_dict,
    by_setstate,
    by_inst,
    by_obj,
    by_newobj,
    by_stack_global,
    by_remembered_name,
    by_dotted_name,
    by_extension,
    by_getattr,
    by_numpy_helper,
    by_dict_key,
]
