"""One block of a kernel: its shared memory, its barriers, and four warps that take turns."""

import re
from collections.abc import Generator

import ml_dtypes
import numpy as np

from scripts.kernels.emulator.program import Instruction, UnknownPTXError

THREADS, WARPS = 32, 4
# Addresses of the parameters, tensor maps of 128 bytes, and of shared memory.
PARAMETERS, SHARED = 1 << 40, 1 << 20
SIZE = 232448
KINDS = {
    "bf16": ml_dtypes.bfloat16,
    "f16": np.float16,
    "f32": np.float32,
    **{f"b{n}": np.dtype(f"u{n // 8}").type for n in (8, 16, 32, 64)},
    **{f"u{n}": np.dtype(f"u{n // 8}").type for n in (8, 16, 32, 64)},
    **{f"s{n}": np.dtype(f"i{n // 8}").type for n in (16, 32, 64)},
}


class Barrier:
    """A barrier in shared memory: arrivals and bytes that its phase still waits for.

    The copies that it waits for run only when somebody waits for it.
    """

    def __init__(self, count: int):
        self.count = self.pending = count
        self.bytes, self.phase, self.copies = 0, 0, []

    def arrive(self, threads: int, bytes_: int) -> None:
        """Counts threads that arrive, and bytes to wait for."""
        if threads > self.pending:
            raise RuntimeError("more threads arrive at a barrier than it was made for")
        self.pending -= threads
        self.bytes += bytes_
        self._advance()

    def complete(self) -> None:
        """Runs the copies, if all threads have arrived."""
        if self.pending == 0:
            self.bytes -= sum(copy() for copy in self.copies)
            self.copies = []
            self._advance()

    def _advance(self) -> None:
        if self.pending == 0 and self.bytes == 0 and not self.copies:
            self.phase ^= 1
            self.pending = self.count


class Block:
    """A block of 128 threads.

    Args:
      program: see `program.parse`.
      functions: of the instructions by name: called with a `Warp` and an `Instruction`.
      maps: the tensor maps, in the order of the parameters.
      index: of the block, (x, y, z).
      order: in which the warps run between barriers.
    """

    def __init__(self, program, functions, maps, index, order):
        self.program, self.functions, self.maps = program, functions, maps
        self.index, self.order = index, order
        # All ones is NaN, in all floating types.
        self.memory = np.full(SHARED + SIZE, 0xFF, np.uint8)
        self.barriers: dict[int, Barrier] = {}

    def run(self) -> None:
        """Runs the warps one after another, each until it has to wait for others."""
        warps = {w: Warp(self, w).run() for w in self.order}
        waiting = {}
        while warps:
            for w in [w for w in warps if w not in waiting]:
                try:
                    at = next(warps[w])
                except StopIteration:
                    del warps[w]
                else:
                    if at is not None:
                        waiting[w] = at
            if len(waiting) == WARPS:
                if len(set(waiting.values())) > 1:
                    raise RuntimeError(f"warps wait at different barriers: {waiting}")
                waiting = {}
            elif waiting and set(warps) <= set(waiting):
                raise RuntimeError("warps wait at a barrier for others that have ended")


class Warp:
    """A warp: registers are arrays of 32 numbers, or 32 truth values."""

    def __init__(self, block: Block, index: int):
        self.block, self.memory = block, block.memory
        self.registers = {
            "%tid.x": np.arange(THREADS, dtype=np.uint32) + THREADS * index,
            "%tid.y": _all(0),
            "%tid.z": _all(0),
            "%ntid.x": _all(THREADS * WARPS),
            "%ntid.y": _all(1),
            "%ntid.z": _all(1),
            "__dynamic_shmem__0": _all(SHARED),
        }
        for axis, at in zip("xyz", block.index, strict=True):
            self.registers[f"%ctaid.{axis}"] = _all(at)
        # Copies to global memory: not yet in a group, and in one.
        self.ungrouped, self.grouped = [], []

    def run(self) -> Generator[int | None, None, None]:
        """Yields the number of a barrier that all warps wait at, None to let others run."""
        at, program = 0, self.block.program
        while True:
            instruction = program[at]
            name = instruction.name
            at += 1
            if name == "ret":
                return
            if name in ("bra", "bra.uni"):
                if self.same(self.active(instruction)):
                    at = instruction.target
                    if at < len(program) and program[at].name.startswith("mbarrier.try_wait"):
                        yield None
            elif name == "bar.sync":
                yield int(self.same(self.get(instruction.operands[0], np.uint32)))
            elif name in self.block.functions:
                self.block.functions[name](self, instruction)
            else:
                raise UnknownPTXError(
                    f"the emulator does not know the PTX instruction {name!r} "
                    f"(operands: {', '.join(instruction.operands)})"
                )

    def get(self, operand: str, kind) -> np.ndarray:
        """The numbers of a register or a literal, their bits taken as of a type."""
        kind = np.dtype(kind)
        bits = np.dtype(f"u{kind.itemsize}")
        if (value := self.registers.get(operand)) is None:
            if operand.endswith("_param_0"):
                value = _all(PARAMETERS)
            elif operand.startswith("0f"):
                value = np.full(THREADS, int(operand[2:], 16), np.uint32)
            elif re.fullmatch(r"-?\d+|0x[0-9A-Fa-f]+", operand):
                value = np.full(THREADS, int(operand, 0) % 2**64, np.uint64)
            else:
                raise UnknownPTXError(f"nothing has set the operand {operand!r}")
        return value.astype(bits, copy=False).view(kind)

    def put(self, register: str, value: np.ndarray) -> None:
        """Sets a register."""
        if value.dtype != bool:
            value = np.ascontiguousarray(value).view(f"u{value.itemsize}")
        self.registers[register] = value

    def active(self, instruction: Instruction) -> np.ndarray:
        """Which threads run an instruction."""
        if instruction.predicate is None:
            return np.ones(THREADS, bool)
        value = self.registers[instruction.predicate]
        return ~value if instruction.negated else value

    def addresses(self, operand: str) -> np.ndarray:
        """Addresses "[register+offset]"."""
        register, offset = re.fullmatch(r"\[([\w%$]+)(?:\+(-?\d+))?\]", operand).groups()
        return self.get(register, np.uint64).astype(np.int64) + int(offset or 0)

    @staticmethod
    def same(values: np.ndarray):
        """The one value that all threads have."""
        if (values != values[0]).any():
            raise RuntimeError("threads of a warp differ where they must not")
        return values[0]


def names(operand: str) -> list[str]:
    """Registers of a vector "{a, b}", or of a single one."""
    return [name.strip() for name in operand.strip("{}").split(",")]


def _all(value: int) -> np.ndarray:
    return np.full(THREADS, value, np.uint64)
