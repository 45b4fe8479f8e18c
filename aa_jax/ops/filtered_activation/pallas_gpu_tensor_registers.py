"""What a thread of a GPU holds, in the compiler's terms, for `pallas_gpu_tensor_units`.

A block, an array (64, 8) of 16-bit numbers, is two registers of each thread, "words", of two
numbers each. Integers are 32 bits wide; addresses are of bytes in shared memory.
"""

import functools

import numpy as np
from jax import numpy as jnp
from jax.experimental.mosaic.gpu import fragmented_array, utils
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import arith, llvm

from aa_jax.ops.filtered_activation.pallas_gpu_tensor_plan import BLOCK, LANES

BLOCKS = plgpu.Layout.WGMMA
SHAPE = (LANES, BLOCK)
# Channels of a warp.
_OF_WARP = 16


def transforms(channels: int, dtype) -> tuple:
    """How a buffer (..., columns, channels) lies in shared memory: without bank conflicts."""
    swizzle = channels * jnp.dtype(dtype).itemsize
    return (plgpu.SwizzleTransform(swizzle),) if swizzle >= 32 else ()


def swizzled(address, size: int):
    """Where the copy engine puts what has this address in a buffer with `transforms`.

    Args:
      address: without them.
      size: bytes of all channels of a strip.
    """
    if size < 32:
        return address
    # Bits 4 to 6, or fewer, are exchanged according to bits 7 to 9.
    return arith.xori(address, arith.andi(shifted_down(address, 3), i32(size - 16)))


def eights(channels: int, second):
    """Strip, and which eight of its channels: the first or, if `second`, the other of the warp."""
    number = add(times(utils.warp_idx(), _OF_WARP // 8), second)
    count = (channels // 8).bit_length() - 1
    return shifted_down(number, count), bits(number, 0, count)


def block_type(dtype):
    """Type of a block."""
    return plgpu.ShapeDtypeStruct(SHAPE, dtype, layout=BLOCKS)


def bits_of_number(number: float, dtype) -> int:
    """The 16 bits of a floating-point number."""
    with np.errstate(over="ignore"):
        return int(np.asarray(number, np.float32).astype(dtype).view(np.uint16))


def i32(value: int):
    """A constant."""
    # Constants are signed.
    return utils.c((value + 2**31) % 2**32 - 2**31, ir.IntegerType.get_signless(32))


def add(*values):
    """Sum of integers."""
    return functools.reduce(arith.addi, values)


def times(value, by: int):
    """Product of an integer and a constant."""
    return arith.muli(value, i32(by))


def shifted_down(value, by: int):
    """An integer without its lowest bits."""
    return arith.shrui(value, i32(by))


def bits(value, first: int, count: int):
    """Some bits of an integer."""
    return arith.andi(shifted_down(value, first), i32(2**count - 1))


def divided(value, by: int, end: int):
    """Quotient and remainder of an integer below `end`, both small."""
    multiples = (at_least(value, multiple) for multiple in range(by, end, by))
    quotient = add(i32(0), *(arith.extui(value.type, multiple) for multiple in multiples))
    return quotient, arith.subi(value, times(quotient, by))


def at_least(value, other):
    """Whether an integer is at least another, both unsigned."""
    other = i32(other) if isinstance(other, int) else other
    return arith.cmpi(arith.CmpIPredicate.uge, value, other)


def lane():
    """Number of the thread in its warp."""
    return bits(utils.thread_idx(), 0, 5)


def address_of(ref):
    """Where a buffer begins."""
    return llvm.ptrtoint(ir.IntegerType.get_signless(32), utils.memref_ptr(ref))


def strides(ref) -> list[int]:
    """Bytes from element to element along each axis of a buffer."""
    kind = ir.MemRefType(ref.type)
    steps, _ = kind.get_strides_and_offset()
    return [step * utils.bitwidth(kind.element_type) // 8 for step in steps]


def instruction(text: str, operands, kinds: str = "", results=(), *, pure: bool = False):
    """Emits an instruction.

    Args:
      text: with $0, $1, ... for the results and then the operands.
      operands: values.
      kinds: of registers, a letter for each result and operand; integers unless given.
      results: types.
      pure: whether it depends on its operands alone, and does nothing else.

    Returns:
      The results.
    """
    kinds = kinds or "r" * (len(results) + len(operands))
    constraints = [f"={kind}" for kind in kinds[: len(results)]] + list(kinds[len(results) :])
    if len(results) > 1:
        kind = llvm.StructType.get_literal(list(results))
    else:
        kind = results[0] if results else ir.Type.parse("!llvm.void")
    out = llvm.inline_asm(
        kind, list(operands), text, ",".join(constraints), has_side_effects=not pure
    )
    if len(results) > 1:
        return [llvm.extractvalue(result, out, [i]) for i, result in enumerate(results)]
    return [out] if results else []


def integers(count: int) -> list:
    """Types of as many integers."""
    return [ir.IntegerType.get_signless(32)] * count


def loaded(address, offset: int, dtype):
    """Two blocks: of each, the first and the last eight channels of the warp.

    Threads 0 to 7 have the addresses of the eight samples of the first eight channels of the first
    block, the next eight those of the other channels, and the others those of the second block.
    """
    words = instruction(
        f"ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {{$0,$1,$2,$3}}, [$4+{offset}];",
        [address],
        results=integers(4),
    )
    return from_words(words[:2], dtype), from_words(words[2:], dtype)


def elements(array) -> list:
    """The numbers of a thread."""
    return [
        llvm.extractelement(register, i32(i))
        for register in array.registers.flat
        for i in range(ir.VectorType(register.type).shape[0])
    ]


def words_of(array) -> list:
    """The words of a thread."""
    return [utils.bitcast(register, *integers(1)) for register in array.registers.flat]


def from_words(words, dtype):
    """A 16-bit block."""
    pair = ir.VectorType.get((2,), utils.dtype_to_ir_type(jnp.dtype(dtype)))
    signed = False if jnp.issubdtype(dtype, jnp.integer) else None
    return _block([utils.bitcast(word, pair) for word in words], signed)


def from_sums(values):
    """A float32 block of the four numbers of a thread."""
    return _block([_vector(values[:2]), _vector(values[2:])], None)


def from_integers(values, layout):
    """An array of which each thread has these neighbouring integers."""
    return fragmented_array.FragmentedArray(
        _registers=np.array([_vector(values)], dtype=object),
        _layout=layout.to_mgpu(),
        _is_signed=True,
    )


def _vector(values):
    vector = llvm.mlir_undef(ir.VectorType.get((len(values),), values[0].type))
    for i, value in enumerate(values):
        vector = llvm.insertelement(vector, value, i32(i))
    return vector


def _block(registers, signed: bool | None):
    layout = fragmented_array.WGMMA_LAYOUT
    held = np.empty(layout.registers_shape(SHAPE), dtype=object)
    held.flat[:] = registers
    return fragmented_array.FragmentedArray(_registers=held, _layout=layout, _is_signed=signed)
