"""Instructions on registers."""

import functools

import numpy as np

from scripts.kernels.emulator.block import KINDS, THREADS, names
from scripts.kernels.emulator.program import UnknownPTXError

INSTRUCTIONS = {}


def _elementwise(name: str, function, to: str, *operands: str) -> None:
    """Defines an instruction on numbers of the given types."""

    def run(warp, instruction):
        d, *sources = instruction.operands
        values = [warp.get(s, KINDS[t]) for s, t in zip(sources, operands, strict=True)]
        with np.errstate(all="ignore"):
            result = function(*values)
        warp.put(d, result if to == "pred" else result.astype(KINDS[to], copy=False))

    INSTRUCTIONS[name] = run


def _shift(function):
    def shifted(value, by):
        bits = value.dtype.type(8 * value.itemsize - 1)
        by = by.astype(value.dtype)
        return np.where(by > bits, value.dtype.type(0), function(value, np.minimum(by, bits)))

    return shifted


def _fma(a, b, c):
    return a.astype(np.float64) * b + c


_BITS = ("b16", "b32", "b64")
_INTEGERS = ("s16", "s32", "s64", "u16", "u32", "u64")
for _t in _BITS + _INTEGERS:
    _elementwise(f"mov.{_t}", lambda x: x, _t, _t)
for _t in _INTEGERS:
    _elementwise(f"add.{_t}", np.add, _t, _t, _t)
    _elementwise(f"sub.{_t}", np.subtract, _t, _t, _t)
    _elementwise(f"mul.lo.{_t}", np.multiply, _t, _t, _t)
    _elementwise(f"mad.lo.{_t}", lambda a, b, c: a * b + c, _t, _t, _t, _t)
    _elementwise(f"min.{_t}", np.minimum, _t, _t, _t)
    _elementwise(f"max.{_t}", np.maximum, _t, _t, _t)
for _t in _BITS:
    _elementwise(f"and.{_t}", np.bitwise_and, _t, _t, _t)
    _elementwise(f"or.{_t}", np.bitwise_or, _t, _t, _t)
    _elementwise(f"xor.{_t}", np.bitwise_xor, _t, _t, _t)
    _elementwise(f"not.{_t}", np.bitwise_not, _t, _t)
    _elementwise(f"shl.{_t}", _shift(np.left_shift), _t, _t, "u32")
for _t in ("u16", "u32", "u64"):
    _elementwise(f"shr.{_t}", _shift(np.right_shift), _t, _t, "u32")
for _from, _t in (("u16", "u32"), ("u32", "u64"), ("s16", "s32"), ("s32", "s64")):
    _wide = functools.partial(np.multiply, dtype=KINDS[_t])
    _elementwise(f"mul.wide.{_from}", _wide, _t, _from, _from)
for _from in ("u16", "u32", "u64"):
    for _t in ("u16", "u32", "u64"):
        _elementwise(f"cvt.{_t}.{_from}", lambda x: x, _t, _from)
for _t in _BITS + _INTEGERS + ("f32",):
    for _name, _compare in (
        *(("eq", np.equal), ("ne", np.not_equal), ("gt", np.greater), ("lt", np.less)),
        *(("ge", np.greater_equal), ("le", np.less_equal)),
    ):
        # Of floats, "ne" is false where one is not a number, unlike NumPy's.
        if (_t, _name) != ("f32", "ne"):
            _elementwise(f"setp.{_name}.{_t}", _compare, "pred", _t, _t)
_elementwise("cvta.param.u64", lambda x: x, "u64", "u64")
_elementwise("mul.f32", np.multiply, "f32", "f32", "f32")
_elementwise("add.f32", np.add, "f32", "f32", "f32")
_elementwise("sub.f32", np.subtract, "f32", "f32", "f32")
_elementwise("fma.rn.f32", _fma, "f32", "f32", "f32", "f32")
_elementwise("max.NaN.f32", np.maximum, "f32", "f32", "f32")
_elementwise("min.NaN.f32", np.minimum, "f32", "f32", "f32")
_elementwise("abs.f32", np.abs, "f32", "f32")


def _pairs(t: str) -> None:
    """Defines the instructions on pairs of 16-bit floats."""
    kind = KINDS[t]

    def on_halves(function):
        def run(x, y):
            x, y = x.view(kind).astype(np.float32), y.view(kind).astype(np.float32)
            return function(x, y).astype(kind).view(np.uint32)

        return run

    def packed(high, low):
        high, low = (v.astype(kind).view(np.uint16).astype(np.uint32) for v in (high, low))
        return high << np.uint32(16) | low

    def unequal(x, y):
        x, y = x.view(kind).astype(np.float32), y.view(kind).astype(np.float32)
        differ = (x != y) & ~np.isnan(x) & ~np.isnan(y)
        return (differ.astype(np.uint16) * np.uint16(0xFFFF)).view(np.uint32)

    _elementwise(f"mul.{t}x2", on_halves(np.multiply), "b32", "b32", "b32")
    _elementwise(f"max.NaN.{t}x2", on_halves(np.maximum), "b32", "b32", "b32")
    _elementwise(f"min.NaN.{t}x2", on_halves(np.minimum), "b32", "b32", "b32")
    _elementwise(f"cvt.rn.{t}x2.f32", packed, "b32", "f32", "f32")
    _elementwise(f"set.ne.u32.{t}x2", unequal, "b32", "b32", "b32")


_pairs("bf16")
_pairs("f16")


def _defines(*defined: str):
    def add(function):
        INSTRUCTIONS.update(dict.fromkeys(defined, function))
        return function

    return add


_move = INSTRUCTIONS["mov.b32"]


@_defines("mov.b32")
def _move_or_pack(warp, instruction):
    to, source = instruction.operands
    if source.startswith("{"):
        low, high = (warp.get(name, np.uint16).astype(np.uint32) for name in names(source))
        warp.put(to, low | high << np.uint32(16))
    elif to.startswith("{"):
        word = warp.get(source, np.uint32)
        for name, half in zip(names(to), (word, word >> np.uint32(16)), strict=True):
            warp.put(name, half.astype(np.uint16))
    else:
        _move(warp, instruction)


@_defines("and.pred")
def _and(warp, instruction):
    d, x, y = instruction.operands
    warp.put(d, warp.registers[x] & warp.registers[y])


@_defines("not.pred")
def _not(warp, instruction):
    d, x = instruction.operands
    warp.put(d, ~warp.registers[x])


@_defines("selp.b16", "selp.b32", "selp.b64", "selp.f32")
def _select(warp, instruction):
    d, x, y, predicate = instruction.operands
    kind = KINDS[instruction.name.split(".")[-1]]
    warp.put(d, np.where(warp.registers[predicate], warp.get(x, kind), warp.get(y, kind)))


@_defines("bfe.u32")
def _extract(warp, instruction):
    d, x, start, length = instruction.operands
    mask = np.uint32(2 ** int(length) - 1)
    warp.put(d, warp.get(x, np.uint32) >> np.uint32(int(start)) & mask)


@_defines("prmt.b32")
def _permute(warp, instruction):
    d, x, y, selector = instruction.operands
    both = warp.get(x, np.uint32).astype(np.uint64) | warp.get(y, np.uint32).astype(
        np.uint64
    ) << np.uint64(32)
    eight = both.view(np.uint8).reshape(THREADS, 8)
    result = np.zeros((THREADS, 4), np.uint8)
    for i in range(4):
        which = int(selector, 0) >> (4 * i) & 15
        byte = eight[:, which & 7]
        # With the highest bit set, the byte's sign fills it.
        result[:, i] = (byte >> 7) * np.uint8(255) if which & 8 else byte
    warp.put(d, result.view(np.uint32)[:, 0])


@_defines("shfl.sync.idx.b32")
def _shuffle(warp, instruction):
    d, x, lane, clamp, _ = instruction.operands
    if int(clamp) != 31:
        raise UnknownPTXError(f"shuffles are within 32 threads, not as by {clamp}")
    warp.put(d, np.full(THREADS, warp.get(x, np.uint32)[int(lane)]))


@_defines("elect.sync")
def _elect(warp, instruction):
    leader, predicate = instruction.operands[0].split("|")
    warp.put(leader, np.zeros(THREADS, np.uint32))
    warp.put(predicate, np.arange(THREADS) == 0)
