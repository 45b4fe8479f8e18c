"""Small pieces of the TPU kernel: loops, ring slots, split products, the pointwise function."""

import jax
import numpy as np
from jax import lax, numpy as jnp

from aa_jax.ops.filtered_activation.piecewise import CLAMPED, NEGATIVE, PiecewiseLinear


def loop(begin, end, body, *, together: int = 1) -> None:
    """Calls `body` with each index, of type int32 even where x64 is enabled.

    Args:
      begin: first index.
      end: one past the last.
      body: called for its effects.
      together: calls that the compiler may interleave, at most; needs static bounds.
    """
    if isinstance(begin, int) and isinstance(end, int) and begin >= end:
        return
    if together > 1:
        together = next(count for count in range(together, 0, -1) if (end - begin) % count == 0)
        end = begin + (end - begin) // together

    def run(index, _):
        for offset in range(together):
            body(begin + (index - begin) * together + offset if together > 1 else index)
        return ()

    lax.fori_loop(jnp.int32(begin), jnp.int32(end), run, ())


def product(matrix: jax.Array, operands: list[jax.Array], wide: bool) -> jax.Array:
    """The banded matrix, in two halves of bfloat16, times the stacked operands."""
    operands = operands * 2 if wide else operands
    result = lax.dot_general(
        matrix,
        operands[0] if len(operands) == 1 else jnp.concatenate(operands, 0),
        (((1,), (0,)), ((), ())),
        preferred_element_type=jnp.float32,
    )
    half = result.shape[0] // 2
    return result if wide else result[:half] + result[half:]


def split(value: jax.Array, parts: int) -> list[jax.Array]:
    """Numbers of type bfloat16 that add up to `value`, to 8 bits each."""
    pieces = [value.astype(jnp.bfloat16)]
    if parts == 2:
        pieces.append((value - pieces[0].astype(jnp.float32)).astype(jnp.bfloat16))
    return pieces


def weighted(pairs, total: jax.Array | None = None) -> jax.Array | None:
    """Adds tap * value of all pairs to `total`, in float32; None stands for zero.

    Values of equal taps are added before they are multiplied: most filters are symmetric.
    """
    values = {}
    for tap, value in pairs:
        tap = np.float32(tap)
        values[tap] = values[tap] + value if tap in values else value
    for tap, value in values.items():
        if tap != 0.0:
            scaled = value if tap == 1.0 else value * tap
            total = scaled if total is None else total + scaled
    return total


def value_and_code(activation: PiecewiseLinear, u: jax.Array, bits: int | None):
    """`PiecewiseLinear.value` and, shifted to position `bits` of a byte, `.codes` in int32.

    Without `bits` there are no codes: they come as zero.
    """
    negative = lax.bitcast_convert_type(u, jnp.int32) < 0
    slope, code = activation.gain, jnp.int32(0)
    if activation.slope != 1.0:
        slope = jnp.where(negative, activation.gain * activation.slope, activation.gain)
    value = u * slope
    if bits is not None and activation.slope != 1.0:
        code = jnp.where(negative, jnp.int32(NEGATIVE << bits), 0)
    if activation.clamp is not None:
        if bits is not None:
            beyond = jnp.abs(value) > activation.clamp
            code = jnp.where(beyond, jnp.int32(CLAMPED << bits), code)
        value = jnp.clip(value, -activation.clamp, activation.clamp)
    return value, code


def slopes_of(activation: PiecewiseLinear, code: jax.Array) -> jax.Array:
    """As `PiecewiseLinear.slopes_of`, of codes in int32."""
    slopes = jnp.where(code == NEGATIVE, activation.gain * activation.slope, activation.gain)
    return jnp.where(code == CLAMPED, 0.0, slopes)


def slot_of(row, above: int, size: int):
    """Where a ring of `size` rows holds `row`, of which at most `above` precede row 0."""
    return lax.rem(row + max(0, -(-above // size)) * size, jnp.int32(size))


def slots_from(first, size: int, offsets) -> list:
    """Slots of rows that follow the one at slot `first`, by offsets of at most `size`."""
    return [jnp.where(first + by >= size, first + by - size, first + by) for by in offsets]
