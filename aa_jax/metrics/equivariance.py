"""Does a generator's picture move as told? EQ-T and EQ-R in decibels.

The metrics of Karras et al., "Alias-free generative adversarial networks" (NeurIPS 2021, section
2.2 and appendix E): a picture that the generator is told to move is compared with the unmoved one,
moved by a high-quality resampler. `equivariance` measures as published, `measure_equivariance` with
given latents and motions.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from aa_jax.filters.rotation import rotation_filter
from aa_jax.metrics.decibels import pooled_decibels
from aa_jax.metrics.motion import rotation_transform, sums_of_squares, translation_transform
from aa_jax.ops.rotate import UP, pseudo_rotate, rotate
from aa_jax.ops.translate import translate_lanczos, translate_whole

METRICS = ("eqt_int", "eqt_frac", "eqr")
IDENTITY = np.eye(3, dtype=np.float32)

Synthesize = Callable[[Any, jax.Array], jax.Array]
"""(latents of N pictures, transform (3, 3)) -> pictures (N, H, W, C), float32 in [-1, 1]. The
transform is the inverse of the picture's motion: it acts on coordinates x right, y down, in units
of the picture's shorter side, with the origin in its centre. Compiled with `jax.jit`."""

DrawLatents = Callable[[jax.Array, int], Any]
"""(key, N) -> latents of N pictures: whatever `synthesize` takes, any pytree."""


@dataclasses.dataclass(frozen=True)
class EquivarianceDraws:
    """The motions of a measurement, one for each batch.

    Attributes:
        whole: float32 (draws, 2), translations (right, down) in units of the picture's shorter
            side, whole pixels.
        fractional: the same, any amount.
        angles: float32 (draws,), radians, counter-clockwise as seen on a screen.
        resolution: pixels per unit.
        seed: they were drawn with, if they were.
    """

    whole: np.ndarray
    fractional: np.ndarray
    angles: np.ndarray
    resolution: int
    seed: int | None = None

    def __post_init__(self):
        count = len(np.atleast_1d(self.angles))
        for name, shape in (
            ("whole", (count, 2)),
            ("fractional", (count, 2)),
            ("angles", (count,)),
        ):
            value = np.asarray(getattr(self, name), np.float32)
            if value.shape != shape or not count or not np.isfinite(value).all():
                raise ValueError(
                    f"{name} must be finite and of shape {shape}, one row per draw, got shape "
                    f"{value.shape}"
                )
            object.__setattr__(self, name, value)
        _check_count(resolution=self.resolution)

    def __len__(self) -> int:
        return len(self.angles)


@dataclasses.dataclass(frozen=True)
class Equivariance:
    """One metric, measured.

    Attributes:
        metric: "eqt_int", "eqt_frac" or "eqr".
        squared_errors: float64 (draws, batch), sums over the valid pixels and channels of a
            picture.
        counts: (draws,), number of those pixels times channels.
        seed: of latents and motions, None for given ones.
    """

    metric: str
    squared_errors: np.ndarray
    counts: np.ndarray
    seed: int | None

    @property
    def draws(self) -> int:
        """Number of motions, and of batches."""
        return len(self.counts)

    @property
    def samples(self) -> int:
        """Number of pictures."""
        return self.squared_errors.size

    @property
    def mse(self) -> float:
        """Mean squared error over all pictures together: pooled before any logarithm."""
        return float(self.squared_errors.sum() / (self.counts.sum() * self._batch))

    @property
    def decibels(self) -> float:
        """10 log10(2**2 / mse): 2 is the range of pictures in [-1, 1]. Infinite without error."""
        return self._decibels[0]

    @property
    def standard_error(self) -> float:
        """Of `decibels`, by the delta method over draws, which are independent (`pooled_decibels`).

        Pictures of one batch share their motion and are not. NaN from a single draw.
        """
        return self._decibels[1]

    @property
    def _batch(self) -> int:
        return self.squared_errors.shape[1]

    @property
    def _decibels(self) -> tuple[float, float]:
        return pooled_decibels(4.0 * self.counts * self._batch, self.squared_errors.sum(1))

    def __str__(self) -> str:
        return (
            f"{self.metric}: {self.decibels:.2f} ± {self.standard_error:.2f} dB ({self.samples} "
            f"pictures, {self.draws} motions, seed {self.seed})"
        )


def random_draws(
    count: int,
    *,
    resolution: int,
    seed: int = 0,
    max_translation: float = 0.125,
    max_angle: float = math.pi,
) -> EquivarianceDraws:
    """Draws motions: uniform translations along each axis, uniform angles.

    A longer list begins with the shorter one of the same seed.

    Args:
        count: how many.
        resolution: pixels along the picture's shorter side.
        seed: of NumPy's default generator.
        max_translation: bound of either component, in units of the shorter side.
        max_angle: bound of the angle in radians.

    Returns:
        The motions; whole translations are rounded to pixels.

    Raises:
        ValueError: a count or bound is not positive.
    """
    _check_count(count=count, resolution=resolution)
    for name, bound in (("max_translation", max_translation), ("max_angle", max_angle)):
        if not 0 < bound < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {bound!r}")
    numbers = np.random.default_rng(seed).uniform(-1, 1, (count, 5))
    whole = np.round(numbers[:, :2] * max_translation * resolution) / resolution
    return EquivarianceDraws(
        whole, numbers[:, 2:4] * max_translation, numbers[:, 4] * max_angle, resolution, seed
    )


def equivariance(
    synthesize: Synthesize,
    draw_latents: DrawLatents,
    *,
    resolution: int,
    metrics: Iterable[str] = METRICS,
    samples: int = 50_000,
    batch_size: int = 4,
    seed: int = 0,
    max_translation: float = 0.125,
    max_angle: float = math.pi,
) -> dict[str, Equivariance]:
    """Measures EQ-T (whole and fractional) and EQ-R as published, over random latents.

    Every batch has its own motion. Metrics share latents and unmoved pictures, and a metric's
    figure does not depend on which others are measured beside it. Compute in full float32:
    networks in 16 bits, or matrix products of reduced precision, measure their rounding.

    Args:
        synthesize: (latents, transform) -> pictures.
        draw_latents: (key, count) -> latents.
        resolution: pixels along the shorter side of the pictures.
        metrics: some of "eqt_int" (whole pixels), "eqt_frac" (fractional), "eqr" (rotation).
        samples: pictures, rounded up to whole batches; published: 50 000.
        batch_size: pictures that share a motion; published: 4.
        seed: of latents and motions.
        max_translation: bound of translations, in units of the shorter side.
        max_angle: bound of rotations, in radians.

    Returns:
        A result for every metric, by name.

    Raises:
        ValueError: an unknown metric, a count below 1, pictures of another shape or dtype, or not
            finite.

    Example:
        results = equivariance(
            lambda z, transform: generator(z, transform=transform, force_float32=True),
            lambda key, count: jax.random.normal(key, (count, generator.z_dim)),
            resolution=256,
            samples=2000,
        )
        print(results["eqr"])
    """
    _check_count(samples=samples, batch_size=batch_size)
    draws = random_draws(
        -(-samples // batch_size),
        resolution=resolution,
        seed=seed,
        max_translation=max_translation,
        max_angle=max_angle,
    )
    key = jax.random.key(seed)
    latents = (
        draw_latents(jax.random.fold_in(key, index), batch_size) for index in range(len(draws))
    )
    return measure_equivariance(synthesize, latents, draws, metrics=metrics)


def measure_equivariance(
    synthesize: Synthesize,
    latents: Iterable[Any],
    draws: EquivarianceDraws,
    *,
    metrics: Iterable[str] = METRICS,
) -> dict[str, Equivariance]:
    """Measures with given latents and motions.

    Args:
        synthesize: (latents, transform) -> pictures.
        latents: of one batch for each draw, all batches of one shape.
        draws: the motions.
        metrics: some of "eqt_int", "eqt_frac", "eqr".

    Returns:
        A result for every metric, by name.

    Raises:
        ValueError: as `equivariance`, or `latents` ends before `draws`.
    """
    metrics = tuple(metrics)
    if not metrics or not set(metrics) <= set(METRICS):
        raise ValueError(f"metrics must be some of {', '.join(METRICS)}, got {metrics!r}")
    errors, counts = {name: [] for name in metrics}, {name: [] for name in metrics}
    waiting = None
    # The next batch is on its way before the last one's sums are fetched.
    for sums in _measure_each(jax.jit(synthesize), iter(latents), draws, metrics):
        if waiting is not None:
            _fetch(waiting, errors, counts)
        waiting = sums
    _fetch(waiting, errors, counts)
    return {
        name: Equivariance(name, np.stack(errors[name]), np.stack(counts[name]), draws.seed)
        for name in metrics
    }


def _check_count(**counts: int) -> None:
    for name, value in counts.items():
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}")


def _measure_each(synthesize, latents, draws, metrics) -> Iterator[dict]:
    """Sums of every metric, for one draw after the other, still on the device."""
    for index in range(len(draws)):
        batch = next(latents, None)
        if batch is None:
            raise ValueError(f"latents ended after {index} batches, but draws has {len(draws)}")
        still = synthesize(batch, IDENTITY)
        if index == 0:
            _check_pictures(still, draws.resolution)
        sums = {}
        for name in metrics:
            transform, compare = _motion(name, index, draws)
            moved = synthesize(batch, transform.astype(np.float32))
            sums[name] = sums_of_squares(*compare(still, moved))
        yield sums


def _motion(name: str, index: int, draws: EquivarianceDraws) -> tuple[np.ndarray, Callable]:
    """What the generator is told in a draw, and a function (still, moved) that checks it.

    The function returns reference, moved and mask.
    """
    if name == "eqr":
        angle = float(draws.angles[index])
        taps = rotation_filter(angle, up=UP), rotation_filter(-angle)
        return rotation_transform(angle), lambda *pair: _compare_rotation(*pair, angle, *taps)
    right, down = (draws.whole if name == "eqt_int" else draws.fractional)[index].tolist()
    pixels = np.array([down, right]) * draws.resolution
    if name == "eqt_int":
        translate, pixels = translate_whole, np.round(pixels).astype(np.int32)
    else:
        translate, pixels = translate_lanczos, pixels.astype(np.float32)
    transform = translation_transform(right, down)
    return transform, lambda *pair: _compare_translation(*pair, pixels, translate=translate)


@functools.partial(jax.jit, static_argnames="translate")
def _compare_translation(still, moved, pixels, *, translate):
    reference, mask = translate(still, pixels)
    return reference, moved, mask


@jax.jit
def _compare_rotation(still, moved, angle, taps, pseudo_taps):
    reference, outer = rotate(still, angle, taps=taps)
    moved, inner = pseudo_rotate(moved, angle, taps=pseudo_taps)
    return reference, moved, outer & inner


def _check_pictures(pictures, resolution: int) -> None:
    shape, dtype = np.shape(pictures), pictures.dtype
    if len(shape) != 4 or min(shape[1:3]) != resolution:
        raise ValueError(
            f"synthesize must return pictures (N, height, width, channels) whose shorter side is "
            f"the resolution, {resolution}, got shape {shape}"
        )
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"synthesize must return float32 pictures in [-1, 1], got {dtype}")


def _fetch(sums: dict, errors: dict, counts: dict) -> None:
    """Brings a draw's sums to the host and adds them up in float64."""
    for name, values in sums.items():
        squared = np.asarray(values["error"], np.float64).sum(1)
        if not np.isfinite(squared).all():
            raise ValueError(f"synthesize returned pictures that are not finite ({name})")
        errors[name].append(squared)
        counts[name].append(int(values["count"]))
