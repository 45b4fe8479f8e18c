"""Features of many images, gathered batch by batch on all devices."""

import functools
from collections.abc import Collection, Iterable
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from aa_jax import metrics
from aa_jax.metrics import moments
from aa_jax.training import distributed
from experiments.alias_free_gan.detectors import Detector, as_colour


class Batch(NamedTuple):
    """Images on the devices.

    Attributes:
        images: uint8 (batch, H, W, 1 or 3), divided over the devices.
        count: how many of them, from the first, are to be counted; the others fill up.
    """

    images: jax.Array
    count: int


class Features(NamedTuple):
    """What is known of a set of images, on the host.

    Attributes:
        statistics: number, mean and covariance of the features.
        kept: "features" and "probabilities" (count, ...) of each image, those asked for.
    """

    statistics: metrics.FeatureStatistics
    kept: dict[str, np.ndarray]


def gather(
    batches: Iterable[Batch],
    count: int,
    wanted: dict[Detector, Collection[str]],
    mesh: Mesh,
) -> dict[Detector, Features]:
    """Shows images to detectors, each batch to all of them. Every process must take part.

    Args:
        batches: all of one shape.
        count: images in them.
        wanted: the detectors, with what of their results is kept of every image.
        mesh: the devices.

    Returns:
        For each detector its features, the same in all processes.

    Raises:
        ValueError: features are not finite, or there are more or fewer images.
    """
    gatherers = {
        detector: _Gatherer(detector, count, kept, mesh) for detector, kept in wanted.items()
    }
    for batch in batches:
        for gatherer in gatherers.values():
            gatherer.add(batch)
    return {detector: gatherer.finish() for detector, gatherer in gatherers.items()}


class _Gatherer:
    """Gathers the features that one detector has of a set of images."""

    def __init__(self, detector: Detector, count: int, kept: Collection[str], mesh: Mesh):
        self._detector, self._count, self._mesh = detector, count, mesh
        self._weights = distributed.replicate(detector.weights, mesh)
        self._names, self._kept = tuple(sorted(kept)), {}
        self._moments, self._waiting, self._seen = None, None, 0

    def add(self, batch: Batch) -> None:
        """Shows a batch; results are fetched while the next one is computed."""
        images = batch.images
        if self._moments is None:
            width = _width(self._detector, images)
            zeros = jax.tree.map(np.asarray, moments.zero_moments(width))
            self._moments = distributed.replicate(zeros, self._mesh)
        counted = {"counted": np.arange(len(images)) < batch.count}
        counted = distributed.shard_whole_batch(counted, self._mesh)["counted"]
        step = _compiled(self._detector, self._names, self._mesh)
        self._moments, results = step(self._weights, self._moments, images, counted)
        self._fetch()
        self._waiting = self._seen, batch.count, results
        self._seen += batch.count

    def finish(self) -> Features:
        """What was gathered."""
        self._fetch()
        if self._seen != self._count:
            raise ValueError(f"there must be {self._count} images, got {self._seen}")
        statistics = moments.finish(jax.tree.map(np.asarray, self._moments))
        return Features(statistics, self._kept)

    def _fetch(self) -> None:
        if self._waiting is None:
            return
        start, count, results = self._waiting
        self._waiting = None
        for name, values in results.items():
            values = np.asarray(values)[:count]
            if name not in self._kept:
                dtype = self._detector.kept_dtype if name == "features" else values.dtype
                self._kept[name] = np.empty((self._count, *values.shape[1:]), dtype)
            with np.errstate(over="ignore"):  # infinite then, which the metric reports
                self._kept[name][start : start + count] = values


def _width(detector: Detector, images: jax.Array) -> int:
    shape = jax.ShapeDtypeStruct((1, *images.shape[1:3], 3), images.dtype)
    return jax.eval_shape(detector.apply, detector.weights, shape)["features"].shape[1]


@functools.cache  # compiled once for all measurements of a run
def _compiled(detector: Detector, kept: tuple[str, ...], mesh: Mesh):
    """(weights, moments, images, counted) -> (moments, results that are kept)."""
    whole, batch = distributed.replicated(mesh), distributed.batch_sharding(mesh)

    def step(weights, sums, images, counted):
        results = detector.apply(weights, as_colour(images))
        sums = moments.update(sums, results["features"], counted)
        return sums, {name: results[name] for name in kept}

    return jax.jit(
        step, donate_argnums=1, in_shardings=(whole, whole, batch, batch), out_shardings=whole
    )
