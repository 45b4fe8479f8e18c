"""Codes of the activation's slopes on the way between registers and shared memory.

Arithmetic is on words: two 16-bit numbers of neighbouring columns at a time, for which Pallas has
no operations. See `pallas_gpu_tensor_units` for the seam between a GPU and the interpreter.
"""

import functools

from jax import lax, numpy as jnp
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxlib.mlir.dialects import arith

from aa_jax.ops.filtered_activation import pallas_gpu_tensor_registers as registers
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_plan import BLOCK
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_registers import (
    BLOCKS,
    SHAPE,
    block_type,
    transforms,
)
from aa_jax.ops.filtered_activation.piecewise import CLAMPED, NEGATIVE, PiecewiseLinear


class Codes:
    """The operations on codes, of four rows in a byte.

    Args:
      activation: what the codes are of.
      dtype: bfloat16 or float16.
      channels: of a strip.
      interpret: whether the interpreter runs them.
    """

    def __init__(self, activation: PiecewiseLinear, dtype, channels: int, interpret: bool):
        self.activation, self.dtype = activation, jnp.dtype(dtype)
        self.channels, self.interpret = channels, interpret
        self._bytes = plgpu.RefType(transforms(channels, jnp.uint8))

    def added(self, packed, row: int, signal, value, clamped):
        """A block of uint16: the codes of one of four rows, and those of other rows.

        NEGATIVE is there for clamped samples too, until `store` takes it away.

        Args:
          packed: the other rows, or None.
          row: which one.
          signal: 16-bit block before the activation.
          value, clamped: the same after the slope, and after the clamp, if there is one.
        """
        signs, clamps = self.activation.slope != 1.0, self.activation.clamp is not None
        if self.interpret:
            new = jnp.zeros(SHAPE, jnp.uint16)
            if signs:
                new = new | lax.bitcast_convert_type(signal, jnp.uint16) >> 15
            if clamps:
                new = jnp.where(clamped != value, new | CLAMPED, new)
            return new << (2 * row) | (0 if packed is None else packed)

        def of_words(u, v, w, *others):
            places = []
            if signs:
                places.append((_spread_signs(u), NEGATIVE))
            if clamps:
                places.append((self._unequal(v, w), CLAMPED))
            new = [
                arith.andi(where, registers.i32((code << (2 * row)) * 0x10001))
                for where, code in places
            ]
            return functools.reduce(arith.ori, [*others, *new], registers.i32(0))

        arguments = [signal, value, clamped] + ([] if packed is None else [packed])

        @plgpu.inline_mgpu(arg_types=(BLOCKS,) * len(arguments), return_type=block_type(jnp.uint16))
        def run(_, *blocks):
            words = zip(*(registers.words_of(block) for block in blocks), strict=True)
            return registers.from_words([of_words(*word) for word in words], jnp.uint16)

        return run(*arguments)

    def _unequal(self, first, second):
        """All bits of those of two numbers that differ."""
        kind = {"bfloat16": "bf16x2", "float16": "f16x2"}[self.dtype.name]
        (where,) = registers.instruction(
            f"set.ne.u32.{kind} $0, $1, $2;",
            [first, second],
            results=registers.integers(1),
            pure=True,
        )
        return where

    def store(self, ref, column: int, packed, mask):
        """Stores complete bytes.

        Args:
          ref: buffer (strips, columns, channels), uint8.
          column: first of the block.
          packed: of four rows, see `added`.
          mask: int32, the bits to keep.
        """
        mask = lax.broadcast(mask.astype(jnp.uint16), SHAPE)
        if self.interpret:
            complete = (packed & ~(packed >> 1 & 0x55) & mask).astype(jnp.uint8)
            parts = complete.reshape(-1, self.channels, BLOCK).transpose(0, 2, 1)
            ref[:, column : column + BLOCK, :] = parts
            return

        @plgpu.inline_mgpu(arg_types=(self._bytes, BLOCKS, BLOCKS))
        def run(_, ref, packed, mask):
            words = zip(registers.words_of(packed), registers.words_of(mask), strict=True)
            for i, (word, kept) in enumerate(words):
                clamped = arith.andi(registers.shifted_down(word, 1), registers.i32(0x00550055))
                complete = arith.andi(word, arith.xori(clamped, registers.i32(-1)))
                complete = arith.andi(complete, kept)
                for half in range(2):
                    registers.instruction(
                        f"st.shared.b8 [$0+{column * self.channels}], $1;",
                        [
                            self._address(ref, i, half),
                            registers.shifted_down(complete, 16 * half),
                        ],
                    )

        run(ref, packed, plgpu.layout_cast(mask, BLOCKS))

    def load(self, ref, column: int):
        """Loads bytes as a block of uint16; see `store`."""
        if self.interpret:
            part = ref[:, column : column + BLOCK, :]
            return part.transpose(0, 2, 1).reshape(SHAPE).astype(jnp.uint16)

        @plgpu.inline_mgpu(arg_types=(self._bytes,), return_type=block_type(jnp.uint16))
        def run(_, ref):
            words = []
            for i in range(2):
                low, high = (
                    registers.instruction(
                        f"ld.shared.u8 $0, [$1+{column * self.channels}];",
                        [self._address(ref, i, half)],
                        results=registers.integers(1),
                    )[0]
                    for half in range(2)
                )
                words.append(arith.ori(low, arith.shli(high, registers.i32(16))))
            return registers.from_words(words, jnp.uint16)

        return run(ref)

    def _address(self, ref, word: int, half: int):
        """Where a thread's code of one of its two channels and two columns lies."""
        lane = registers.lane()
        strip, eights = registers.eights(self.channels, registers.i32(word))
        address = registers.add(
            registers.address_of(ref),
            registers.times(strip, registers.strides(ref)[0]),
            registers.times(registers.bits(lane, 0, 2), 2 * self.channels),
            registers.i32(half * self.channels),
            registers.times(eights, 8),
            registers.shifted_down(lane, 2),
        )
        return registers.swizzled(address, self.channels)

    def slopes(self, loaded, row: int):
        """Slopes that the codes of one of four rows stand for, without the gain: a 16-bit block.

        Args:
          loaded: bytes of codes, from `load`.
          row: which one.
        """
        slopes = (1.0, self.activation.slope)
        one, other = (registers.bits_of_number(slope, self.dtype) for slope in slopes)
        if self.interpret:
            code = (loaded >> (2 * row)) & 3
            bits = jnp.where(code == NEGATIVE, jnp.uint16(other), jnp.uint16(one))
            bits = jnp.where(code == CLAMPED, jnp.uint16(0), bits)
            return lax.bitcast_convert_type(bits, self.dtype)

        def of_word(word):
            negative, clamped = (_spread(word, 2 * row + bit) for bit in range(2))
            exchanged = arith.andi(negative, registers.i32((one ^ other) * 0x10001))
            bits = arith.xori(exchanged, registers.i32(one * 0x10001))
            return arith.andi(bits, arith.xori(clamped, registers.i32(-1)))

        @plgpu.inline_mgpu(arg_types=(BLOCKS,), return_type=block_type(self.dtype))
        def run(_, loaded):
            words = [of_word(word) for word in registers.words_of(loaded)]
            return registers.from_words(words, self.dtype)

        return run(loaded)


def _spread(word, bit: int):
    """In each half, one bit of its lower byte everywhere."""
    # The signs of bytes 0 and 2, twice each.
    return _selected(arith.shli(word, registers.i32(7 - bit)), 0xAA88)


def _spread_signs(word):
    """In each half, its highest bit everywhere."""
    # The signs of bytes 1 and 3, twice each.
    return _selected(word, 0xBB99)


def _selected(word, selector: int):
    (result,) = registers.instruction(
        f"prmt.b32 $0, $1, 0, {selector};", [word], results=registers.integers(1), pure=True
    )
    return result
