"""Does a generator's picture move as told? EQ-T and EQ-R in decibels.

The metrics of Karras et al., "Alias-free generative adversarial networks" (NeurIPS 2021, section
2.2 and appendix E): a picture that the generator is told to move is compared with the unmoved one,
moved by a high-quality resampler. `equivariance` measures as published, `measure_equivariance` with
given latents and motions.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from aa_jax.filters.rotation import rotation_filter
from aa_jax.metrics.bound import as_pytree
from aa_jax.metrics.equivariance_result import (
    Equivariance,
    EquivarianceDraws,
    check_counts,
    random_draws,
)
from aa_jax.metrics.motion import rotation_transform, sums_of_squares, translation_transform
from aa_jax.ops.rotate import UP, pseudo_rotate, rotate
from aa_jax.ops.translate import translate_lanczos, translate_whole

METRICS = ("eqt_int", "eqt_frac", "eqr")
IDENTITY = np.eye(3, dtype=np.float32)

Synthesize = Callable[[Any, jax.Array], jax.Array]
"""(latents of N pictures, transform (3, 3)) -> pictures (N, H, W, C), float32 in [-1, 1]. The
transform is the inverse of the picture's motion: it acts on coordinates x right, y down, in units
of the picture's shorter side, with the origin in its centre. Compiled with `jax.jit`; bind the
weights of a large network with `jax.tree_util.Partial`, or they become constants of the program."""

DrawLatents = Callable[[jax.Array, int], Any]
"""(key, N) -> latents of N pictures: whatever `synthesize` takes, any pytree."""


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
            lambda z, transform: generator(z, transform=transform, force_fp32=True),
            lambda key, count: jax.random.normal(key, (count, generator.z_dim)),
            resolution=256,
            samples=2000,
        )
        print(results["eqr"])
    """
    check_counts(samples=samples, batch_size=batch_size)
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
    run = jax.jit(lambda synthesize, *inputs: synthesize(*inputs))
    synthesize = functools.partial(run, as_pytree(synthesize))
    for sums in _measure_each(synthesize, iter(latents), draws, metrics):
        if waiting is not None:
            _fetch(waiting, errors, counts)
        waiting = sums
    _fetch(waiting, errors, counts)
    return {
        name: Equivariance(name, np.stack(errors[name]), np.stack(counts[name]), draws.seed)
        for name in metrics
    }


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
