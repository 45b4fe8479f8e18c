"""Blocks of numbers in the registers of a warp group, and the tensor cores' products of them.

A block is an array (64, 8): channels, of one or more strips, by neighbouring samples. A warp holds
16 of the channels, and a thread pairs of samples of two channels, which is how the tensor cores
want both factors and results: the result of one product is the factor of the next as it is.

Pallas has no functions for the instructions that products of single warps need (`mma.sync`,
`ldmatrix`, `stmatrix`), so this module writes them out. Its functions, and those of
`pallas_gpu_tensor_codes`, are the seam between a GPU and the interpreter: for the latter, each does
the same with JAX's own operations. So the interpreter tests what is multiplied by what, and the
order of the taps in registers; addresses in shared memory and the instructions themselves run on
a GPU alone.
"""

import numpy as np
from jax import lax, numpy as jnp
from jax.experimental.mosaic.gpu import utils
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import arith

from aa_jax.ops.filtered_activation import pallas_gpu_tensor_registers as registers
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_plan import BLOCK
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_registers import (
    BLOCKS,
    SHAPE,
    block_type,
    transforms,
)

_WORDS = plgpu.Layout.WG_STRIDED((256,), vec_size=2)
_ADDRESSES = plgpu.Layout.WG_STRIDED((512,), vec_size=4)


def words_of(matrices, dtype) -> np.ndarray:
    """Matrices (n, 16, 8), and after them the mask that `multiples` wants, as registers of threads.

    Returns:
      (n + 1, 256) int32: two for each of 128 threads.
    """
    bits = np.asarray(matrices, np.float32).astype(dtype).view(np.uint16).reshape(-1, 16, BLOCK)
    mask = np.tile(np.eye(BLOCK, dtype=np.uint16) * np.uint16(0xFFFF), (1, 2, 1))
    bits = np.concatenate([bits, mask]).astype(np.uint32)
    # Of thread 4 * n + c: column n; rows 2 c and 2 c + 1, and as many after eight.
    bits = bits.reshape(-1, 2, 4, 2, BLOCK).transpose(0, 4, 2, 1, 3)
    words = (bits[..., 0] | bits[..., 1] << 16).reshape(-1, 64)
    return np.tile(words, (1, 4)).view(np.int32)


def matrix_of(words, dtype):
    """Undoes `words_of` for one matrix."""
    bits = lax.bitcast_convert_type(words[:64], jnp.uint16).reshape(BLOCK, 4, 2, 2)
    return lax.bitcast_convert_type(bits.transpose(2, 1, 3, 0), dtype).reshape(16, BLOCK)


class Units:
    """The operations on blocks.

    Args:
      dtype: bfloat16 or float16.
      channels: of a strip; a buffer has `64 // channels` strips.
      interpret: whether the interpreter runs them.
    """

    def __init__(self, dtype, channels: int, interpret: bool):
        self.dtype, self.channels, self.interpret = jnp.dtype(dtype), channels, interpret
        # Bytes from column to column.
        self._column = channels * self.dtype.itemsize
        self._signal = plgpu.RefType(transforms(channels, dtype))

    def zeros(self):
        """A block of float32 zeros."""
        zeros = jnp.zeros(SHAPE, jnp.float32)
        return zeros if self.interpret else plgpu.layout_cast(zeros, BLOCKS)

    def words(self, ref, index: int):
        """A matrix of taps, or the mask, from a buffer of what `words_of` returns.

        Loaded anew each time: the compiler would keep it, and what is made of it, in registers.
        """
        if self.interpret:
            return ref[index]

        @plgpu.inline_mgpu(
            arg_types=(plgpu.RefType(),),
            return_type=plgpu.ShapeDtypeStruct((256,), jnp.int32, layout=_WORDS),
        )
        def run(_, ref):
            own = registers.times(utils.thread_idx(), 8)
            words = registers.instruction(
                f"ld.volatile.shared.v2.b32 {{$0,$1}}, [$2+{index * registers.strides(ref)[0]}];",
                [registers.add(registers.address_of(ref), own)],
                results=registers.integers(2),
            )
            return registers.from_integers(words, _WORDS)

        return run(ref)

    def product(self, total, first, second, matrix):
        """Adds two 16-bit blocks, side by side, times a matrix (16, 8), to a float32 block or None.

        Args:
          total: float32 block, or None.
          first, second: 16-bit blocks.
          matrix: from `words`.
        """
        if self.interpret:
            return _banded_product(total, first, second, matrix_of(matrix, self.dtype))
        return self._multiplied(total, first, second, matrix, registers.elements)

    def multiples(self, total, first, second, taps, mask):
        """Adds two 16-bit blocks, each times a tap, to a float32 block or None.

        Args:
          total, first, second: see `product`.
          taps: two numbers.
          mask: from `words`, the last.
        """
        if self.interpret:
            matrix = jnp.concatenate([jnp.eye(BLOCK) * tap for tap in taps])
            return _banded_product(total, first, second, matrix)

        def right(mask):
            bits = (registers.bits_of_number(tap, self.dtype) * 0x10001 for tap in taps)
            masks = registers.elements(mask)
            return [arith.andi(m, registers.i32(b)) for m, b in zip(masks, bits, strict=True)]

        return self._multiplied(total, first, second, mask, right)

    def _multiplied(self, total, first, second, words, right):
        """The product by the two registers that `right` makes of `words`."""
        totals = [] if total is None else [total]
        name = {"bfloat16": "bf16", "float16": "f16"}[self.dtype.name]

        @plgpu.inline_mgpu(
            arg_types=(_WORDS, BLOCKS, BLOCKS) + (BLOCKS,) * len(totals),
            return_type=block_type(jnp.float32),
        )
        def run(_, words, first, second, *totals):
            f32 = ir.F32Type.get()
            sums = [x for total in totals for x in registers.elements(total)]
            sums = sums or [utils.c(0.0, f32)] * 4
            left = registers.words_of(first) + registers.words_of(second)
            results = registers.instruction(
                f"mma.sync.aligned.m16n8k16.row.col.f32.{name}.{name}.f32 "
                "{$0,$1,$2,$3}, {$4,$5,$6,$7}, {$8,$9}, {$10,$11,$12,$13};",
                [*left, *right(words), *sums],
                "ffff" + "rrrrrr" + "ffff",
                [f32] * 4,
                pure=True,
            )
            return registers.from_sums(results)

        return run(words, first, second, *totals)

    def window(self, ring, slot, count: int, fresh: int):
        """What `columns` needs to load from eight rows.

        Args:
          ring: buffer (strips, slots, rows, columns, channels).
          slot: the one that the first rows are in.
          count: rows that there are; in place of others the last is read.
          fresh: rows in use of each slot.
        """
        slots = ring.shape[1]
        if self.interpret:
            places = [divmod(min(row, count - 1), fresh) for row in range(BLOCK)]
            return jnp.stack([ring[:, lax.rem(slot + s, slots), within] for s, within in places])

        @plgpu.inline_mgpu(
            arg_types=(self._signal, self._signal),
            return_type=plgpu.ShapeDtypeStruct((512,), jnp.int32, layout=_ADDRESSES),
        )
        def run(_, ring, first):
            of_strip, of_slot, of_row = registers.strides(ring)[:3]
            whole, lane = registers.i32(slots * of_slot), registers.lane()
            row = arith.minui(registers.bits(lane, 0, 3), registers.i32(count - 1))
            slot, within = registers.divided(row, fresh, BLOCK)
            address = registers.add(registers.address_of(first), registers.times(slot, of_slot))
            end = registers.add(registers.address_of(ring), whole)
            back = arith.select(registers.at_least(address, end), whole, registers.i32(0))
            strip, eights = registers.eights(self.channels, registers.bits(lane, 3, 1))
            start = registers.add(
                arith.subi(address, back),
                registers.times(within, of_row),
                registers.times(strip, of_strip),
                registers.times(registers.bits(lane, 4, 1), self._column),
                registers.times(eights, 16),
            )
            # Of four pairs of columns; after them the pattern of swizzling repeats.
            pairs = (registers.i32(2 * pair * self._column) for pair in range(4))
            addresses = [
                registers.swizzled(registers.add(start, pair), self._column) for pair in pairs
            ]
            return registers.from_integers(addresses, _ADDRESSES)

        return run(ring, ring.at[:, slot])

    def columns(self, window, column: int):
        """Loads two columns, of an even number and the next: a block of eight rows of each."""
        if self.interpret:
            # (rows, strips, columns, channels)
            pair = (window[:, :, column + i, :] for i in range(2))
            return [part.transpose(1, 2, 0).reshape(SHAPE) for part in pair]
        group, pair = divmod(column // 2, 4)

        @plgpu.inline_mgpu(arg_types=(_ADDRESSES,), return_type=(block_type(self.dtype),) * 2)
        def run(_, addresses):
            address = registers.elements(addresses)[pair]
            return registers.loaded(address, group * BLOCK * self._column, self.dtype)

        return run(window)

    def store_tall(self, ref, column: int, first, second):
        """Stores blocks of two columns of four rows each.

        Args:
          ref: buffer (4 warps, 4 rows, 2, columns, 8 channels).
          column: of the first block; the second has the next two.
          first, second: 16-bit blocks.
        """
        if self.interpret:
            for at, value in ((column, first), (column + 2, second)):
                parts = value.reshape(4, 2, 8, 2, 4).transpose(0, 4, 1, 3, 2)
                ref[:, :, :, at : at + 2, :] = parts
            return

        @plgpu.inline_mgpu(arg_types=(plgpu.RefType(), BLOCKS, BLOCKS))
        def run(_, ref, first, second):
            of_warp, of_row, of_half, of_column, _ = registers.strides(ref)
            lane = registers.lane()
            address = registers.add(
                registers.address_of(ref),
                registers.times(utils.warp_idx(), of_warp),
                registers.times(registers.bits(lane, 0, 2), of_row),
                registers.times(registers.bits(lane, 2, 1), of_column),
                registers.times(registers.bits(lane, 3, 1), of_half),
                registers.times(registers.bits(lane, 4, 1), 2 * of_column),
            )
            registers.instruction(
                f"stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [$0+{column * of_column}], "
                "{$1,$2,$3,$4};",
                [address, *registers.words_of(first), *registers.words_of(second)],
            )

        run(ref, first, second)

    def load_tall(self, ref, row: int, first: int, second: int):
        """Loads two blocks of a row that `store_tall` has stored."""
        if self.interpret:
            parts = (ref[:, row, :, b * BLOCK : (b + 1) * BLOCK, :] for b in (first, second))
            return [part.transpose(0, 1, 3, 2).reshape(SHAPE) for part in parts]

        @plgpu.inline_mgpu(arg_types=(plgpu.RefType(),), return_type=(block_type(self.dtype),) * 2)
        def run(_, ref):
            of_warp, of_row, of_half, of_column, _ = registers.strides(ref)
            of_block, lane = BLOCK * of_column, registers.lane()
            address = registers.add(
                registers.address_of(ref),
                registers.times(utils.warp_idx(), of_warp),
                registers.times(registers.bits(lane, 0, 3), of_column),
                registers.times(registers.bits(lane, 3, 1), of_half),
                registers.times(registers.bits(lane, 4, 1), (second - first) * of_block),
            )
            return registers.loaded(address, row * of_row + first * of_block, self.dtype)

        return run(ref)

    def join(self):
        """Lets the threads of a warp see what others of it have stored."""
        if not self.interpret:
            plgpu.inline_mgpu()(lambda _: _sync_warp())()

    def store(self, ref, width: int, column: int, value):
        """Stores a 16-bit block in a row (strips * width, channels), at `column` of each strip."""
        if self.interpret:
            parts = value.reshape(-1, self.channels, BLOCK).transpose(0, 2, 1)
            for strip, part in enumerate(parts):
                at = strip * width + column
                ref[at : at + BLOCK, :] = part
            return

        @plgpu.inline_mgpu(arg_types=(self._signal, BLOCKS))
        def run(_, ref, value):
            lane = registers.lane()
            strip, eights = registers.eights(self.channels, registers.bits(lane, 3, 1))
            address = registers.add(
                registers.address_of(ref),
                registers.times(strip, width * self._column),
                registers.times(registers.bits(lane, 0, 3), self._column),
                registers.times(eights, 16),
            )
            registers.instruction(
                "stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 "
                f"[$0+{column * self._column}], {{$1,$2}};",
                [registers.swizzled(address, self._column), *registers.words_of(value)],
            )

        run(ref, value)


def _banded_product(total, first, second, matrix):
    """What an `mma.sync` does, for the interpreter."""
    left = jnp.concatenate([first, second], 1).astype(jnp.float32)
    product = jnp.dot(left, matrix.astype(jnp.float32), precision="highest")
    return product if total is None else total + product


def _sync_warp():
    registers.instruction("bar.warp.sync 0xffffffff;", [])
