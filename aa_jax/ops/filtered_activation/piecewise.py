"""Piecewise-linear activations and the two-bit codes that are all their gradient needs."""

import dataclasses

import jax
from jax import numpy as jnp

# What a sample of the temporary signal does to a cotangent.
PASS, NEGATIVE, CLAMPED = 0, 1, 2
ROWS_PER_BYTE = 4


@dataclasses.dataclass(frozen=True)
class PiecewiseLinear:
    """clamp(gain * leaky_relu(u, slope), -clamp, clamp).

    Attributes:
      slope: factor of negative samples: 0 is ReLU, 1 the identity.
      gain: factor of all samples.
      clamp: largest magnitude of the result, or None.

    Raises:
      ValueError: if `clamp` is not positive.
    """

    slope: float = 0.2
    gain: float = 1.0
    clamp: float | None = None

    def __post_init__(self):
        if self.clamp is not None and not self.clamp > 0:
            raise ValueError(f"clamp must be positive or None, got {self.clamp!r}.")

    def value(self, u: jax.Array) -> jax.Array:
        """The activation, same shape and dtype."""
        return clamped(self._unclamped(u), self.clamp)

    def codes(self, u: jax.Array) -> jax.Array:
        """PASS, NEGATIVE (the sign bit, so that +0 passes) or CLAMPED (strictly beyond), uint8."""
        codes = jnp.zeros(u.shape, jnp.uint8)
        if self.slope != 1.0:
            codes = jnp.signbit(u).astype(jnp.uint8)
        if self.clamp is not None:
            beyond = jnp.abs(self._unclamped(u)) > self.clamp
            codes = jnp.where(beyond, jnp.uint8(CLAMPED), codes)
        return codes

    def slopes_of(self, codes: jax.Array, dtype) -> jax.Array:
        """The local slopes that codes stand for."""
        slopes = jnp.where(codes == NEGATIVE, self.gain * self.slope, self.gain)
        return jnp.where(codes == CLAMPED, 0.0, slopes).astype(dtype)

    def _unclamped(self, u):
        v = u * self.gain
        return v if self.slope == 1.0 else jnp.where(jnp.signbit(u), v * self.slope, v)


def clamped(v: jax.Array, clamp: float | None) -> jax.Array:
    """Limits the magnitude; the gradient is zero strictly beyond the limit and passes at it."""
    if clamp is None:
        return v
    return jnp.where(jnp.abs(v) > clamp, jnp.copysign(jnp.asarray(clamp, v.dtype), v), v)


def pack(codes: jax.Array) -> jax.Array:
    """Packs codes of four rows to a byte: (N, H, W, C) to (N, ceil(H / 4), W, C), uint8.

    The code of row h sits in bits 2 * (h % 4) and the next; rows are packed, not channels, so that
    no platform has to move data across vector lanes.
    """
    missing = -codes.shape[1] % ROWS_PER_BYTE
    codes = jnp.pad(codes, ((0, 0), (0, missing), (0, 0), (0, 0)))
    rows = [codes[:, r::ROWS_PER_BYTE] << (2 * r) for r in range(ROWS_PER_BYTE)]
    return rows[0] | rows[1] | rows[2] | rows[3]


def unpack(packed: jax.Array, height: int) -> jax.Array:
    """Undoes `pack`: (N, ceil(height / 4), W, C) to (N, height, W, C)."""
    rows = [(packed >> (2 * r)) & 3 for r in range(ROWS_PER_BYTE)]
    codes = jnp.stack(rows, 2).reshape(packed.shape[0], -1, *packed.shape[2:])
    return codes[:, :height]
