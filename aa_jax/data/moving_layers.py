"""Layers of a moving picture: textures with soft outlines, laid over each other without aliasing.

Two rules keep folded frequencies out. A texture is resized beforehand, with Lanczos' antialiased
filter, so far that neighbouring pixels of the canvas never read points more than one texture pixel
apart. And the canvas is finer than the frame, to which a Gaussian low-pass reduces it.
"""

import dataclasses
import functools

import numpy as np
from PIL import Image
from scipy import ndimage

from aa_jax.data.trajectories import Poses, Sway

REACH = 1.35  # local coordinates of a part's texture go from -REACH to REACH
_ANGLES = 2 * np.pi * np.arange(256) / 256


@dataclasses.dataclass(frozen=True)
class Canvas:
    """The fine grid that is drawn on, and how it becomes a frame.

    It reaches beyond the frame by half the filter's length, so that frames have no dark border.
    The filter is the Gaussian with which the First Order Motion model reduces its input: standard
    deviation (reduction - 1) / 2 pixels of the canvas, cut off at four of them, sampled where the
    frame's pixels are: pixel i at distance i * reduction from pixel 0.

    Attributes:
        size: side of the frame in pixels.
        reduction: pixels of the canvas per pixel of the frame.
    """

    size: int
    reduction: int

    @functools.cached_property
    def taps(self) -> np.ndarray:
        """The filter, float32 of odd length and sum 1."""
        deviation = (self.reduction - 1) / 2
        half = round(4 * deviation)
        if not half:
            return np.ones(1, np.float32)
        taps = np.exp(-(np.arange(-half, half + 1) ** 2) / (2 * deviation**2))
        return (taps / taps.sum()).astype(np.float32)

    @functools.cached_property
    def axis(self) -> np.ndarray:
        """Places of the canvas's rows and columns; the frame's corner pixels are at -1 and 1."""
        half = len(self.taps) // 2
        pixels = np.arange(-half, (self.size - 1) * self.reduction + half + 1)
        return 2 * pixels / (self.reduction * (self.size - 1)) - 1

    @property
    def pitch(self) -> float:
        """Distance of neighbouring pixels."""
        return 2 / (self.reduction * (self.size - 1))

    def reduce(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels of the canvas (planes, side, side) to those of the frame (planes, size, size)."""
        # Sums of strided views: as products with a sparse matrix they would wait for BLAS' threads.
        step, reach = self.reduction, self.reduction * (self.size - 1) + 1
        begins = range(len(self.taps))
        rows = sum(self.taps[i] * pixels[:, i : i + reach : step] for i in begins)
        return sum(self.taps[i] * rows[:, :, i : i + reach : step] for i in begins)


def resize_texture(
    picture: np.ndarray, box: tuple[float, float, float, float], side: int
) -> np.ndarray:
    """A square part of a picture, antialiased where it shrinks.

    Args:
        picture: uint8 (H, W, 3).
        box: (left, upper, right, lower), in pixels.
        side: of the result in pixels.

    Returns:
        float32 (3, side, side), 0 to 255.
    """
    image = Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS, box=box)
    return np.ascontiguousarray(np.asarray(image, np.float32).transpose(2, 0, 1))


def random_outline(rng: np.random.Generator) -> np.ndarray:
    """Draws a shape around the origin: its radius (256,) at equally spaced angles, at most 1.24.

    Half of them are rounded blobs, half polygons of three to six corners.
    """
    if rng.random() < 0.5:
        waves = sum(
            rng.uniform(0, 0.12) * np.cos(k * _ANGLES + rng.uniform(0, 2 * np.pi)) for k in (2, 3)
        )
        return 1 + waves
    sector = 2 * np.pi / int(rng.integers(3, 7))
    inside = (_ANGLES + rng.uniform(0, sector)) % sector - sector / 2
    return 1.15 * np.cos(sector / 2) / np.cos(inside)  # corners at 1.15


def outline_radius(outline: np.ndarray, local: np.ndarray) -> np.ndarray:
    """The outline's radius in the direction of local points (..., 2)."""
    angles = np.arctan2(local[..., 1], local[..., 0])
    return np.interp(angles, _ANGLES, outline, period=2 * np.pi)


def opacity(outline: np.ndarray, local: np.ndarray, softness: float) -> np.ndarray:
    """1 inside the outline, 0 outside, one half on it: a smooth step of width `softness`."""
    inside = (outline_radius(outline, local) - np.linalg.norm(local, axis=-1)) / softness + 0.5
    inside = np.clip(inside, 0, 1)
    return inside**2 * (3 - 2 * inside)


@dataclasses.dataclass(frozen=True)
class Part:
    """One movable layer.

    Attributes:
        texture: float32 (4, side, side) over local [-REACH, REACH]^2: colours times opacity, and
            opacity.
        outline: its shape; see `random_outline`.
        softness: of its edge, in local units.
        poses: where it is.
    """

    texture: np.ndarray
    outline: np.ndarray
    softness: float
    poses: Poses

    def covers(self, places: np.ndarray) -> np.ndarray:
        """Whether the part hides what lies below at the places (T, L, 2): bool (T, L)."""
        local = self.poses.local(places)
        return np.linalg.norm(local, axis=-1) < outline_radius(self.outline, local)

    def edge(self) -> np.ndarray:
        """Local points (256, 2) beyond which nothing of it is seen."""
        radius = self.outline + self.softness / 2
        return radius[:, None] * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], -1)


def make_part(colours: np.ndarray, outline: np.ndarray, softness: float, poses: Poses) -> Part:
    """Cuts a part out of a texture (3, side, side) over local [-REACH, REACH]^2."""
    axis = np.linspace(-REACH, REACH, colours.shape[-1])
    local = np.stack(np.meshgrid(axis, axis), -1)
    alpha = opacity(outline, local, softness).astype(np.float32)
    return Part(np.concatenate([colours * alpha, alpha[None]]), outline, softness, poses)


def _read(texture: np.ndarray, poses: Poses, time: int, x, y, reach: float, mode: str):
    """Bilinear values of every plane at places x, y (h, w): float32 (planes, h, w)."""
    inverse = np.linalg.inv(poses.matrix[time])
    x, y = x - poses.centre[time, 0], y - poses.centre[time, 1]
    local_y = inverse[1, 0] * x + inverse[1, 1] * y
    local_x = inverse[0, 0] * x + inverse[0, 1] * y
    if poses.bend[time]:
        local_x -= poses.bend[time] * local_y**2
    scale = (texture.shape[-1] - 1) / (2 * reach)
    rows, columns = (local_y + reach) * scale, (local_x + reach) * scale
    planes = [
        ndimage.map_coordinates(plane, (rows, columns), order=1, mode=mode, prefilter=False)
        for plane in texture
    ]
    return np.stack(planes)


@dataclasses.dataclass(frozen=True)
class Scene:
    """A background, parts above it from far to near, and a swaying of the whole.

    Attributes:
        ground: float32 (3, side, side) over local [-ground_reach, ground_reach]^2.
        ground_poses: of the background.
        ground_reach: see `ground`.
        parts: from far to near.
        sway: of the whole.
    """

    ground: np.ndarray
    ground_poses: Poses
    ground_reach: float
    parts: tuple[Part, ...]
    sway: Sway

    def draw(self, canvas: Canvas, time: int) -> np.ndarray:
        """One frame: uint8 (size, size, 3)."""
        axis = canvas.axis
        x, y = self.sway.grid(time, axis, axis)
        pixels = _read(self.ground, self.ground_poses, time, x, y, self.ground_reach, "nearest")
        for part in self.parts:
            self._lay(part, canvas, time, x, y, pixels)
        frame = np.clip(np.rint(canvas.reduce(pixels)), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(frame.transpose(1, 2, 0))

    def _lay(self, part: Part, canvas: Canvas, time: int, x, y, pixels: np.ndarray) -> None:
        """Draws a part over the pixels, within the box that surely holds it."""
        places = part.poses.at(time).place(part.edge())[0]
        margin = self.sway.largest_shift + canvas.pitch
        low, high = places.min(0) - margin, places.max(0) + margin
        left, upper = np.searchsorted(canvas.axis, low)
        right, lower = np.searchsorted(canvas.axis, high)
        if left >= right or upper >= lower:
            return
        box = (slice(upper, lower), slice(left, right))
        layer = _read(part.texture, part.poses, time, x[box], y[box], REACH, "constant")
        below = pixels[:, *box]
        below *= 1 - layer[3]
        below += layer[:3]

    def landmarks(self, ground: np.ndarray, parts: list[np.ndarray]):
        """Where points of the background and of the parts are seen.

        Args:
            ground: local points of the background (L0, 2).
            parts: for every part its local points (L1, 2).

        Returns:
            Places (T, L, 2), the background's first, and whether each is within the frame and not
            behind a part, bool (T, L).
        """
        places = [self.ground_poses.place(ground)]
        places += [p.poses.place(local) for p, local in zip(self.parts, parts, strict=True)]
        seen = []
        for below, layer in enumerate(places):
            hidden = [part.covers(layer) for part in self.parts[below:]]
            seen.append(~np.any(hidden, axis=0) if hidden else np.ones(layer.shape[:2], bool))
        shown = self.sway.show(np.concatenate(places, 1))
        inside = np.all(np.abs(shown) <= 1, -1)
        return shown, np.concatenate(seen, 1) & inside
