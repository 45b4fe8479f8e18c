"""Perceptual path length: how fast do pictures change along a straight line between latents?

Karras et al., "A style-based generator architecture for generative adversarial networks" (CVPR
2019, section 4.1), measured at the ends of paths in W ("ppl2_wend") as by Karras et al., "Analyzing
and improving the image quality of StyleGAN" (CVPR 2020).
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.metrics.bound import as_pytree
from aa_jax.metrics.equivariance_result import check_counts

DrawPairs = Callable[[jax.Array, int], tuple[Any, Any]]
"""(key, N) -> the latents of both ends of N paths, any pytrees. For a class-conditional network
both ends hold the same classes."""

EMBEDDING_SIZE = 256


@dataclasses.dataclass(frozen=True)
class PerceptualPathLength:
    """Path lengths, measured.

    Attributes:
        distances: float64 (samples,), squared embedded distance over epsilon squared.
        epsilon: the step along the path.
        seed: of the latents.
    """

    distances: np.ndarray
    epsilon: float
    seed: int

    @property
    def kept(self) -> np.ndarray:
        """The distances from the 1st percentile (or the sample below) to the 99th (or above)."""
        low = np.percentile(self.distances, 1, method="lower")
        high = np.percentile(self.distances, 99, method="higher")
        return self.distances[(self.distances >= low) & (self.distances <= high)]

    @property
    def value(self) -> float:
        """The mean of the kept distances."""
        return float(self.kept.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean, from the spread of the kept distances; NaN from a single one."""
        kept = self.kept
        return float(kept.std(ddof=1) / math.sqrt(len(kept))) if len(kept) > 1 else math.nan

    def __str__(self) -> str:
        return (
            f"perceptual path length {self.value:.4f} ± {self.standard_error:.4f} "
            f"({len(self.distances)} paths, {len(self.kept)} of them kept, step {self.epsilon:g}, "
            f"seed {self.seed})"
        )


def perceptual_path_length(
    synthesize: Callable[[jax.Array], jax.Array],
    map_latents: Callable[[Any], jax.Array],
    embed: Callable[[jax.Array], jax.Array],
    draw_pairs: DrawPairs,
    *,
    samples: int = 50_000,
    batch_size: int = 2,
    epsilon: float = 1e-4,
    seed: int = 0,
) -> PerceptualPathLength:
    """Measures squared perceptual speed at the beginning of straight paths in W.

    Of every path from w0 to w1 the pictures at w0 and at w0 + epsilon (w1 - w0) are compared by
    the squared Euclidean distance of their embeddings, over epsilon squared. Pictures differ by
    little: compute in full float32 (matrix products too), with noise inputs that do not change.

    Args:
        synthesize: w -> pictures (N, H, W, C) in [-1, 1], one or three channels. Like the other
            two it is compiled; bind the weights of networks with `jax.tree_util.Partial`, or
            they become constants of the program.
        map_latents: latents -> w (N, ...).
        embed: pictures (N, h, w, 3), float32 in [0, 255] -> features (N, ...) whose squared
            distance is perceptual, such as LPIPS. Square pictures of twice 256 pixels or more come
            averaged over boxes.
        draw_pairs: (key, N) -> latents of both ends.
        samples: paths; published: 50 000.
        batch_size: paths at a time, twice as many pictures; published: 2.
        epsilon: the step, in units of the path.
        seed: of the latents.

    Returns:
        The path lengths.

    Raises:
        ValueError: counts or epsilon out of range, pictures or features of another shape, or not
            finite.

    Example:
        draw = lambda key, count: tuple(jax.random.normal(key, (2, count, 512)))
        ppl = perceptual_path_length(
            Partial(synthesize, weights), Partial(map_latents, weights), Partial(embed, vgg), draw
        )
        print(ppl)
    """
    check_counts(samples=samples, batch_size=batch_size)
    if not 0 < epsilon < math.inf:
        raise ValueError(f"epsilon must be positive and finite, got {epsilon!r}")
    functions = [as_pytree(function) for function in (synthesize, map_latents, embed)]
    # In here, so that functions that go away take their compiled programs along.
    measure = jax.jit(lambda *inputs: _squared_distances(*inputs))
    key, waiting, distances = jax.random.key(seed), None, []
    for index in range(-(-samples // batch_size)):
        ends = draw_pairs(jax.random.fold_in(key, index), batch_size)
        batch = measure(*functions, *ends, epsilon)
        if waiting is not None:  # fetched while the next batch is computed
            distances.append(_fetch(waiting))
        waiting = batch
    distances = np.concatenate([*distances, _fetch(waiting)])[:samples]
    return PerceptualPathLength(distances / epsilon**2, float(epsilon), seed)


def _squared_distances(synthesize, map_latents, embed, start, end, epsilon) -> jax.Array:
    """(N,) squared distances between the embedded pictures at both ends of the step."""
    # One call of each network for both ends: they come in one batch.
    w = map_latents(jax.tree.map(lambda *ends: jnp.concatenate(ends), start, end))
    start, end = jnp.split(w, 2)
    pictures = synthesize(jnp.concatenate([start, start + (end - start) * epsilon]))
    features = embed(_prepare(pictures))
    if np.shape(features)[:1] != np.shape(pictures)[:1]:
        raise ValueError(
            f"embed must return features (N, ...) of N = {len(pictures)} pictures, got shape "
            f"{np.shape(features)}"
        )
    before, after = jnp.split(features.reshape(len(features), -1), 2)
    return jnp.sum((after - before) ** 2, 1)


def _prepare(pictures: jax.Array) -> jax.Array:
    """Pictures (N, h, w, 3) in [0, 255], reduced by a whole factor to 256 pixels or more."""
    shape, dtype = np.shape(pictures), pictures.dtype
    if len(shape) != 4 or shape[3] not in (1, 3) or dtype not in (np.float32, np.float64):
        raise ValueError(
            "synthesize must return float32 pictures (N, H, W, 1 or 3), got shape "
            f"{shape} and dtype {dtype}"
        )
    count, height, width, channels = shape
    factor = max(1, min(height, width) // EMBEDDING_SIZE)
    if height % factor or width % factor:
        raise ValueError(
            f"pictures of {height} x {width} pixels must be whole multiples of {factor} to be "
            f"reduced towards {EMBEDDING_SIZE}"
        )
    boxes = pictures.reshape(count, height // factor, factor, width // factor, factor, channels)
    reduced = boxes.mean((2, 4))
    colored = jnp.repeat(reduced, 3, 3) if channels == 1 else reduced
    return (colored + 1) * (255 / 2)


def _fetch(batch: jax.Array) -> np.ndarray:
    distances = np.asarray(batch, np.float64)
    if not np.isfinite(distances).all():
        raise ValueError("synthesize or embed returned numbers that are not finite")
    return distances
