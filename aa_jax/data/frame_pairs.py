"""Pairs of frames of one film, which motion models train on, and films held in memory."""

import dataclasses
import math
import operator
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from aa_jax.data.counter_random import generator
from aa_jax.data.errors import DataError

FLIPS = ("time-or-horizontal", "none")
_LUMA = np.array([0.299, 0.587, 0.114])  # Rec. 601
# Rows: luma, then two orthonormal directions across it; hue is the angle in their plane.
_HUE_PLANE = np.array([[2, -1, -1], [0, 3**0.5, -(3**0.5)]]) / 6**0.5


class Videos(Protocol):
    """A source of films.

    Attributes:
        name: for messages and reports.
        groups: indices of films that show the same person or thing, one tuple for each.
    """

    name: str
    groups: tuple[tuple[int, ...], ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """{"frames": uint8 (T, H, W, 3), "landmarks": (T, L, 2), "visible": bool (T, L)}."""
        ...

    def num_frames(self, index: int) -> int:
        """T of a film."""
        ...

    def frames(self, index: int, times: Sequence[int]) -> np.ndarray:
        """Some frames of a film: uint8 (len(times), H, W, 3)."""
        ...


@dataclasses.dataclass(frozen=True)
class ColourJitter:
    """Random brightness, contrast, saturation and hue, the same for all frames given at once.

    Brightness, contrast and saturation are factors within 1 +- the strength, applied in this order;
    contrast is around the mean luma of the frames. Hue is a rotation of colours around the grey
    axis by up to the strength times a full turn, which keeps the mean of the three channels.
    Together they are one affine map of colours.
    """

    brightness: float = 0.1
    contrast: float = 0.1
    saturation: float = 0.1
    hue: float = 0.1

    def __post_init__(self):
        for field in dataclasses.fields(self):
            most = 0.5 if field.name == "hue" else 1.0
            value = getattr(self, field.name)
            if not 0 <= value <= most:
                raise ValueError(f"{field.name} must lie in [0, {most}], got {value!r}")

    def __call__(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Changes uint8 frames (..., H, W, 3) with random numbers from `rng`."""
        draw = rng.uniform(-1, 1, 4)
        strengths = (self.brightness, self.contrast, self.saturation)
        brightness, contrast, saturation = (
            1 + a * u for a, u in zip(strengths, draw, strict=False)
        )
        grey = np.outer(np.ones(3), _LUMA)
        colours = saturation * np.eye(3) + (1 - saturation) * grey
        colours = rotate_hue(2 * np.pi * self.hue * draw[3]) @ colours
        mean_luma = float(frames.reshape(-1, 3).mean(0, dtype=np.float64) @ _LUMA)
        offset = (1 - contrast) * brightness * mean_luma  # grey, which colours keeps
        matrix = (contrast * brightness * colours).astype(np.float32)
        changed = frames.astype(np.float32) @ matrix.T + np.float32(offset)
        return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


PUBLISHED_JITTER = ColourJitter()


def rotate_hue(angle: float) -> np.ndarray:
    """The (3, 3) rotation of RGB around the grey axis by an angle in radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.full((3, 3), 1 / 3) + _HUE_PLANE.T @ turn @ _HUE_PLANE


def magnify(frames: np.ndarray, factor: float, place: np.ndarray) -> np.ndarray:
    """Shows a part of frames uint8 (T, H, W, 3) in their own size, or less than all of it.

    Args:
        frames: all are treated alike.
        factor: above 1 a part is enlarged; below 1 the frames shrink, their edges go on outside.
        place: (2,) of [0, 1], where the part lies, or the frames in what is around them.
    """
    height, width = frames.shape[1:3]
    margins = [max(0, math.ceil(side / factor - side)) for side in (height, width)]
    grown = np.pad(frames, ((0, 0), *((m, m) for m in margins), (0, 0)), mode="edge")
    (upper, left), spans = margins, (height / factor, width / factor)
    upper += place[0] * (height - spans[0])
    left += place[1] * (width - spans[1])
    box = (left, upper, left + spans[1], upper + spans[0])
    pictures = (Image.fromarray(frame) for frame in grown)
    resized = [p.resize((width, height), Image.Resampling.LANCZOS, box=box) for p in pictures]
    return np.stack([np.asarray(picture) for picture in resized])


class FramePairs:
    """Random-access source of frame pairs, in the form that `make_loader` takes.

    `pairs[i]` is {"image": uint8 (2, H, W, 3), "label": the film's index}: the source frame, then
    the driving one. Two frames are drawn with replacement and sorted by time; then their order is
    reversed with probability one half, else they are mirrored with probability one half; then their
    colours are changed alike (the First Order Motion model's training). Pair i depends on i, the
    seed and the films only. One pass goes through the groups of films `repeats` times; of each
    group one film is drawn.

    Args:
        videos: the films.
        repeats: pairs per group of films.
        seed: of all draws.
        flips: "time-or-horizontal" as above, or "none".
        resize: range of a random magnification of both frames alike; what is larger is cut, what is
            smaller continues its edge.
        jitter: of the colours, None for none.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        videos: Videos,
        *,
        repeats: int = 1,
        seed: int = 0,
        flips: str = "time-or-horizontal",
        jitter: ColourJitter | None = PUBLISHED_JITTER,
        resize: tuple[float, float] = (1.0, 1.0),
    ):
        if not isinstance(repeats, int | np.integer) or repeats < 1:
            raise ValueError(f"repeats must be an integer of at least 1, got {repeats!r}")
        if flips not in FLIPS:
            raise ValueError(f"flips must be one of {', '.join(FLIPS)}, got {flips!r}")
        if not 0.25 <= resize[0] <= resize[1] <= 4:
            raise ValueError(f"resize must be (least, most) from 0.25 to 4, got {resize!r}")
        self._videos, self._repeats, self._seed = videos, repeats, seed
        self._flips, self._jitter, self._resize = flips, jitter, tuple(resize)

    @property
    def name(self) -> str:
        return f"{self._videos.name} (pairs of frames)"

    def __len__(self) -> int:
        return self._repeats * len(self._videos.groups)

    def __getitem__(self, index: int) -> dict:
        index = operator.index(index)
        if not 0 <= index < len(self):
            raise IndexError(f"index must lie in [0, {len(self)}), got {index}")
        rng = generator(self._seed, index)
        group = self._videos.groups[index % len(self._videos.groups)]
        video = group[rng.integers(len(group))]
        times = np.sort(rng.integers(self._videos.num_frames(video), size=2))
        frames = self._videos.frames(video, times.tolist())
        if self._flips == "time-or-horizontal":
            first, second = rng.random(2)
            if first < 0.5:
                frames = frames[::-1]
            elif second < 0.5:
                frames = frames[:, :, ::-1]
        if self._resize != (1, 1):
            frames = magnify(frames, rng.uniform(*self._resize), rng.random(2))
        if self._jitter is not None:
            frames = self._jitter(frames, rng)
        return {"image": np.ascontiguousarray(frames), "label": int(video)}


class HeldVideos:
    """Films read once and kept in memory, for training that reads them again and again.

    Args:
        videos: where they come from.
        max_bytes: what their frames may take.

    Raises:
        DataError: they take more.
    """

    def __init__(self, videos: Videos, *, max_bytes: int = 2**32):
        self.name, self.groups = videos.name, videos.groups
        self._samples, taken = [], 0
        for index in range(len(videos)):
            sample = videos[index]
            taken += sample["frames"].nbytes
            if taken > max_bytes:
                raise DataError(
                    f"{videos.name}: the frames of the first {index + 1} of {len(videos)} films "
                    f"take {taken} bytes, more than max_bytes = {max_bytes}; use fewer or smaller "
                    "films, or raise max_bytes"
                )
            self._samples.append(sample)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self._samples[index]

    def num_frames(self, index: int) -> int:
        """How many frames a film has."""
        return len(self._samples[index]["frames"])

    def frames(self, index: int, times: Sequence[int]) -> np.ndarray:
        """Some frames of a film: uint8 (len(times), H, W, 3)."""
        return self._samples[index]["frames"][list(times)]
