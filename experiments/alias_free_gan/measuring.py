"""Measures images of a generator: FID, KID, precision and recall, IS, PPL, EQ-T, EQ-R."""

import dataclasses
import functools
from collections.abc import Callable, Iterable

import numpy as np

from aa_jax import metrics
from aa_jax.training import distributed
from experiments.alias_free_gan.detectors import Detector, load_detectors
from experiments.alias_free_gan.features import Features, gather
from experiments.alias_free_gan.main_process import share
from experiments.alias_free_gan.metric_names import MOTION, PUBLISHED_SAMPLES, QUALITY, Metric
from experiments.alias_free_gan.real_statistics import real_features
from experiments.alias_free_gan.sampler import Sampler


@dataclasses.dataclass(frozen=True)
class Amounts:
    """How much is measured, and how.

    Attributes:
        samples: generated images; published: 50 000.
        batch_size: real images at a time.
        dialect: how images are resized: "clean", "pytorch" or "tensorflow".
        seed: of latents, labels, and the subsets of the kernel distance.
        equivariance_samples: images of EQ-T and EQ-R; published: 50 000.
        equivariance_batch: images that share a motion; published: 4.
    """

    samples: int = PUBLISHED_SAMPLES
    batch_size: int = 64
    dialect: str = "tensorflow"
    seed: int = 0
    equivariance_samples: int = PUBLISHED_SAMPLES
    equivariance_batch: int = 4


Reals = Callable[[str], object]
"""("all" or "training") -> the source of these real images, see `metric_names.Metric`."""


def detectors_of(names: Iterable[str], *, dialect: str, weights: str = "") -> dict[str, Detector]:
    """Loads the networks that metrics need; see `load_detectors`."""
    wanted = [QUALITY[name].detector for name in names if name in QUALITY]
    return load_detectors(wanted, dialect=dialect, folder=weights)


def measure(
    names: Iterable[str],
    sampler: Sampler,
    amounts: Amounts,
    detectors: dict[str, Detector],
    reals: Reals,
) -> dict[str, float]:
    """Measures a generator. Every process must call it; all get the same numbers.

    Generated images are the same whatever is measured and on however many devices, and are drawn
    once for all metrics of images.

    Args:
        names: published names of metrics.
        sampler: of the generator.
        amounts: how much.
        detectors: by name, those of `detectors_of`.
        reals: where the real images are.

    Returns:
        Numbers by the names that `Metric.names` gives.

    Raises:
        ValueError: images cannot be read, or images or features are not finite.
    """
    names = tuple(names)
    results: dict[str, float] = {}
    chosen = [QUALITY[name] for name in names if name in QUALITY]
    of_images = [metric for metric in chosen if metric.detector != "lpips"]
    if of_images:
        results |= _measure_images(of_images, sampler, amounts, detectors, reals)
    for metric in chosen:
        if metric.detector == "lpips":
            results[metric.names(amounts.samples)[0]] = _path_length(sampler, amounts, detectors)
    if moving := [name for name in names if name in MOTION]:
        found = metrics.equivariance(
            sampler.move,
            sampler.latents,
            resolution=sampler.resolution,
            metrics=moving,
            samples=amounts.equivariance_samples,
            batch_size=amounts.equivariance_batch,
            seed=amounts.seed,
        )
        results |= {name: float(found[name].decibels) for name in moving}
    return results


def _measure_images(
    chosen: list[Metric], sampler: Sampler, amounts: Amounts, detectors, reals: Reals
) -> dict[str, float]:
    """One pass over generated images, and before it those over real images that are new."""
    kept = {metric.detector: set() for metric in chosen}
    for metric in chosen:
        kept[metric.detector] |= {metric.keeps} - {""}
    compared = _real_features(chosen, kept, sampler.mesh, amounts, detectors, reals)
    generated = gather(
        sampler.batches(amounts.samples, amounts.seed),
        amounts.samples,
        {detectors[name]: wanted for name, wanted in kept.items()},
        sampler.mesh,
    )
    results: dict[str, float] = {}
    for metric, real in zip(chosen, compared, strict=True):
        names = metric.names(amounts.samples)
        numbers = np.zeros(len(names))
        if distributed.is_main_process():
            fake = generated[detectors[metric.detector]]
            numbers = np.array(_compare(metric, real, fake, amounts.seed))
        results |= dict(zip(names, map(float, share(numbers)), strict=True))
    return results


def _real_features(
    chosen: list[Metric], kept: dict[str, set[str]], mesh, amounts: Amounts, detectors, reals: Reals
) -> list[Features | None]:
    """For every metric what it compares with: None for none, and outside of the main process."""
    open_source = functools.cache(reals)
    known: dict[tuple, Features | None] = {}
    found: list[Features | None] = []
    for metric in chosen:
        if metric.reals == "none":
            found.append(None)
            continue
        source = open_source(metric.reals)
        key = source.digest, metric.real_count(len(source)), metric.detector
        if key not in known:
            known[key] = real_features(
                source,
                key[1],
                detectors[metric.detector],
                kept[metric.detector] & {"features"},
                mesh=mesh,
                batch_size=amounts.batch_size,
            )
        found.append(known[key])
    return found


def _compare(metric: Metric, real: Features | None, fake: Features, seed: int) -> tuple[float, ...]:
    """The numbers of a metric of images, on the host."""
    kind = metric.published.removesuffix("_full")
    if kind == "is50k":
        score = metrics.inception_score(fake.kept["probabilities"])
        return score.value, score.std
    if kind == "fid50k":
        (_, *gaussian), (_, *other) = real.statistics, fake.statistics
        return (metrics.frechet_distance(*gaussian, *other).value,)
    sets = real.kept["features"], fake.kept["features"]
    if kind == "kid50k":
        return (metrics.kernel_distance(*sets, seed=seed).value,)
    shares = metrics.precision_recall(*sets)
    return shares.precision, shares.recall


def _path_length(sampler: Sampler, amounts: Amounts, detectors: dict[str, Detector]) -> float:
    """Published batches are of two paths; ours of two on each device."""
    length = metrics.perceptual_path_length(
        sampler.synthesize,
        sampler.map_latents,
        sampler.embed(detectors["lpips"]),
        sampler.path_ends(amounts.samples, amounts.seed),
        samples=amounts.samples,
        batch_size=2 * sampler.mesh.size,
        seed=amounts.seed,
    )
    return float(length.value)
