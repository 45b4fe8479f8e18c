"""What the quality metrics ask of a generator, whether it is being trained or came from a file."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax import numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jax.tree_util import Partial

from aa_jax.training import distributed
from aa_jax.training.state import merge
from experiments.alias_free_gan.detectors import Detector, as_colour
from experiments.alias_free_gan.features import Batch

# Each purpose has random numbers of its own, so that no metric changes those of another.
_LATENTS, _LABELS, _PATHS, _PATH_LABELS = range(4)


@dataclasses.dataclass(frozen=True)
class Sampler:
    """A generator's images, in float32.

    Attributes:
        graph: the generator's structure; it has `mapping`, `synthesis`, `z_dim` and `c_dim`.
        weights: its (params, stats), on the devices.
        draw: (z, labels) -> images (batch_size, H, W, C) in about [-1, 1]; both are divided over
            the devices, labels are None without.
        batch_size: that `draw` is compiled for; a multiple of the number of devices.
        z_dim: length of latents.
        c_dim: length of labels, 0 without.
        resolution: pixels along the shorter side.
        mesh: the devices.
        label_count: rows of the data set, which labels are taken from.
        label_vectors: indices (N,) of rows -> labels (N, c_dim).
    """

    graph: nnx.GraphDef
    weights: tuple[Any, Any]
    draw: Callable[[jax.Array, jax.Array | None], jax.Array]
    batch_size: int
    z_dim: int
    c_dim: int
    resolution: int
    mesh: Mesh
    label_count: int = 0
    label_vectors: Callable[[np.ndarray], np.ndarray] | None = None

    # ---- images ----

    def batches(self, count: int, seed: int) -> Iterator[Batch]:
        """Images of the first `count` latents of a seed, as bytes; the same on any devices."""
        z = _normal(seed, _LATENTS, count, self.z_dim)
        rows = self._rows(seed, _LABELS, count)
        to_bytes = _to_bytes(self.mesh)
        finite = []
        for start in range(0, count, self.batch_size):
            chosen = np.arange(start, start + self.batch_size) % count
            images, good = to_bytes(self.draw(*self._placed(z[chosen], rows, chosen)))
            finite.append(good)
            yield Batch(images, min(self.batch_size, count - start))
        if not np.all([np.asarray(good) for good in finite]):
            raise ValueError("the generator draws images that are not finite")

    def _rows(self, seed: int, stream: int, count: int) -> np.ndarray | None:
        if not self.c_dim:
            return None
        return np.random.default_rng((seed, stream)).integers(self.label_count, size=count)

    def _placed(self, z, rows, chosen) -> tuple[jax.Array, jax.Array | None]:
        inputs = {"z": z}
        if self.c_dim:
            inputs["label"] = self.label_vectors(rows[chosen])
        placed = distributed.shard_whole_batch(inputs, self.mesh)
        return placed["z"], placed.get("label")

    # ---- paths between latents ----

    def path_ends(self, count: int, seed: int) -> Callable[[jax.Array, int], tuple]:
        """What `metrics.perceptual_path_length` draws pairs by, the same on any devices.

        A pair has one label.
        """
        starts, ends = np.split(_normal(seed, _PATHS, 2 * count, self.z_dim), 2)
        rows = self._rows(seed, _PATH_LABELS, count)
        position = 0

        def draw_pairs(_, size):
            nonlocal position
            chosen = np.arange(position, position + size) % count
            position += size
            return tuple(self._placed(z[chosen], rows, chosen) for z in (starts, ends))

        return draw_pairs

    @property
    def map_latents(self) -> Partial:
        """(z, labels) -> w (N, num_ws, w_dim)."""
        graph = self.graph

        def mapping(weights, latents):
            return merge(graph, *weights).mapping(*latents)

        return Partial(mapping, self.weights)

    @property
    def synthesize(self) -> Partial:
        """w -> images, divided over the devices."""
        graph, batch = self.graph, distributed.batch_sharding(self.mesh)

        def synthesis(weights, ws):
            images = merge(graph, *weights).synthesis(ws, force_fp32=True)
            return jax.lax.with_sharding_constraint(images, batch)

        return Partial(synthesis, self.weights)

    def embed(self, detector: Detector) -> Partial:
        """Images (N, h, w, 3) on [0, 255] -> features (N, D).

        Features of an image are divided over the devices, so that each has a part of every image's
        and the squared distance, their sum, is on all: every process can fetch it.
        """
        columns = jax.sharding.NamedSharding(self.mesh, PartitionSpec(None, distributed.DATA_AXIS))

        def features(weights, images):
            found = detector.apply(weights, as_colour(images))["features"]
            return jax.lax.with_sharding_constraint(found, columns)

        return Partial(features, distributed.replicate(detector.weights, self.mesh))

    # ---- motion ----

    @property
    def move(self) -> Partial:
        """(latents, transform) -> images, whole on every device; latents are (z, labels)."""
        graph, whole = self.graph, distributed.replicated(self.mesh)

        def moved(weights, latents, transform):
            generator = merge(graph, *weights)
            images = generator(*latents, transform=transform, force_fp32=True)
            return jax.lax.with_sharding_constraint(images, whole)

        return Partial(moved, self.weights)

    def latents(self, key: jax.Array, count: int) -> tuple[np.ndarray, np.ndarray | None]:
        """What `metrics.equivariance` draws latents by."""
        z = np.asarray(jax.random.normal(key, (count, self.z_dim), jnp.float32))
        if not self.c_dim:
            return z, None
        chosen = jax.random.randint(jax.random.fold_in(key, 1), (count,), 0, self.label_count)
        return z, self.label_vectors(np.asarray(chosen))


def _normal(seed: int, stream: int, count: int, length: int) -> np.ndarray:
    random = np.random.default_rng((seed, stream))
    return random.standard_normal((count, length), np.float32)


@functools.cache  # compiled once for all measurements of a run
def _to_bytes(mesh: Mesh):
    """Images -> (bytes divided over the devices, whether all were finite), published rounding."""
    whole, batch = distributed.replicated(mesh), distributed.batch_sharding(mesh)

    def convert(images):
        images = images.astype(jnp.float32)
        rounded = jnp.clip(images * 127.5 + 128, 0, 255).astype(jnp.uint8)
        return rounded, jnp.isfinite(images).all()

    return jax.jit(convert, out_shardings=(batch, whole))
