"""Instructions on shared memory, barriers and the copy engine."""

import functools
import re

import numpy as np

from scripts.kernels.emulator.block import KINDS, PARAMETERS, THREADS, Barrier, Warp, names
from scripts.kernels.emulator.program import UnknownPTXError

INSTRUCTIONS = {}


def _defines(*defined: str):
    def add(function):
        INSTRUCTIONS.update(dict.fromkeys(defined, function))
        return function

    return add


@_defines("fence.mbarrier_init.release.cluster", "fence.proxy.async.shared::cta", "bar.warp.sync")
def _nothing(warp, instruction):
    """The threads of a warp run in step, and memory is always up to date."""


def _load(count: int, kind: str):
    kind = np.dtype(KINDS[kind])
    # Registers have 16 bits at least.
    held = np.uint16 if kind.itemsize == 1 else kind

    def run(warp, instruction):
        to, source = instruction.operands
        at = warp.addresses(source)[:, None] + np.arange(count * kind.itemsize)
        values = warp.memory[at].view(kind)
        for i, name in enumerate(names(to)):
            warp.put(name, values[:, i].astype(held))

    return run


def _store(count: int, kind: str):
    kind = np.dtype(KINDS[kind])

    def run(warp, instruction):
        to, source = instruction.operands
        at = warp.addresses(to)[:, None] + np.arange(count * kind.itemsize)
        if len(np.unique(at)) != at.size:
            raise RuntimeError("threads of a warp store to the same address")
        held = np.uint16 if kind.itemsize == 1 else kind
        values = [warp.get(name, held).astype(kind) for name in names(source)]
        warp.memory[at] = np.stack(values, 1).view(np.uint8)

    return run


for _kind in ("b8", "u8", "b16", "b32", "b64"):
    for _count, _vector in ((1, ""), (2, ".v2"), (4, ".v4")):
        for _space in ("shared", "volatile.shared"):
            INSTRUCTIONS[f"ld.{_space}{_vector}.{_kind}"] = _load(_count, _kind)
            INSTRUCTIONS[f"st.{_space}{_vector}.{_kind}"] = _store(_count, _kind)


def _rows(warp: Warp, operand: str, count: int) -> np.ndarray:
    """Addresses (matrices, 8 rows, 16 bytes): each thread says where one row begins."""
    at = warp.addresses(operand)[: 8 * count].reshape(count, 8, 1)
    if (at % 16).any():
        raise RuntimeError("rows of a matrix must begin at a multiple of 16 bytes")
    return at + np.arange(16)


# Transposed: thread l holds rows 2 (l % 4) and one more of column l // 4.
_LANE = np.arange(THREADS)
_FIRST, _GROUP = 2 * (_LANE % 4), _LANE // 4


@_defines(*(f"ldmatrix.sync.aligned.m8n8.x{n}.trans.shared.b16" for n in (1, 2, 4)))
def _load_matrices(warp, instruction):
    registers = names(instruction.operands[0])
    bytes_ = warp.memory[_rows(warp, instruction.operands[1], len(registers))]
    for name, matrix in zip(registers, bytes_.view(np.uint16), strict=True):
        low, high = (matrix[_FIRST + i, _GROUP].astype(np.uint32) for i in (0, 1))
        warp.put(name, low | high << np.uint32(16))


@_defines(*(f"stmatrix.sync.aligned.m8n8.x{n}.trans.shared.b16" for n in (1, 2, 4)))
def _store_matrices(warp, instruction):
    registers = names(instruction.operands[1])
    matrices = np.zeros((len(registers), 8, 8), np.uint16)
    for name, matrix in zip(registers, matrices, strict=True):
        word = warp.get(name, np.uint32)
        for i in (0, 1):
            matrix[_FIRST + i, _GROUP] = (word >> np.uint32(16 * i)).astype(np.uint16)
    warp.memory[_rows(warp, instruction.operands[0], len(registers))] = matrices.view(np.uint8)


@_defines(*(f"mma.sync.aligned.m16n8k16.row.col.f32.{t}.{t}.f32" for t in ("bf16", "f16")))
def _multiply_matrices(warp, instruction):
    kind = KINDS[instruction.name.split(".")[-2]]
    results, a, b, c = map(names, instruction.operands)

    def halves(name):
        return warp.get(name, np.uint32).view(kind).reshape(THREADS, 2).astype(np.float32)

    left, right = np.zeros((16, 16), np.float32), np.zeros((16, 8), np.float32)
    sums = np.zeros((16, 8), np.float32)
    for i, name in enumerate(a):
        for j in (0, 1):
            left[_GROUP + 8 * (i & 1), _FIRST + j + 8 * (i >> 1)] = halves(name)[:, j]
    for i, name in enumerate(b):
        for j in (0, 1):
            right[_FIRST + j + 8 * i, _GROUP] = halves(name)[:, j]
    for i, name in enumerate(c):
        sums[_GROUP + 8 * (i >> 1), _FIRST + (i & 1)] = warp.get(name, np.float32)
    with np.errstate(invalid="ignore"):
        sums = left @ right + sums
    for i, name in enumerate(results):
        warp.put(name, sums[_GROUP + 8 * (i >> 1), _FIRST + (i & 1)])


@_defines("mbarrier.init.shared.b64")
def _make_barrier(warp, instruction):
    at, count = instruction.operands
    if warp.active(instruction).any():
        count = int(warp.same(warp.get(count, np.uint32)))
        warp.block.barriers[int(warp.same(warp.addresses(at)))] = Barrier(count)


@_defines("mbarrier.arrive.expect_tx.shared.b64")
def _arrive(warp, instruction):
    _, at, count = instruction.operands
    active = warp.active(instruction)
    if active.any():
        barrier = warp.block.barriers[int(warp.same(warp.addresses(at)))]
        barrier.arrive(int(active.sum()), int(warp.get(count, np.uint32)[active].sum()))


@_defines("mbarrier.try_wait.parity.shared.b64")
def _wait(warp, instruction):
    done, at, parity, *_ = instruction.operands
    barrier = warp.block.barriers[int(warp.same(warp.addresses(at)))]
    barrier.complete()
    passed = barrier.phase != int(warp.same(warp.get(parity, np.uint32)))
    warp.put(done, np.full(THREADS, passed))


def _box(warp: Warp, operand: str, thread: int):
    """The tensor map and the coordinates of "[address, {coordinates}]"."""
    address, coordinates = re.fullmatch(r"\[([\w%]+),\s*\{(.*)\}\s*\]", operand).groups()
    offset = int(warp.get(address, np.uint64)[thread]) - PARAMETERS
    where = [warp.get(c.strip(), np.uint32)[thread] for c in coordinates.split(",")]
    return warp.block.maps[offset // 128], where


_LOAD = "cp.async.bulk.tensor.{}d.shared::cluster.global.mbarrier::complete_tx::bytes"
_STORE = "cp.async.bulk.tensor.{}d.global.shared::cta.bulk_group"


@_defines(*(_LOAD.format(n) for n in range(1, 6)))
def _copy_in(warp, instruction):
    to, source, barrier = instruction.operands
    for thread in np.flatnonzero(warp.active(instruction)):
        box, where = _box(warp, source, thread)
        to_address = int(warp.addresses(to)[thread])
        copy = functools.partial(box.load, warp.memory, to_address, where)
        warp.block.barriers[int(warp.addresses(barrier)[thread])].copies.append(copy)


@_defines(*(_STORE.format(n) for n in range(1, 6)))
def _copy_out(warp, instruction):
    target, source = instruction.operands
    for thread in np.flatnonzero(warp.active(instruction)):
        box, where = _box(warp, target, thread)
        at = int(warp.addresses(source)[thread])
        warp.ungrouped.append(functools.partial(box.store, warp.memory, at, where))


@_defines("cp.async.bulk.commit_group")
def _close_group(warp, instruction):
    warp.grouped += warp.ungrouped
    warp.ungrouped = []


@_defines("cp.async.bulk.wait_group", "cp.async.bulk.wait_group.read")
def _wait_for_groups(warp, instruction):
    if instruction.operands != ("0",):
        raise UnknownPTXError("the emulator can wait for all groups of copies only")
    for copy in warp.grouped:
        copy()
    warp.grouped = []
