"""Blocks of numbers in the registers of a warp group, and the tensor cores' products of them.

A block is an array (64, 8): channels, of one or more strips, by neighbouring samples. A warp holds
16 of the channels, and a thread pairs of samples of two channels, which is how the tensor cores
want both factors and results: the result of one product is the factor of the next as it is.

Pallas has no functions for the instructions that products of single warps need (`mma.sync`,
`ldmatrix`, `stmatrix`), nor for arithmetic on two 16-bit integers at a time, so this module
writes them out. Its functions are the seam between a GPU and the interpreter: for the latter, each
does the same with JAX's own operations. So the interpreter tests what is multiplied by what, and
the order of the taps in registers; addresses in shared memory and the instructions themselves run
on a GPU alone.
"""

import functools

import numpy as np
from jax import lax, numpy as jnp
from jax.experimental.mosaic.gpu import fragmented_array, utils
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import arith, llvm

from aa_jax.ops.filtered_activation.pallas_gpu_tensor_plan import BLOCK, LANES

_BLOCKS = plgpu.Layout.WGMMA
_WORDS = plgpu.Layout.WG_STRIDED((256,), vec_size=2)
_MASK = plgpu.Layout.WG_STRIDED((128,), vec_size=1)
_ADDRESSES = plgpu.Layout.WG_STRIDED((512,), vec_size=4)
_SHAPE = (LANES, BLOCK)
# Channels of a warp.
_OF_WARP = 16


def words_of(matrices, dtype) -> np.ndarray:
    """Matrices (n, 16, 8) as the registers of all threads: (n, 256) int32."""
    bits = np.asarray(matrices, np.float32).astype(dtype).view(np.uint16).astype(np.uint32)
    # Of thread 4 * n + c: column n; rows 2 c and 2 c + 1, and as many after eight.
    bits = bits.reshape(-1, 2, 4, 2, BLOCK).transpose(0, 4, 2, 1, 3)
    words = (bits[..., 0] | bits[..., 1] << 16).reshape(-1, 64)
    return np.tile(words, (1, 4)).view(np.int32)


def _matrix_of(words, dtype):
    """Undoes `words_of` for one matrix."""
    bits = lax.bitcast_convert_type(words[:64], jnp.uint16).reshape(BLOCK, 4, 2, 2)
    return lax.bitcast_convert_type(bits.transpose(2, 1, 3, 0), dtype).reshape(16, BLOCK)


def transforms(channels: int, dtype) -> tuple:
    """How a buffer (..., columns, channels) lies in shared memory: without bank conflicts."""
    swizzle = channels * jnp.dtype(dtype).itemsize
    if swizzle < 32:
        return ()
    return (plgpu.SwizzleTransform(swizzle),)


class Units:
    """The operations on blocks.

    Args:
      dtype: bfloat16 or float16.
      channels: of a strip; a buffer has `64 // channels` strips.
      interpret: whether the interpreter runs them.
    """

    def __init__(self, dtype, channels: int, interpret: bool):
        self.dtype, self.channels, self.interpret = jnp.dtype(dtype), channels, interpret
        self.strips = LANES // channels

    def zeros(self):
        """A block of float32 zeros."""
        return self._laid_out(jnp.zeros(_SHAPE, jnp.float32))

    def _laid_out(self, value):
        return value if self.interpret else plgpu.layout_cast(value, _BLOCKS)

    def words(self, ref, index: int):
        """A matrix of taps from a buffer of what `words_of` returns."""
        return ref[index] if self.interpret else plgpu.layout_cast(ref[index], _WORDS)

    def identity(self):
        """What `multiples` needs; made anew for each who asks, so that it keeps no registers."""
        if self.interpret:
            return jnp.eye(BLOCK)

        @plgpu.inline_mgpu(
            return_type=plgpu.ShapeDtypeStruct((128,), jnp.int32, layout=_MASK),
        )
        def run(_):
            i32 = ir.IntegerType.get_signless(32)
            mask = llvm.inline_asm(
                i32, [_diagonal_mask()], "mov.b32 $0, $1;", "=r,r", has_side_effects=True
            )
            return _strided([mask], _MASK)

        return run()

    def multiples(self, total, first, second, taps, identity):
        """Adds two 16-bit blocks, each times a tap, to a float32 block or None."""
        if self.interpret:
            matrix = jnp.concatenate([identity * tap for tap in taps])
            return _banded_product(total, first, second, matrix)

        def right(mask):
            (mask,) = _elements(mask.registers.flat[0])
            return [arith.andi(mask, _i32(_twice(tap, self.dtype))) for tap in taps]

        return self._multiplied(total, first, second, identity, _MASK, right)

    def product(self, total, first, second, matrix):
        """Adds two 16-bit blocks, side by side, times a matrix (16, 8), to a float32 block or None.

        Args:
          total: float32 block, or None.
          first, second: 16-bit blocks.
          matrix: from `words`.
        """
        if self.interpret:
            return _banded_product(total, first, second, _matrix_of(matrix, self.dtype))

        def right(words):
            return _elements(words.registers.flat[0])

        return self._multiplied(total, first, second, matrix, _WORDS, right)

    def _multiplied(self, total, first, second, taps, layout, right):
        """The product by the two registers that `right` makes of an array `taps`."""
        totals = [] if total is None else [total]
        name = {"bfloat16": "bf16", "float16": "f16"}[self.dtype.name]

        @plgpu.inline_mgpu(
            arg_types=(layout, _BLOCKS, _BLOCKS) + (_BLOCKS,) * len(totals),
            return_type=_type(jnp.float32),
        )
        def run(_, taps, first, second, *totals):
            f32 = ir.F32Type.get()
            sums = [x for total in totals for r in total.registers.flat for x in _elements(r)]
            sums = sums or [utils.c(0.0, f32)] * 4
            out = llvm.inline_asm(
                llvm.StructType.get_literal([f32] * 4),
                [*_as_words(first), *_as_words(second), *right(taps), *sums],
                f"mma.sync.aligned.m16n8k16.row.col.f32.{name}.{name}.f32 "
                "{$0,$1,$2,$3}, {$4,$5,$6,$7}, {$8,$9}, {$10,$11,$12,$13};",
                "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f",
                has_side_effects=False,
            )
            parts = [llvm.extractvalue(f32, out, [i]) for i in range(4)]
            return _array([_vector(parts[:2]), _vector(parts[2:])])

        return run(taps, first, second, *totals)

    def window(self, ring, slot, count: int, fresh: int):
        """What `columns` needs to load from eight rows.

        Args:
          ring: buffer (slots, strips, rows, columns, channels).
          slot: the one that the first rows are in.
          count: rows that there are; in place of others the last is read.
          fresh: rows in use of each slot.
        """
        slots, row = ring.shape[0], lambda k: divmod(min(k, count - 1), fresh)
        if self.interpret:
            places = [row(k) for k in range(BLOCK)]
            return jnp.stack([ring[lax.rem(slot + s, slots), :, within] for s, within in places])
        how = plgpu.RefType(transforms(self.channels, self.dtype))

        @plgpu.inline_mgpu(
            arg_types=(how, how),
            return_type=plgpu.ShapeDtypeStruct((512,), jnp.int32, layout=_ADDRESSES),
        )
        def run(_, ring, first):
            of_slot, of_strip, of_row = _strides(ring)[:3]
            lane = _lane()
            slot, within = _divided_small(_least(_bits_of(lane, 0, 3), count - 1), fresh, BLOCK)
            address = _sum(_address(first), _times(slot, of_slot))
            end = _sum(_address(ring), _i32(slots * of_slot))
            beyond = arith.cmpi(arith.CmpIPredicate.uge, address, end)
            address = arith.subi(address, arith.select(beyond, _i32(slots * of_slot), _i32(0)))
            strip, eights = self._eights(_bits_of(lane, 3, 1))
            column = _bits_of(lane, 4, 1)
            start = _sum(
                address,
                _times(within, of_row),
                _times(strip, of_strip),
                _times(column, self.channels * 2),
                _times(eights, 16),
            )
            # Of four pairs of columns; after them the pattern repeats.
            pairs = [_sum(start, _i32(pair * 4 * self.channels)) for pair in range(4)]
            return _strided([self._swizzled(pair, 2) for pair in pairs], _ADDRESSES)

        return run(ring, ring.at[slot])

    def columns(self, window, column: int):
        """Loads two columns, of an even number and the next: a block of eight rows of each."""
        if self.interpret:
            # (rows, strips, columns, channels)
            return [
                window[:, :, column + i, :].transpose(1, 2, 0).reshape(_SHAPE) for i in range(2)
            ]
        group, pair = divmod(column // 2, 4)

        @plgpu.inline_mgpu(arg_types=(_ADDRESSES,), return_type=(_type(self.dtype),) * 2)
        def run(_, addresses):
            address = _elements(addresses.registers.flat[0])[pair]
            return _loaded(address, group * BLOCK * self.channels * 2, self.dtype)

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

        @plgpu.inline_mgpu(arg_types=(plgpu.RefType(), _BLOCKS, _BLOCKS))
        def run(_, ref, first, second):
            of_warp, of_row, of_half, of_column, _ = _strides(ref)
            lane = _lane()
            address = _sum(
                _address(ref),
                _times(utils.warp_idx(), of_warp),
                _times(_bits_of(lane, 0, 2), of_row),
                _times(_bits_of(lane, 2, 1), of_column),
                _times(_bits_of(lane, 3, 1), of_half),
                _times(_bits_of(lane, 4, 1), 2 * of_column),
            )
            _statement(
                f"stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [$0+{column * of_column}], "
                "{$1,$2,$3,$4};",
                [address, *_as_words(first), *_as_words(second)],
            )

        run(ref, first, second)

    def load_tall(self, ref, row: int, first: int, second: int):
        """Loads two blocks of a row that `store_tall` has stored."""
        if self.interpret:
            parts = (ref[:, row, :, b * BLOCK : (b + 1) * BLOCK, :] for b in (first, second))
            return [part.transpose(0, 1, 3, 2).reshape(_SHAPE) for part in parts]

        @plgpu.inline_mgpu(arg_types=(plgpu.RefType(),), return_type=(_type(self.dtype),) * 2)
        def run(_, ref):
            of_warp, of_row, of_half, of_column, _ = _strides(ref)
            lane = _lane()
            address = _sum(
                _address(ref),
                _times(utils.warp_idx(), of_warp),
                _times(_bits_of(lane, 0, 3), of_column),
                _times(_bits_of(lane, 3, 1), of_half),
                _times(_bits_of(lane, 4, 1), (second - first) * BLOCK * of_column),
            )
            return _loaded(address, row * of_row + first * BLOCK * of_column, self.dtype)

        return run(ref)

    def join(self):
        """Lets the threads of a warp see what others of it have stored."""
        if not self.interpret:
            plgpu.inline_mgpu()(lambda _: _statement("bar.warp.sync 0xffffffff;", []))()

    def store(self, ref, width: int, column: int, value):
        """Stores a 16-bit block in a row (strips * width, channels), at `column` of each strip."""
        if self.interpret:
            for strip, part in enumerate(self._apart(value)):
                at = strip * width + column
                ref[at : at + BLOCK, :] = part
            return

        @plgpu.inline_mgpu(
            arg_types=(plgpu.RefType(transforms(self.channels, self.dtype)), _BLOCKS)
        )
        def run(_, ref, value):
            lane = _lane()
            strip, eights = self._eights(_bits_of(lane, 3, 1))
            start = _sum(
                _address(ref),
                _times(strip, width * self.channels * 2),
                _times(_bits_of(lane, 0, 3), self.channels * 2),
                _times(eights, 16),
            )
            _statement(
                "stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 "
                f"[$0+{column * self.channels * 2}], {{$1,$2}};",
                [self._swizzled(start, 2), *_as_words(value)],
            )

        run(ref, value)

    def _apart(self, value):
        """A block as (strips, 8, channels)."""
        return value.reshape(self.strips, self.channels, BLOCK).transpose(0, 2, 1)

    def _eights(self, more):
        """Strip, and which eight of its channels: the warp's first or, if `more`, second eight."""
        eights = _sum(_times(utils.warp_idx(), _OF_WARP // 8), more)
        bits = (self.channels // 8).bit_length() - 1
        return arith.shrui(eights, _i32(bits)), _bits_of(eights, 0, bits)

    def _swizzled(self, address, itemsize: int):
        """Where the copy engine puts what has this address in a buffer with `transforms`."""
        size = self.channels * itemsize
        if size < 32:
            return address
        # Bits 4 to 6, or fewer, are exchanged according to bits 7 to 9.
        flips = arith.andi(arith.shrui(address, _i32(3)), _i32(size - 16))
        return arith.xori(address, flips)

    def add_codes(self, packed, signal, value, clamp: float | None, signs: bool):
        """Adds a row's codes to a block of those of the rows before.

        A row's two bits come in at the top of 16, the upper one inverted, and move down as others
        follow, so that after four rows the upper byte is complete.

        Args:
          packed: block of uint16, None before the first row.
          signal: 16-bit block before the activation.
          value: the same after the slope, before the clamp.
          clamp: largest magnitude, or None.
          signs: whether negative samples have a code.
        """
        limit = None if clamp is None else int(_bits(clamp, self.dtype))
        if self.interpret:
            new = jnp.full(_SHAPE, 0x8000, jnp.uint16)
            if signs:
                new = new | (lax.bitcast_convert_type(signal, jnp.uint16) >> 15) << 14
            if limit is not None:
                magnitude = lax.bitcast_convert_type(value, jnp.uint16) & 0x7FFF
                new = jnp.where(magnitude > limit, jnp.uint16(0), new)
            return new if packed is None else (packed >> 2) | new
        arguments = [signal, value] + ([] if packed is None else [packed])

        @plgpu.inline_mgpu(arg_types=(_BLOCKS,) * len(arguments), return_type=_type(jnp.uint16))
        def run(_, signal, value, *packed):
            results = []
            for i, (u, v) in enumerate(zip(_as_words(signal), _as_words(value), strict=True)):
                inside = _i32(-1)
                if limit is not None:
                    # The top bit of either half stays where the magnitude is not beyond.
                    magnitude = arith.andi(v, _i32(0x7FFF7FFF))
                    inside = arith.subi(_i32((limit | 0x8000) * 0x10001), magnitude)
                new = arith.andi(inside, _i32(0x80008000))
                if signs:
                    negative = arith.shrui(arith.andi(u, inside), _i32(1))
                    new = arith.ori(new, arith.andi(negative, _i32(0x40004000)))
                if packed:
                    before = arith.shrui(_as_words(packed[0])[i], _i32(2))
                    new = arith.ori(new, before)
                results.append(new)
            return _from_words(results, jnp.uint16)

        return run(*arguments)

    def store_codes(self, ref, column: int, packed, mask):
        """Stores complete bytes of codes, but for bits that are not in `mask`, an int32.

        Args:
          ref: buffer (strips, columns, channels), uint8.
          column: first of the block.
          packed: of four rows, see `add_codes`.
          mask: scalar.
        """
        if self.interpret:
            complete = ((packed >> 8) ^ 0xAA) & mask.astype(jnp.uint16)
            ref[:, column : column + BLOCK, :] = self._apart(complete.astype(jnp.uint8))
            return
        mask = self._laid_out(lax.broadcast(mask.astype(jnp.uint16), _SHAPE))

        @plgpu.inline_mgpu(
            arg_types=(plgpu.RefType(transforms(self.channels, jnp.uint8)), _BLOCKS, _BLOCKS)
        )
        def run(_, ref, packed, mask):
            masks = _as_words(mask)
            for i, word in enumerate(_as_words(packed)):
                complete = arith.shrui(arith.xori(word, _i32(0xAA00AA00)), _i32(8))
                kept = arith.andi(complete, masks[i])
                for half in range(2):
                    _statement(
                        f"st.shared.b8 [$0+{column * self.channels}], $1;",
                        [self._byte_address(ref, i, half), arith.shrui(kept, _i32(16 * half))],
                    )

        run(ref, packed, mask)

    def load_codes(self, ref, column: int):
        """Loads bytes of codes as a block of uint16; see `store_codes`."""
        if self.interpret:
            return _together(ref[:, column : column + BLOCK, :]).astype(jnp.uint16)

        @plgpu.inline_mgpu(
            arg_types=(plgpu.RefType(transforms(self.channels, jnp.uint8)),),
            return_type=_type(jnp.uint16),
        )
        def run(_, ref):
            words = []
            for i in range(2):
                low, high = (
                    llvm.inline_asm(
                        ir.IntegerType.get_signless(32),
                        [self._byte_address(ref, i, half)],
                        f"ld.shared.u8 $0, [$1+{column * self.channels}];",
                        "=r,r",
                        has_side_effects=True,
                    )
                    for half in range(2)
                )
                words.append(arith.ori(low, arith.shli(high, _i32(16))))
            return _from_words(words, jnp.uint16)

        return run(ref)

    def _byte_address(self, ref, register: int, half: int):
        """Where a thread's code of one of its two channels and two columns lies."""
        lane = _lane()
        strip, eights = self._eights(_i32(register))
        start = _sum(
            _address(ref),
            _times(strip, _strides(ref)[0]),
            _times(_bits_of(lane, 0, 2), 2 * self.channels),
            _i32(half * self.channels),
            _times(eights, 8),
            arith.shrui(lane, _i32(2)),
        )
        return self._swizzled(start, 1)

    def slopes(self, codes, row: int, slope: float):
        """Slopes that the codes of one of four rows stand for, as a 16-bit block."""
        one, other = (int(_bits(s, self.dtype)) for s in (1.0, slope))
        if self.interpret:
            code = (codes >> (2 * row)) & 3
            bits = jnp.where(code == 1, jnp.uint16(other), jnp.uint16(one))
            bits = jnp.where(code == 2, jnp.uint16(0), bits)
            return lax.bitcast_convert_type(bits, self.dtype)

        @plgpu.inline_mgpu(arg_types=(_BLOCKS,), return_type=_type(self.dtype))
        def run(_, codes):
            results = []
            for word in _as_words(codes):
                ones = _i32(0x00010001)
                negative = arith.andi(arith.shrui(word, _i32(2 * row)), ones)
                clamped = arith.andi(arith.shrui(word, _i32(2 * row + 1)), ones)
                bits = arith.xori(_i32(one * 0x10001), arith.muli(negative, _i32(one ^ other)))
                gone = arith.muli(clamped, _i32(0xFFFF))
                results.append(arith.andi(bits, arith.xori(gone, _i32(-1))))
            return _from_words(results, self.dtype)

        return run(codes)


def _banded_product(total, first, second, matrix):
    """What an `mma.sync` does, for the interpreter."""
    left = jnp.concatenate([first, second], 1).astype(jnp.float32)
    product = jnp.dot(left, matrix.astype(jnp.float32), precision="highest")
    return product if total is None else total + product


def _together(part):
    """A block of (strips, 8, channels)."""
    return part.transpose(0, 2, 1).reshape(_SHAPE)


def _bits(number: float, dtype):
    with np.errstate(over="ignore"):
        return np.asarray(number, np.float32).astype(dtype).view(np.uint16)


def _twice(number: float, dtype) -> int:
    return int(_bits(number, dtype)) * 0x10001


def _type(dtype):
    return plgpu.ShapeDtypeStruct(_SHAPE, dtype, layout=_BLOCKS)


def _i32(value: int):
    # Constants are signed.
    return utils.c((value + 2**31) % 2**32 - 2**31, ir.IntegerType.get_signless(32))


def _lane():
    return arith.andi(utils.thread_idx(), _i32(31))


def _sum(*values):
    return functools.reduce(arith.addi, values)


def _times(value, by: int):
    return arith.muli(value, _i32(by))


def _bits_of(value, first: int, count: int):
    """Some bits of an integer."""
    return arith.andi(arith.shrui(value, _i32(first)), _i32(2**count - 1))


def _least(value, other: int):
    return arith.minui(value, _i32(other))


def _divided_small(value, by: int, end: int):
    """Quotient and remainder of an integer below `end`."""
    quotient = _sum(
        *(
            arith.extui(value.type, arith.cmpi(arith.CmpIPredicate.uge, value, _i32(multiple)))
            for multiple in range(by, end, by)
        ),
        _i32(0),
    )
    return quotient, arith.subi(value, _times(quotient, by))


def _diagonal_mask():
    """Which halves of a register are on the diagonal of an (8, 8) matrix."""
    lane = _lane()
    column, row = arith.shrui(lane, _i32(2)), arith.muli(arith.andi(lane, _i32(3)), _i32(2))
    halves = []
    for half, bits in enumerate((0xFFFF, 0xFFFF0000)):
        here = arith.cmpi(arith.CmpIPredicate.eq, column, arith.addi(row, _i32(half)))
        halves.append(arith.select(here, _i32(bits), _i32(0)))
    return arith.ori(*halves)


def _address(ref):
    return llvm.ptrtoint(ir.IntegerType.get_signless(32), utils.memref_ptr(ref))


def _strides(ref) -> list[int]:
    """Bytes from element to element along each axis of a buffer."""
    kind = ir.MemRefType(ref.type)
    strides, _ = kind.get_strides_and_offset()
    return [stride * utils.bitwidth(kind.element_type) // 8 for stride in strides]


def _statement(text: str, operands):
    """An instruction that stores, of operands in registers."""
    void, kinds = ir.Type.parse("!llvm.void"), ",".join("r" * len(operands))
    llvm.inline_asm(void, operands, text, kinds, has_side_effects=True)


def _loaded(address, offset: int, dtype):
    """Two blocks: of each, the first and the last eight channels of the warp.

    Threads 0 to 7 have the addresses of the eight samples of the first eight channels of the first
    block, and so on.
    """
    i32 = ir.IntegerType.get_signless(32)
    out = llvm.inline_asm(
        llvm.StructType.get_literal([i32] * 4),
        [address],
        f"ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {{$0,$1,$2,$3}}, [$4+{offset}];",
        "=r,=r,=r,=r,r",
        has_side_effects=True,
    )
    words = [llvm.extractvalue(i32, out, [i]) for i in range(4)]
    return _from_words(words[:2], dtype), _from_words(words[2:], dtype)


def _elements(register):
    count = ir.VectorType(register.type).shape[0]
    return [llvm.extractelement(register, _i32(i)) for i in range(count)]


def _vector(values):
    vector = llvm.mlir_undef(ir.VectorType.get((len(values),), values[0].type))
    for i, value in enumerate(values):
        vector = llvm.insertelement(vector, value, _i32(i))
    return vector


def _strided(values, layout):
    """An array of which each thread has a few neighbouring integers."""
    return fragmented_array.FragmentedArray(
        _registers=np.array([_vector(values)], dtype=object),
        _layout=layout.to_mgpu(),
        _is_signed=True,
    )


def _as_words(array):
    return [utils.bitcast(r, ir.IntegerType.get_signless(32)) for r in array.registers.flat]


def _from_words(words, dtype):
    pair = ir.VectorType.get((2,), utils.dtype_to_ir_type(jnp.dtype(dtype)))
    signed = False if jnp.issubdtype(dtype, jnp.integer) else None
    return _array([utils.bitcast(word, pair) for word in words], signed)


@functools.cache
def _registers_shape() -> tuple[int, ...]:
    return fragmented_array.WGMMA_LAYOUT.registers_shape(_SHAPE)


def _array(registers, signed=None):
    held = np.empty(_registers_shape(), dtype=object)
    held.flat[:] = registers
    return fragmented_array.FragmentedArray(
        _registers=held, _layout=fragmented_array.WGMMA_LAYOUT, _is_signed=signed
    )
