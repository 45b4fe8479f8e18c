"""Films of moved photographs: data for keypoint-driven motion that needs no download.

Every film is a photograph that drifts slowly as the background, with one to three parts cut from
other photographs before it that travel, turn, grow, shrink and bend, and the whole sways softly.
All motion is smooth and periodic, and known: landmarks come with every frame. Nothing in a frame is
aliased (see `moving_layers`).

What a part is changes from film to film; or, with `cast`, it is a face, a cat's face or a cup, as
there is one kind of subject in the films that motion models are trained on.
"""

import dataclasses
import functools
import hashlib
import operator
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from aa_jax.data.counter_random import generator
from aa_jax.data.errors import DataError
from aa_jax.data.folder import EXTENSIONS, read_image
from aa_jax.data.moving_layers import (
    REACH,
    Canvas,
    Scene,
    make_part,
    outline_radius,
    random_outline,
    resize_texture,
)
from aa_jax.data.photograph_files import CLASSES, load_photograph
from aa_jax.data.trajectories import Poses, random_poses, random_sway

# Raised whenever the same options would give other pixels or other landmarks.
MOVING_PHOTOGRAPHS_VERSION = 2

MAX_PARTS = 3
_FINE_SIDE = 256  # films are drawn at least so finely
# Beside the photographs of the classification set: two more in colour, of the same wheel.
_PHOTOGRAPHS = {name: options for name, *options in CLASSES} | {
    "astronaut": ("astronaut.png", 512, 512, 1),
    "coffee": ("coffee.png", 600, 400, 1),
}
# The cast: a photograph, and the centre and the radius of a disc of it, in pixels.
_CAST = (
    ("coffee", (310, 185), 130),
    ("cat", (235, 150), 110),
    ("astronaut", (222, 118), 80),
)
# Where landmarks are: of the background in units of the frame, of a part as shares of its outline.
_GROUND_LANDMARKS = np.array([[-0.6, -0.6], [0.6, -0.6], [-0.6, 0.6], [0.6, 0.6]])
_PART_LANDMARKS = 0.65 * np.array([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]])
NUM_LANDMARKS = len(_GROUND_LANDMARKS) + MAX_PARTS * len(_PART_LANDMARKS)


class MovingPhotographs:
    """Random-access source of films; film i depends on its index and the options only.

    `source[i]` is {"frames": uint8 (T, H, W, 3), "landmarks": float32 (T, L, 2), "visible": bool
    (T, L)}. Landmarks are (x, y) with the centres of the corner pixels at -1 and 1. L is
    `NUM_LANDMARKS` in every film: four of the background, then five of each part from far to near;
    those of parts that a film does not have are at 0 and never visible. A landmark is visible if it
    is within the frame and no nearer part hides it.

    Args:
        num_videos: how many films.
        num_frames: frames of each; the last leads into the first.
        size: height and width of the frames in pixels.
        render_size: pixels they are drawn with, a multiple of `size`, and reduced from by the First
            Order Motion model's own Gaussian; None takes the first multiple from 256 on.
        seed: of all films.
        photographs: None for those that ship with scikit-image, a folder of images, or uint8
            arrays (H, W, 3).
        num_parts: fewest and most parts, up to 3.
        travel: the least and the largest distance that parts go from where they rest, as a share of
            the frame's side.
        cast: whether parts are from a cast of `MAX_PARTS`, round pieces of scikit-image's
            photographs, never far from upright, before any of the other pictures.
        drift: factor on all movements of the background, and on the swaying of the whole; at 0 only
            the parts move.

    Raises:
        ValueError: an option is out of range.
        DataError: the folder is none or holds no images.

    Example:
        >>> films = MovingPhotographs(100, num_frames=16, size=64)
        >>> films[0]["frames"].shape, films[0]["landmarks"].shape
        ((16, 64, 64, 3), (16, 19, 2))
    """

    def __init__(
        self,
        num_videos: int,
        *,
        num_frames: int = 16,
        size: int = 64,
        render_size: int | None = None,
        seed: int = 0,
        photographs: Sequence[np.ndarray] | str | os.PathLike | None = None,
        num_parts: tuple[int, int] = (1, MAX_PARTS),
        travel: tuple[float, float] = (0.1, 0.22),
        cast: bool = False,
        drift: float = 1.0,
    ):
        bounds = {"num_videos": (num_videos, 1), "num_frames": (num_frames, 1), "size": (size, 8)}
        for name, (value, least) in bounds.items():
            if not isinstance(value, int | np.integer) or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
        if render_size is None:
            render_size = size * max(1, -(-_FINE_SIDE // size))
        if render_size < size or render_size % size:
            raise ValueError(
                f"render_size must be a multiple of size = {size}, got {render_size!r}; "
                f"{size * max(1, -(-_FINE_SIDE // size))} is one"
            )
        least, most = num_parts
        if not 1 <= least <= most <= MAX_PARTS:
            raise ValueError(
                f"num_parts must be (fewest, most) from 1 to {MAX_PARTS}, got {num_parts!r}"
            )
        if not 0 <= travel[0] <= travel[1] <= 0.5:
            raise ValueError(f"travel must be (least, largest) from 0 to 0.5, got {travel!r}")
        if not 0 <= drift <= 1:
            raise ValueError(f"drift must lie in [0, 1], got {drift!r}")
        self._drift, self._cast = drift, cast
        self._num_videos, self._num_frames, self._seed = num_videos, num_frames, seed
        self._num_parts, self._travel = (least, most), travel
        self._canvas = Canvas(size, render_size // size)
        players = {name for name, *_ in _CAST} if cast else ()
        self._num_pictures, self._picture = _open(photographs, without=players)

    @property
    def name(self) -> str:
        return f"moving-photographs-v{MOVING_PHOTOGRAPHS_VERSION}"

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Films that show the same thing: every film is alone."""
        return tuple((index,) for index in range(len(self)))

    def __len__(self) -> int:
        return self._num_videos

    def num_frames(self, index: int) -> int:
        """How many frames a film has."""
        return self._num_frames

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        scene, local = self._scene(index)
        frames = [scene.draw(self._canvas, time) for time in range(self._num_frames)]
        found, seen = scene.landmarks(_GROUND_LANDMARKS, local)
        landmarks = np.zeros((self._num_frames, NUM_LANDMARKS, 2), np.float32)
        visible = np.zeros((self._num_frames, NUM_LANDMARKS), bool)
        landmarks[:, : found.shape[1]], visible[:, : found.shape[1]] = found, seen
        return {"frames": np.stack(frames), "landmarks": landmarks, "visible": visible}

    def frames(self, index: int, times: Sequence[int]) -> np.ndarray:
        """Some frames of a film, uint8 (len(times), H, W, 3), without drawing the others."""
        scene, _ = self._scene(index)
        return np.stack([scene.draw(self._canvas, range(self._num_frames)[t]) for t in times])

    def _scene(self, index: int) -> tuple[Scene, list[np.ndarray]]:
        """A film's scene, and the local landmarks of its parts."""
        index = operator.index(index)
        if not 0 <= index < len(self):
            raise IndexError(f"index must lie in [0, {len(self)}), got {index}")
        text = f"{MOVING_PHOTOGRAPHS_VERSION} moving photographs {self._seed}".encode()
        stream = int.from_bytes(hashlib.sha256(text).digest()[:8], "little")
        rng = generator(stream, index)
        phases = np.arange(self._num_frames) / self._num_frames
        sway = random_sway(rng, phases, amplitude=0.025 * self._drift)
        count = int(rng.integers(self._num_parts[0], self._num_parts[1] + 1))
        chosen = rng.choice(self._num_pictures, 1 + count, replace=self._num_pictures <= count)
        ground, ground_poses, reach = self._ground(rng, phases, chosen[0], sway.largest_slope)
        # Around the middle, so that several parts are seldom behind each other.
        first = rng.uniform(0, 2 * np.pi)
        players = rng.permutation(len(_CAST)) if self._cast else ()
        parts, local = [], []
        for number, picture in enumerate(chosen[1:]):
            angle = first + 2 * np.pi * number / count + rng.uniform(-0.3, 0.3)
            distance = rng.uniform(0, 0.25) if count == 1 else rng.uniform(0.35, 0.5)
            radius = rng.uniform(0.34, 0.5) if count == 1 else rng.uniform(0.24, 0.36)
            if self._cast:
                look = _player(rng, players[number])
            else:
                look = self._random_look(rng, int(picture), radius)
            centre = distance * np.array([np.cos(angle), np.sin(angle)])
            part = self._part(rng, phases, look, centre, radius, sway.largest_slope)
            parts.append(part)
            radii = outline_radius(part.outline, _PART_LANDMARKS)
            local.append(_PART_LANDMARKS * radii[:, None])
        return Scene(ground, ground_poses, reach, tuple(parts), sway), local

    def _ground(self, rng, phases, picture, slope):
        """The background's texture, its poses, and how far the texture reaches."""
        poses = random_poses(
            rng, phases, centre=np.zeros(2), matrix=np.eye(2),
            travel=self._drift * rng.uniform(0.04, 0.1),
            rotation=self._drift * rng.uniform(0.02, 0.08),
            zoom=self._drift * rng.uniform(0.01, 0.05),
        )  # fmt: skip
        corner = np.abs(self._canvas.axis).max() + 0.1  # and what swaying can add
        corners = corner * np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]])
        reach = float(np.abs(poses.local(np.tile(corners, (len(phases), 1, 1)))).max())
        share = rng.uniform(0.75, 1)
        side = self._texture_side(poses, reach, slope)
        return resize_texture(*self._box(rng, picture, share), side), poses, reach

    def _random_look(self, rng, number: int, radius: float) -> "_Look":
        share = max(0.35, 1.2 * radius) * rng.uniform(0.8, 1.2)
        picture, box = self._box(rng, number, share)
        # Half of the embedded photographs are grey; a tint tells the parts from the background.
        tint = rng.uniform(0.6, 1.3, 3)
        stretch, turn = np.exp(rng.uniform(-0.25, 0.25)), rng.uniform(0, 2 * np.pi)
        return _Look(picture, box, random_outline(rng), tint, stretch, turn)

    def _part(self, rng, phases, look: "_Look", centre, radius, slope):
        cosine, sine = np.cos(look.turn), np.sin(look.turn)
        rotation = np.array([[cosine, -sine], [sine, cosine]])
        poses = random_poses(
            rng, phases, centre=centre, matrix=radius * rotation * [look.stretch, 1 / look.stretch],
            travel=2 * rng.uniform(*self._travel), rotation=rng.uniform(0.15, 0.6),
            zoom=rng.uniform(0.05, 0.18), bend=rng.uniform(0, 0.25),
        )  # fmt: skip
        side = self._texture_side(poses, REACH, slope)
        colours = resize_texture(look.picture, look.box, side)
        colours *= look.tint[:, None, None].astype(np.float32)
        softness = 6 * self._canvas.pitch / radius
        return make_part(np.clip(colours, 0, 255), look.outline, softness, poses)

    def _texture_side(self, poses: Poses, reach: float, slope: float) -> int:
        """Pixels across [-reach, reach] of which the canvas's next pixel is at most one further."""
        step = self._canvas.pitch * (1 + slope) * poses.largest_rate(reach)
        return max(4, int(2 * reach / step) + 1)

    def _box(self, rng, number: int, share: float):
        """A picture and a random square of it, whose side is a share of its shorter one."""
        picture = self._picture(int(number))
        side = min(1.0, share) * min(picture.shape[:2])
        upper, left = (rng.uniform(0, length - side) for length in picture.shape[:2])
        return picture, (left, upper, left + side, upper + side)


@dataclasses.dataclass(frozen=True)
class _Look:
    """What a part shows, and its shape at rest.

    Attributes:
        picture: uint8 (H, W, 3).
        box: the square of it over local [-REACH, REACH]^2: (left, upper, right, lower) in pixels.
        outline: see `random_outline`.
        tint: (3,), factors on the colours.
        stretch: factor on its width, and one over that on its height.
        turn: angle in radians.
    """

    picture: np.ndarray
    box: tuple[float, float, float, float]
    outline: np.ndarray
    tint: np.ndarray
    stretch: float
    turn: float


def _player(rng, number: int) -> _Look:
    """One of the cast, nearly upright."""
    name, (x, y), radius = _CAST[number]
    half = REACH * radius
    box = (x - half, y - half, x + half, y + half)
    # Only its length counts; without the draw all films of the cast would be others.
    round_outline = np.ones_like(random_outline(rng))
    turn = rng.uniform(-0.3, 0.3)
    return _Look(_embedded(name), box, round_outline, np.ones(3), 1.0, turn)


def _open(photographs, without=()):
    """How many pictures there are, and a function that gives one of them."""
    if photographs is None:
        names = [name for name in _PHOTOGRAPHS if name not in without]
        return len(names), lambda number: _embedded(names[number])
    if isinstance(photographs, str | os.PathLike):
        root = pathlib.Path(photographs).expanduser()
        if not root.is_dir():
            raise DataError(f"photographs: expected a folder of images, got {str(root)!r}")
        paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in EXTENSIONS)
        if not paths:
            kinds = ", ".join(EXTENSIONS)
            raise DataError(f"photographs: the folder {root} holds no images ({kinds})")
        return len(paths), functools.lru_cache(maxsize=64)(lambda i: read_image(paths[i]))
    pictures = [np.asarray(picture) for picture in photographs]
    for picture in pictures:
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError(
                f"photographs must be uint8 arrays (H, W, 3), got {picture.dtype} {picture.shape}"
            )
    if not pictures:
        raise ValueError("photographs must hold at least one picture, got none")
    return len(pictures), pictures.__getitem__


@functools.cache
def _embedded(name: str) -> np.ndarray:
    return load_photograph(*_PHOTOGRAPHS[name])
