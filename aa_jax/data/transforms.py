"""Image transforms in NumPy and Pillow: each is called as transform(image, rng).

Images are uint8 (H, W, 3) until `Normalize`, which is last if it is used. `rng` is a NumPy
generator that `make_loader` makes from the seed and the sample's position; deterministic
transforms ignore it. All resizing is Pillow's bilinear filter, whose support grows with the
reduction: antialiased, as the published evaluation protocols have it.
"""

import dataclasses
import math

import numpy as np
from PIL import Image


def _resize(image: np.ndarray, height: int, width: int, box=None) -> np.ndarray:
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(resized)


def _check_positive(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")


@dataclasses.dataclass(frozen=True)
class Compose:
    """Applies transforms in order; they draw from one generator one after the other."""

    transforms: tuple

    def __init__(self, *transforms):
        object.__setattr__(self, "transforms", transforms)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for transform in self.transforms:
            image = transform(image, rng)
        return image


@dataclasses.dataclass(frozen=True)
class ResizeShorterSide:
    """Resizes so that the shorter side has `size` pixels; the longer is truncated to an integer."""

    size: int

    def __post_init__(self):
        _check_positive("size", self.size)

    def __call__(self, image: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        height, width = image.shape[:2]
        if height <= width:
            height, width = self.size, int(self.size * width / height)
        else:
            height, width = int(self.size * height / width), self.size
        return image if image.shape[:2] == (height, width) else _resize(image, height, width)


@dataclasses.dataclass(frozen=True)
class CenterCrop:
    """Cuts the central `size` by `size` pixels; offsets are round((length - size) / 2)."""

    size: int

    def __post_init__(self):
        _check_positive("size", self.size)

    def __call__(self, image: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        height, width = image.shape[:2]
        if min(height, width) < self.size:
            raise ValueError(
                f"CenterCrop({self.size}) needs an image of at least that size, got {height} x "
                f"{width}; put ResizeShorterSide({self.size}) before it"
            )
        top, left = round((height - self.size) / 2), round((width - self.size) / 2)
        return image[top : top + self.size, left : left + self.size]


@dataclasses.dataclass(frozen=True)
class RandomResizedCrop:
    """Cuts a box of random area and aspect ratio and resizes it to `size` by `size` pixels.

    The area is uniform in `scale` times the image's, the aspect ratio (width / height)
    log-uniform in `ratio`. After ten boxes that do not fit, the largest central box whose aspect
    ratio is allowed is taken (Szegedy et al. 2015, section 6).
    """

    size: int
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self):
        _check_positive("size", self.size)
        for name, (low, high) in (("scale", self.scale), ("ratio", self.ratio)):
            if not 0 < low <= high:
                raise ValueError(
                    f"{name} must be (low, high) with 0 < low <= high, got {low, high}"
                )

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        top, left, height, width = self.box(*image.shape[:2], rng)
        box = (left, top, left + width, top + height)
        return _resize(image, self.size, self.size, box=box)

    def box(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Draws (top, left, height, width) of a box within an image of the given size."""
        for _ in range(10):
            area = height * width * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
                return int(top), int(left), h, w
        low, high = self.ratio
        w = min(width, max(1, round(height * high)))
        h = min(height, max(1, round(width / low)))
        return (height - h) // 2, (width - w) // 2, h, w


@dataclasses.dataclass(frozen=True)
class HorizontalFlip:
    """Mirrors left and right with a probability."""

    probability: float = 0.5

    def __post_init__(self):
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must lie in [0, 1], got {self.probability!r}")

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return image[:, ::-1] if rng.random() < self.probability else image


@dataclasses.dataclass(frozen=True)
class RandomCrop:
    """Cuts `size` by `size` pixels at a uniform position, after padding all four sides.

    `mode` is "zero", "reflect", "edge" or "circular".
    """

    size: int
    padding: int = 0
    mode: str = "zero"

    def __post_init__(self):
        _check_positive("size", self.size)
        if self.padding < 0:
            raise ValueError(f"padding must not be negative, got {self.padding!r}")
        if self.mode not in _PAD_MODES:
            raise ValueError(f"mode must be one of {', '.join(_PAD_MODES)}, got {self.mode!r}")

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.padding:
            amounts = ((self.padding,) * 2, (self.padding,) * 2, (0, 0))
            image = np.pad(image, amounts, mode=_PAD_MODES[self.mode])
        height, width = image.shape[:2]
        if min(height, width) < self.size:
            raise ValueError(
                f"RandomCrop({self.size}) needs an image of at least that size after padding, got "
                f"{height} x {width}; resize before it or raise padding"
            )
        top, left = rng.integers(height - self.size + 1), rng.integers(width - self.size + 1)
        return image[top : top + self.size, left : left + self.size]


_PAD_MODES = {"zero": "constant", "reflect": "reflect", "edge": "edge", "circular": "wrap"}


@dataclasses.dataclass(frozen=True)
class CircularShift:
    """Rolls rows and columns by two uniform integers in [-max_shift, max_shift]."""

    max_shift: int

    def __post_init__(self):
        _check_positive("max_shift", self.max_shift)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        shift = rng.integers(-self.max_shift, self.max_shift + 1, size=2)
        return np.roll(image, tuple(int(amount) for amount in shift), axis=(0, 1))


@dataclasses.dataclass(frozen=True)
class Normalize:
    """(image / 255 - mean) / deviation per channel, float32; the defaults are ImageNet's."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    deviation: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self):
        if min(self.deviation) <= 0:
            raise ValueError(f"deviation must be positive, got {self.deviation!r}")

    def __call__(self, image: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        if image.dtype != np.uint8:
            raise ValueError(f"Normalize expects a uint8 image, got {image.dtype}; use it once")
        image = image.astype(np.float32) / np.float32(255)
        return (image - np.asarray(self.mean, np.float32)) / np.asarray(self.deviation, np.float32)
