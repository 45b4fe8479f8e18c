"""Codes of the activation's slopes on the way between registers and shared memory.

Arithmetic is on words: two 16-bit numbers of neighbouring columns at a time, for which Pallas has
no operations. See `pallas_gpu_tensor_units` for the seam between a GPU and the interpreter.
"""

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

    def added(self, packed, signal, value):
        """A block of uint16: the codes of a row, and those of the rows before.

        A row's two bits come in at the top, the upper one inverted, and move down as others follow,
        so that after four rows the upper byte is complete.

        Args:
          packed: the rows before, None before the first.
          signal: 16-bit block before the activation.
          value: the same after the slope, before the clamp.
        """
        signs, clamp = self.activation.slope != 1.0, self.activation.clamp
        limit = None if clamp is None else registers.bits_of_number(clamp, self.dtype)
        if self.interpret:
            new = jnp.full(SHAPE, 0x8000, jnp.uint16)
            if signs:
                new = new | (lax.bitcast_convert_type(signal, jnp.uint16) >> 15) << 14
            if limit is not None:
                magnitude = lax.bitcast_convert_type(value, jnp.uint16) & 0x7FFF
                new = jnp.where(magnitude > limit, jnp.uint16(0), new)
            return new if packed is None else (packed >> 2) | new

        def of_words(u, v, *before):
            inside = registers.i32(-1)
            if limit is not None:
                # The top bit of either half stays where the magnitude is not beyond.
                magnitude = arith.andi(v, registers.i32(0x7FFF7FFF))
                inside = arith.subi(registers.i32((limit | 0x8000) * 0x10001), magnitude)
            new = arith.andi(inside, registers.i32(0x80008000))
            if signs:
                negative = registers.shifted_down(arith.andi(u, inside), 1)
                new = arith.ori(new, arith.andi(negative, registers.i32(0x40004000)))
            for word in before:
                new = arith.ori(new, registers.shifted_down(word, 2))
            return new

        arguments = [signal, value] + ([] if packed is None else [packed])

        @plgpu.inline_mgpu(arg_types=(BLOCKS,) * len(arguments), return_type=block_type(jnp.uint16))
        def run(_, *blocks):
            words = zip(*(registers.words_of(block) for block in blocks), strict=True)
            return registers.from_words([of_words(*word) for word in words], jnp.uint16)

        return run(*arguments)

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
            complete = (((packed >> 8) ^ 0xAA) & mask).astype(jnp.uint8)
            parts = complete.reshape(-1, self.channels, BLOCK).transpose(0, 2, 1)
            ref[:, column : column + BLOCK, :] = parts
            return

        @plgpu.inline_mgpu(arg_types=(self._bytes, BLOCKS, BLOCKS))
        def run(_, ref, packed, mask):
            words = zip(registers.words_of(packed), registers.words_of(mask), strict=True)
            for i, (word, kept) in enumerate(words):
                complete = arith.xori(word, registers.i32(0xAA00AA00))
                complete = arith.andi(registers.shifted_down(complete, 8), kept)
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
    top = arith.shli(word, registers.i32(7 - bit))
    (spread,) = registers.instruction(
        # The signs of bytes 0 and 2, twice each.
        "prmt.b32 $0, $1, 0, 0xaa88;",
        [top],
        results=registers.integers(1),
        pure=True,
    )
    return spread
