"""Reads the pickles inside PyTorch checkpoints without executing them.

A pickle is a program for a small stack machine. Python's own machine can import any name and
call it, so an overridden ``find_class`` alone leaves side doors open: attributes set by BUILD,
classes instantiated by NEWOBJ, cached extension codes, memo indices that allocate gigabytes,
nested dictionary keys that overflow the C stack. This module therefore runs its own machine.
``pickletools.genops`` splits the stream into opcodes without executing anything; the table
`OPCODES` says what each permitted opcode does; an opcode that isn't in it is refused. A
name reaches the stack only from the table of globals, and REDUCE calls nothing but the
functions of that table, which build inert records. Which names and opcodes are permitted is the
file's `Dialect`: `CHECKPOINT` for PyTorch checkpoints, another for network pickles
(`network_globals`).
"""

import dataclasses
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aa_jax.weights.errors import UnsafePickleError, WeightsError
from aa_jax.weights.pickle_globals import (
    GLOBALS,
    Foreign,
    Function,
    Stateful,
    check_key,
)

MAX_PICKLE_BYTES = 1 << 26
"""Longest pickle accepted; that of a large network with optimiser state has under 1 MiB."""

MAX_OPCODES = 2_000_000
"""Most opcodes accepted in one pickle; each creates at most one object."""

MAX_CALL_ITEMS = 1 << 22
"""Most characters and items given to calls in all: one memoised string, passed to a copying
function by every fourth opcode, would otherwise fill any memory."""


class Stream(Protocol):
    """What a pickle is read from: a memory buffer, or a file that reads no further than its end."""

    def read(self, size: int, /) -> bytes: ...
    def readline(self) -> bytes: ...
    def tell(self) -> int: ...


@dataclasses.dataclass(frozen=True)
class Dialect:
    """What the pickles of one kind of file may say.

    Attributes:
        globals: the permitted names, by ``(module, name)``, and what stands for them.
        opcodes: the permitted opcodes, and what each does to the machine.
        remedy: what to do about a refusal; the end of its message.
    """

    globals: Mapping[tuple[str, str], Any]
    opcodes: Mapping[str, Callable[["RestrictedUnpickler", Any], None]]
    remedy: str


def _refuse_persistent_id(identifier: Any) -> Any:
    raise UnsafePickleError("the pickle has persistent ids, which belong to no storage here")


class RestrictedUnpickler:
    """Builds plain containers and tensor records from a pickle; refuses everything else.

    Args:
        stream: binary stream positioned at the pickle; left just behind its STOP opcode. Give one
            whose ``read`` allocates no more than what is there, such as a memory buffer: the
            pickle declares lengths of its own.
        persistent_load: turns a persistent id (a tuple; for PyTorch a storage) into an object.
        dialect: which names and opcodes are permitted; ``None`` for those of PyTorch checkpoints.

    Example:
        >>> RestrictedUnpickler(io.BytesIO(b"\\x80\\x02]K\\x07a.")).load()
        [7]
    """

    def __init__(
        self,
        stream: Stream,
        *,
        persistent_load: Callable[[Any], Any] = _refuse_persistent_id,
        dialect: Dialect | None = None,
    ):
        self._stream = stream
        self.dialect = dialect or CHECKPOINT
        self.persistent_load = persistent_load
        self.stack: list[Any] = []
        self.outer_stacks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.call_items = 0

    def load(self) -> Any:
        """Runs the pickle and returns its object.

        Raises:
            UnsafePickleError: the pickle names, calls or builds something not in the tables.
            WeightsError: the pickle is truncated, corrupt or larger than the limits.
        """
        try:
            return self._run()
        except WeightsError:
            raise
        except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
            raise WeightsError(
                f"the checkpoint's pickle is corrupt or truncated ({type(error).__name__}: "
                f"{str(error)[:200]}); fetch the file again"
            ) from error

    def _run(self) -> Any:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(self._stream)):
            if count >= MAX_OPCODES:
                raise WeightsError(
                    f"the checkpoint's pickle has more than {MAX_OPCODES} opcodes; a state dict "
                    "has a few thousand"
                )
            if opcode.name == "STOP":
                return self.stack.pop()
            handler = self.dialect.opcodes.get(opcode.name)
            if handler is None:
                what = _describe_refused(opcode.name, argument, position)
                raise UnsafePickleError(f"{what} {self.dialect.remedy}")
            handler(self, argument)
        raise WeightsError("the checkpoint's pickle has no end")

    def pop_mark(self) -> list[Any]:
        """Returns what was pushed since the last mark and goes back to the stack before it."""
        items = self.stack
        self.stack = self.outer_stacks.pop()
        return items

    def find_global(self, module: Any, name: Any) -> Any:
        """What stands for a name in the table; every other is refused."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise UnsafePickleError("the checkpoint asks for a global whose name isn't a string")
        found = self.dialect.globals.get((module, name))
        if found is None:
            raise UnsafePickleError(
                f"the checkpoint asks for {f'{module}.{name}'[:200]!r}, which is refused and has "
                f"not been imported or called. {self.dialect.remedy}"
            )
        if isinstance(found, Foreign):
            raise WeightsError(found.message)
        return found


def _describe_refused(name: str, argument: Any, position: int) -> str:
    what = f"the pickle opcode {name} at byte {position}"
    if name == "INST":
        what = f"{str(argument)[:200].replace(' ', '.', 1)!r} (through {what})"
    return f"the checkpoint asks for {what}, which is refused and has not been run."


# Opcodes. Each takes the machine and the decoded argument that pickletools read.


def _push(machine: RestrictedUnpickler, argument: Any) -> None:
    machine.stack.append(argument)


def _ignore(machine: RestrictedUnpickler, argument: Any) -> None:
    """Protocol and frame marks: they steer the parser, which has already seen them."""


def _mark(machine: RestrictedUnpickler, argument: Any) -> None:
    machine.outer_stacks.append(machine.stack)
    machine.stack = []


def _pop(machine: RestrictedUnpickler, argument: Any) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_mark()


def _append(machine: RestrictedUnpickler, argument: Any) -> None:
    value = machine.stack.pop()
    _extend(machine.stack[-1], [value])


def _appends(machine: RestrictedUnpickler, argument: Any) -> None:
    items = machine.pop_mark()
    _extend(machine.stack[-1], items)


def _extend(target: Any, items: list[Any]) -> None:
    if type(target) is not list:
        raise UnsafePickleError(f"the checkpoint appends to a {type(target).__name__}")
    target.extend(items)


def _setitem(machine: RestrictedUnpickler, argument: Any) -> None:
    value = machine.stack.pop()
    key = machine.stack.pop()
    _update(machine.stack[-1], [key, value])


def _setitems(machine: RestrictedUnpickler, argument: Any) -> None:
    items = machine.pop_mark()
    _update(machine.stack[-1], items)


def _update(target: Any, items: list[Any]) -> None:
    if type(target) is not dict:
        raise UnsafePickleError(f"the checkpoint sets an item of a {type(target).__name__}")
    if len(items) % 2:
        raise WeightsError("the checkpoint's pickle sets a key without a value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[check_key(key)] = value


def _dict(machine: RestrictedUnpickler, argument: Any) -> None:
    items = machine.pop_mark()
    machine.stack.append({})
    _update(machine.stack[-1], items)


def _tuple_of(length: int) -> Callable[[RestrictedUnpickler, Any], None]:
    def build(machine: RestrictedUnpickler, argument: Any) -> None:
        items = tuple(machine.stack.pop() for _ in range(length))
        machine.stack.append(items[::-1])

    return build


def _reduce(machine: RestrictedUnpickler, argument: Any) -> None:
    arguments = machine.stack.pop()
    function = machine.stack.pop()
    if not isinstance(function, Function) or type(arguments) is not tuple:
        name = getattr(function, "name", type(function).__name__)
        raise UnsafePickleError(
            f"the checkpoint calls {name}, which is no function. {machine.dialect.remedy}"
        )
    if function.copies:
        machine.call_items += sum(len(item) for item in arguments if hasattr(item, "__len__"))
    if machine.call_items > MAX_CALL_ITEMS:
        raise WeightsError(f"the checkpoint's pickle passes over {MAX_CALL_ITEMS} items to calls")
    machine.stack.append(function.call(arguments))


def _build(machine: RestrictedUnpickler, argument: Any) -> None:
    state = machine.stack.pop()
    target = machine.stack[-1]
    if isinstance(target, Stateful):
        # In place: the memo may already hold this record.
        target.set_state(state)
    elif type(target) is dict and type(state) is dict:
        # Attributes of an ordered dictionary: `_metadata`, the module versions, holds no weights.
        return
    else:
        name = getattr(target, "name", type(target).__name__)
        raise UnsafePickleError(
            f"the checkpoint sets the state of {name}. {machine.dialect.remedy}"
        )


def _stack_global(machine: RestrictedUnpickler, argument: Any) -> None:
    name = machine.stack.pop()
    module = machine.stack.pop()
    machine.stack.append(machine.find_global(module, name))


def _put(machine: RestrictedUnpickler, index: Any) -> None:
    machine.memo[index] = machine.stack[-1]


OPCODES: dict[str, Callable[[RestrictedUnpickler, Any], None]] = {
    **dict.fromkeys(["PROTO", "FRAME"], _ignore),
    **dict.fromkeys(["INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"], _push),
    **dict.fromkeys(["FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING"], _push),
    **dict.fromkeys(["UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"], _push),
    **dict.fromkeys(["BINBYTES", "SHORT_BINBYTES", "BINBYTES8"], _push),
    **dict.fromkeys(["PUT", "BINPUT", "LONG_BINPUT"], _put),
    **dict.fromkeys(["GET", "BINGET", "LONG_BINGET"], lambda m, i: m.stack.append(m.memo[i])),
    "MEMOIZE": lambda machine, _: _put(machine, len(machine.memo)),
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "MARK": _mark,
    "POP": _pop,
    "POP_MARK": lambda machine, _: machine.pop_mark(),
    "APPEND": _append,
    "APPENDS": _appends,
    "SETITEM": _setitem,
    "SETITEMS": _setitems,
    "LIST": lambda machine, _: _push(machine, machine.pop_mark()),
    "DICT": _dict,
    "TUPLE": lambda machine, _: _push(machine, tuple(machine.pop_mark())),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "GLOBAL": lambda machine, pair: _push(machine, machine.find_global(*pair.split(" ", 1))),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "BUILD": _build,
    "BINPERSID": lambda machine, _: _push(machine, machine.persistent_load(machine.stack.pop())),
}

CHECKPOINT = Dialect(
    globals=GLOBALS,
    opcodes=OPCODES,
    remedy="Only tensors, numbers, strings and plain containers are read. If you trust the file, "
    "save its state dict alone with PyTorch (torch.save(model.state_dict(), path)) and read that.",
)
"""The pickles inside PyTorch checkpoints."""
