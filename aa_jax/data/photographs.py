"""Which photograph is this crop from? A classification set that needs no download.

The scikit-image wheel carries real photographs. Each one is a class; a sample is a small crop of
it. Natural spectra with strong high frequencies are what aliasing feeds on, so a few hundred
training steps are enough to see a network's answer flip when a picture moves by one pixel.
"""

import dataclasses
import functools
import hashlib
import operator

import numpy as np

from aa_jax.data.counter_random import generator, uniforms
from aa_jax.data.photograph_files import CLASSES, canvas

# Raised whenever the same options would give other pixels or other labels.
PHOTOGRAPHS_VERSION = 1

NUM_BANDS = 5  # train, test, train, test, train from left to right
GUARD = 8  # pixels between bands that belong to neither split
DETAILED_FRACTION = 0.6  # of the positions of a photograph, those with the most detail are used
TARGET_DEVIATION = 48.0  # grey levels, of a crop after contrast normalisation
NOISE_FLOOR = 4.0  # grey levels: flatter crops are not stretched without bound


def split_bands(width: int, split: str) -> list[tuple[int, int]]:
    """Column ranges [left, right) of a photograph that belong to a split.

    Vertical bands alternate, because photographs differ from top to bottom (sky, grass) more than
    from left to right: both splits then hold every layer of a scene. `GUARD` columns between
    neighbouring bands belong to neither.

    Args:
        width: width of the photograph in pixels.
        split: "train" or "test".

    Returns:
        Three ranges for "train", two for "test", left to right.
    """
    usable = width - GUARD * (NUM_BANDS - 1)
    edges = [usable * band // NUM_BANDS for band in range(NUM_BANDS + 1)]
    bands = [
        (edges[band] + GUARD * band, edges[band + 1] + GUARD * band) for band in range(NUM_BANDS)
    ]
    return bands[0::2] if split == "train" else bands[1::2]


def _window_means(values: np.ndarray, side: int) -> np.ndarray:
    """Mean over every side-by-side window, (H - side + 1, W - side + 1), by an integral image."""
    total = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    total[1:, 1:] = values.cumsum(0).cumsum(1)
    corners = total[side:, side:] - total[:-side, side:] - total[side:, :-side]
    return (corners + total[:-side, :-side]) / side**2


@functools.lru_cache(maxsize=16)
def _positions(split: str, side: int) -> tuple[np.ndarray, ...]:
    """Per class the usable (row, column) of windows, in photograph coordinates, raster order."""
    pixels, tops = canvas("grayscale")
    found = []
    for (_, _, width, height, reduction), top in zip(CLASSES, tops, strict=True):
        width, height = width // reduction, height // reduction
        picture = pixels[top : top + height, :width, 0].astype(np.float64)
        gradient = np.abs(np.diff(picture, axis=0, append=picture[-1:]))
        gradient += np.abs(np.diff(picture, axis=1, append=picture[:, -1:]))
        detail = _window_means(gradient, side)
        inside = np.zeros(detail.shape, bool)
        for left, right in split_bands(width, split):
            inside[:, left : right - side + 1] = True
        threshold = np.quantile(detail[inside], 1 - DETAILED_FRACTION)
        found.append(np.argwhere(inside & (detail >= threshold)))
    return tuple(found)


@functools.lru_cache(maxsize=16)
def _shuffled(seed: int, count: int) -> np.ndarray:
    """A permutation, so that any first part of the test set covers the photographs evenly."""
    return generator(seed, 0).permutation(count)


@dataclasses.dataclass(frozen=True)
class Photographs:
    """Random-access source of crops; build it with `photographs`, which checks the options.

    `source[i]` is {"image": uint8 (side, side, 3), "label": int} with side = size + crop_margin;
    `source.batch(indices)` makes many at once, with the same pixels.
    """

    split: str
    size: int
    crop_margin: int
    num_samples: int
    seed: int
    color: str
    contrast: str
    jitter: float
    noise: float

    @property
    def name(self) -> str:
        return f"photographs-v{PHOTOGRAPHS_VERSION}/{self.split}"

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(row[0] for row in CLASSES)

    @property
    def num_classes(self) -> int:
        return len(CLASSES)

    @property
    def side(self) -> int:
        """Height and width of the images in pixels: size + crop_margin."""
        return self.size + self.crop_margin

    @property
    def fingerprint(self) -> str:
        """Hash of the pixels everything is cut from, to name the data in a report."""
        return hashlib.sha256(canvas(self.color)[0].tobytes()).hexdigest()[:16]

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> dict:
        images, labels = self.batch([operator.index(index)])
        return {"image": images[0], "label": int(labels[0])}

    def rectangles(self, indices) -> np.ndarray:
        """Where crops come from: int64 (B, 4) of (label, row, column, side).

        Row and column are those of the upper left corner in the (reduced) photograph.
        """
        indices = np.asarray(indices, np.int64)
        if indices.size and not (0 <= indices.min() and indices.max() < len(self)):
            raise IndexError(f"indices must lie in [0, {len(self)}), got {indices}")
        labels = indices % self.num_classes
        draw = uniforms(self._stream("position"), indices, 1)[:, 0]
        positions = _positions(self.split, self.side)
        counts = np.array([len(p) for p in positions])[labels]
        if self.split == "test":  # one sample per stratum: an even grid over the usable area
            strata = _shuffled(self._stream("strata"), -(-len(self) // self.num_classes))
            draw = (strata[indices // self.num_classes] + draw) / len(strata)
        chosen = (draw * counts).astype(np.int64)
        corners = np.array([positions[k][c] for k, c in zip(labels, chosen, strict=True)])
        side = np.full_like(labels, self.side)
        return np.column_stack([labels, corners.reshape(-1, 2), side])

    def batch(self, indices) -> tuple[np.ndarray, np.ndarray]:
        """Makes samples together: uint8 (B, side, side, 3) and int32 labels (B,)."""
        indices = np.asarray(indices, np.int64)
        labels, rows, columns, _ = self.rectangles(indices).T
        pixels, tops = canvas(self.color)
        rows = rows + np.asarray(tops)[labels]
        windows = np.lib.stride_tricks.sliding_window_view(pixels, (self.side,) * 2, axis=(0, 1))
        crops = windows[rows, columns].transpose(0, 2, 3, 1)
        crops = self._photometric(crops, indices)
        if crops.shape[-1] == 1:
            crops = np.repeat(crops, 3, axis=-1)
        return np.ascontiguousarray(crops), labels.astype(np.int32)

    def _stream(self, purpose: str) -> int:
        text = f"{PHOTOGRAPHS_VERSION} {self.split} {purpose} {self.seed}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")

    def _photometric(self, crops: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Contrast normalisation, brightness and contrast jitter, noise; uint8 in and out."""
        if self.contrast == "natural" and not self.jitter and not self.noise:
            return crops
        draw = uniforms(self._stream("photometric"), indices, 2).astype(np.float32) * 2 - 1
        gain, offset = ((1 + self.jitter * draw).T - [[0], [1]]).astype(np.float32)
        crops = crops.astype(np.float32)
        mean = np.full(len(crops), 127.5, np.float32)
        if self.contrast == "normalized":
            flat = crops.reshape(len(crops), -1)
            mean = flat.mean(1)
            variance = np.einsum("bi,bi->b", flat, flat) / flat.shape[1] - mean**2
            gain = gain * TARGET_DEVIATION / np.sqrt(np.maximum(variance, 0) + NOISE_FLOOR**2)
        shift = 127.5 + 64 * offset - mean * gain
        crops *= gain[:, None, None, None]
        crops += shift[:, None, None, None]
        if self.noise:
            crops += self._noise(crops.shape, indices)
        return np.clip(np.rint(crops, out=crops), 0, 255, out=crops).astype(np.uint8)

    def _noise(self, shape: tuple[int, ...], indices: np.ndarray) -> np.ndarray:
        """Gaussian, standard deviation `noise` of full scale, one generator per sample."""
        key = self._stream("noise")
        draws = np.empty(shape, np.float32)
        for row, index in zip(draws, indices, strict=True):
            generator(key, int(index)).standard_normal(dtype=np.float32, out=row)
        return draws * (255 * self.noise)


def photographs(
    split: str,
    *,
    size: int = 40,
    crop_margin: int = 0,
    num_samples: int | None = None,
    seed: int = 0,
    color: str = "grayscale",
    contrast: str = "normalized",
    jitter: float = 0.3,
    noise: float = 0.0,
) -> Photographs:
    """The embedded classification set: which of 14 photographs is this crop from?

    Train and test crops come from bands of each photograph that share no pixel and are kept
    `GUARD` pixels apart, margins included. Labels are balanced (label = index mod 14). A sample
    depends on its index and the options only. Colour would give most classes away (half of the
    photographs are grey), and so would mean brightness: by default crops are luminance replicated
    to three channels, with their contrast normalised and then jittered. Train positions are drawn
    independently; test positions are an evenly spaced grid with one random position per cell.

    Args:
        split: "train" or "test".
        size: crop size in pixels that a network is meant to see.
        crop_margin: images are size + crop_margin wide, so that a crop of `size` pixels can move
            by 0 to crop_margin pixels (shift consistency).
        num_samples: length of the set; 20 000 positions for "train", 2048 for "test" by default.
        seed: of positions and jitter. Keep 0 for "test" to compare with others.
        color: "grayscale" or "rgb".
        contrast: "normalized" (each crop to the same mean and contrast) or "natural".
        jitter: strength of random brightness and contrast, 0 to 1.
        noise: standard deviation of added Gaussian noise, as a fraction of full scale.

    Returns:
        A source: `len`, `[i]`, `batch(indices)`, `num_classes`, `class_names`, `name`.

    Raises:
        ValueError: an option is out of range.
        DataError: on first use, scikit-image's photographs are not there.

    Example:
        >>> source = photographs("train", size=32)
        >>> source[0]["image"].shape, source.class_names[source[0]["label"]]
        ((32, 32, 3), 'brick')
    """
    if num_samples is None:
        num_samples = 20_000 if split == "train" else 2048
    _choice("split", split, ("train", "test"))
    _choice("color", color, ("grayscale", "rgb"))
    _choice("contrast", contrast, ("normalized", "natural"))
    _check_integers(size=(size, 4), crop_margin=(crop_margin, 0), num_samples=(num_samples, 1))
    limit = min(
        right - left
        for _, _, width, _, reduction in CLASSES
        for left, right in split_bands(width // reduction, split)
    )
    if size + crop_margin > limit:
        raise ValueError(
            f"size + crop_margin must be at most {limit} pixels, the narrowest region of the "
            f"photographs, got {size} + {crop_margin}; take a smaller size or margin"
        )
    for name, value in (("jitter", jitter), ("noise", noise)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {value!r}")
    return Photographs(
        split, int(size), int(crop_margin), int(num_samples), int(seed), color, contrast,
        float(jitter), float(noise),
    )  # fmt: skip


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def _check_integers(**bounds: tuple) -> None:
    for name, (value, least) in bounds.items():
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or value < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
