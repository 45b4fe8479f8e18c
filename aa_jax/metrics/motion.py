"""Motions of a picture, and how far the maps of a network are from having moved along.

A map has a rate, in samples per pixel of the picture: a picture that moves by t pixels should move
the map by t * rate samples.
"""

import dataclasses
import functools
import math

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.filters.rotation import REACH, rotation_filter
from aa_jax.ops.rotate import UP, pseudo_rotate, rotate
from aa_jax.ops.translate import SINC_LOBES, translate_sinc, translate_whole


def translation_transform(right: float, down: float) -> np.ndarray:
    """The (3, 3) matrix for a generator that moves its picture, in units of the picture's side.

    Generators apply it to coordinates (x right, y down), so it is the inverse of the motion.
    """
    return np.array([[1, 0, -right], [0, 1, -down], [0, 0, 1]], np.float64)


def rotation_transform(angle: float) -> np.ndarray:
    """The same for a picture turned by `angle` radians, counter-clockwise as seen on a screen."""
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], np.float64)


@dataclasses.dataclass(frozen=True)
class Translation:
    """A shift of the picture.

    Attributes:
        down: pixels, whole or not.
        right: pixels.
    """

    down: float
    right: float

    def __str__(self) -> str:
        return f"shift ({self.down:g}, {self.right:g}) px"

    def transform(self, resolution: int) -> np.ndarray:
        """(3, 3), what a generator of pictures with `resolution` pixels per unit is given."""
        return translation_transform(self.right / resolution, self.down / resolution)

    def margin(self, height: int, width: int) -> tuple[float, float]:
        """Pixels, above and beside a view of this size, that its moved version may show."""
        extra = 0 if _is_whole(self.down) and _is_whole(self.right) else SINC_LOBES
        return abs(self.down) + extra, abs(self.right) + extra

    def move(self, pictures: jax.Array) -> jax.Array:
        """Moves pictures (N, H, W, C)."""
        return _translated(pictures, (self.down, self.right))[0]

    def compare(self, still: jax.Array, moved: jax.Array, rate: float, center):
        """What `moved` maps (N, h, w, C) should be by the `still` ones: (reference, moved, mask).

        `center` does not matter to a translation.
        """
        del center
        reference, mask = _translated(still, (self.down * rate, self.right * rate))
        return reference, moved, mask


@dataclasses.dataclass(frozen=True)
class Rotation:
    """A turn of the picture about its centre.

    Attributes:
        degrees: counter-clockwise as seen on a screen.
    """

    degrees: float

    def __str__(self) -> str:
        return f"rotation {self.degrees:g}°"

    @property
    def angle(self) -> float:
        """Radians."""
        return math.radians(self.degrees)

    def transform(self, resolution: int) -> np.ndarray:
        """(3, 3), what a generator is given."""
        del resolution
        return rotation_transform(self.angle)

    def margin(self, height: int, width: int) -> tuple[float, float]:
        """Pixels, above and beside a view of this size, that its moved version may show."""
        cos, sin = abs(math.cos(self.angle)), abs(math.sin(self.angle))
        return (
            (sin * width + cos * height - height) / 2 + REACH,
            (cos * width + sin * height - width) / 2 + REACH,
        )

    def move(self, pictures: jax.Array) -> jax.Array:
        """Turns pictures (N, H, W, C)."""
        return _rotated(pictures, self.angle, rotation_filter(self.angle, up=UP), np.zeros(2))[0]

    def compare(self, still: jax.Array, moved: jax.Array, rate: float, center):
        """As of `Translation`; the turned maps lose what the reference lost.

        `center` is the fixed point, (rows, columns) in samples from the middle of the maps.
        """
        del rate
        taps = rotation_filter(self.angle, up=UP)
        reference, mask = _rotated(still, self.angle, taps, np.asarray(center))
        # Designed on the fine grid and subsampled: the direct design, which the published EQ-R
        # uses, samples the turned kernel too coarsely and is off by percents at 45 degrees.
        taps = rotation_filter(-self.angle, up=UP)[UP - 1 :: UP, UP - 1 :: UP] * UP**2
        moved, inner = _pseudo_rotated(moved, self.angle, taps)
        return reference, moved, mask & inner


Motion = Translation | Rotation


def _is_whole(amount: float) -> bool:
    # A rate such as 1 / 3 does not multiply to a whole number in floating point.
    return abs(amount - round(amount)) < 1e-9


def _translated(maps, shift):
    if all(map(_is_whole, shift)):
        return _whole(maps, np.asarray([round(amount) for amount in shift], np.int32))
    return _sinc(maps, np.asarray(shift, np.float32))


_whole = jax.jit(translate_whole)
_sinc = jax.jit(translate_sinc)


@jax.jit
def _rotated(maps, angle, taps, center):
    return rotate(maps, angle, taps=taps, center=center)


@jax.jit
def _pseudo_rotated(maps, angle, taps):
    return pseudo_rotate(maps, angle, taps=taps)


@functools.partial(jax.jit, static_argnames="deviations")
def sums_of_squares(
    reference: jax.Array, moved: jax.Array, mask: jax.Array, *, deviations: bool = False
) -> dict[str, jax.Array]:
    """Squared differences of maps (N, h, w, C) where `mask` (h, w) is True.

    Args:
        reference: what the maps should be.
        moved: what they are.
        mask: where they are compared.
        deviations: whether to sum the reference's own squared deviations too, each map's from its
            mean under the mask.

    Returns:
        "error" and, if asked for, "power": (N, h), so that the sum over rows can be taken in
        float64 on the host; "count": number of compared values of one example.
    """
    inside = mask[:, :, None]
    dtype = jnp.promote_types(reference.dtype, jnp.float32)
    reference, moved = reference.astype(dtype), moved.astype(dtype)

    def rows(difference):
        return jnp.sum(jnp.where(inside, difference, 0) ** 2, axis=(2, 3))

    sums = {"error": rows(reference - moved)}
    sums["count"] = mask.sum(dtype=jnp.int32) * reference.shape[-1]
    if deviations:
        total = jnp.sum(jnp.where(inside, reference, 0), axis=(1, 2), keepdims=True)
        sums["power"] = rows(reference - total / jnp.maximum(mask.sum(), 1))
    return sums
