"""Latents from seeds, transforms of the picture, and images from a generator, for users."""

import functools
import math
from collections.abc import Sequence

import jax
import numpy as np
from flax import nnx

from aa_jax.models.alias_free.generator import Generator


def latents_from_seeds(seeds: Sequence[int], z_dim: int) -> np.ndarray:
    """The latents (N, z_dim) that seeds stand for in the published tools, float32."""
    draws = [np.random.RandomState(seed).standard_normal(z_dim) for seed in seeds]
    return np.asarray(draws, np.float32)


def picture_transform(
    *, translate: tuple[float, float] = (0.0, 0.0), rotate: float = 0.0, scale: float = 1.0
) -> np.ndarray:
    """The (3, 3) matrix that makes a generator move its picture.

    Args:
      translate: (right, down), in units of the picture's shorter side.
      rotate: degrees, with the published sign: a positive angle turns x towards -y, which on the
        screen is counter-clockwise.
      scale: magnification about the picture's centre.

    Returns:
      float64: the inverse of the movement, since it is applied to coordinates.

    Raises:
      ValueError: an argument is not finite, or the scale not positive.
    """
    numbers = {"translate": translate, "rotate": (rotate,), "scale": (scale,)}
    for name, values in numbers.items():
        if not all(math.isfinite(value) for value in values):
            raise ValueError(f"{name} must be finite, got {values}")
    if len(translate) != 2:
        raise ValueError(f"translate must be (right, down), got {translate}")
    if scale <= 0:
        raise ValueError(f"scale must be positive, got {scale}")
    angle = math.radians(rotate)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    return invert_transform(
        [[cosine, sine, translate[0]], [-sine, cosine, translate[1]], [0, 0, 1]]
    )


def invert_transform(movement) -> np.ndarray:
    """The inverse of an affine movement (3, 3) of the picture, as generators take it.

    Raises:
      ValueError: it has another shape, a last row other than (0, 0, 1), or no inverse.
    """
    matrix = np.asarray(movement, np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise ValueError(f"movement must be a finite (3, 3) matrix, got {movement!r}")
    if not np.array_equal(matrix[2], (0, 0, 1)):
        raise ValueError(f"movement must be affine, last row (0, 0, 1), got {matrix[2]}")
    if np.linalg.cond(matrix) > 1e8:
        raise ValueError(f"movement must be invertible, got {matrix.tolist()}")
    return np.linalg.inv(matrix)


def one_hot(classes: int | Sequence[int] | None, count: int, c_dim: int) -> np.ndarray | None:
    """Class vectors (count, c_dim) from one class for all or one for each; None if c_dim is 0.

    Raises:
      ValueError: a class is missing, surplus, or out of range.
    """
    if not c_dim:
        if classes is not None:
            raise ValueError(f"the network is unconditional and takes no class, got {classes}")
        return None
    if classes is None:
        raise ValueError(f"the network is conditional: choose a class from 0 to {c_dim - 1}")
    indices = np.broadcast_to(np.asarray(classes), (count,))
    if indices.dtype.kind not in "iu" or not ((indices >= 0) & (indices < c_dim)).all():
        raise ValueError(f"a class must be an integer from 0 to {c_dim - 1}, got {classes}")
    return np.eye(c_dim, dtype=np.float32)[indices]


def sample(
    generator: Generator,
    seeds: Sequence[int],
    *,
    classes: int | Sequence[int] | None = None,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
    transform: np.ndarray | None = None,
    batch_size: int = 8,
) -> np.ndarray:
    """Draws one picture for each seed.

    Example:
      >>> generator = weights.load_generator("stylegan3-r-afhqv2-512x512.pkl")
      >>> images = sample(generator, range(4), truncation_psi=0.7)
      >>> turned = sample(generator, range(4), transform=picture_transform(rotate=30))

    Args:
      generator: the network.
      seeds: integers from 0 to 2^32 - 1.
      classes: class of all pictures or of each; None for an unconditional network.
      truncation_psi: 1 draws from the whole distribution, smaller values nearer to the mean.
      truncation_cutoff: how many layers are truncated, from the input; None: all.
      transform: from `picture_transform`; None leaves pictures where they are.
      batch_size: pictures computed at a time.

    Returns:
      Images (N, height, width, img_channels), float32, about [-1, 1].
    """
    z = latents_from_seeds(seeds, generator.z_dim)
    ws = map_latents(
        generator,
        z,
        one_hot(classes, len(z), generator.c_dim),
        truncation_psi=truncation_psi,
        truncation_cutoff=truncation_cutoff,
    )
    return synthesize(generator, ws, transform=transform, batch_size=batch_size)


def map_latents(generator: Generator, z, c=None, **options) -> np.ndarray:
    """Latents (N, num_ws, w_dim) from (N, z_dim); options as of `MappingNetwork`, compiled once."""
    return np.asarray(_map(*nnx.split(generator.mapping), z, c, **options))


def synthesize(
    generator: Generator, ws: np.ndarray, *, transform=None, batch_size: int = 8
) -> np.ndarray:
    """Images (N, height, width, img_channels) from latents (N, num_ws, w_dim), in batches.

    Args:
      generator: the network.
      ws: latents.
      transform: (3, 3) for all pictures, or (N, 3, 3); None leaves them where they are.
      batch_size: pictures computed at a time; one compilation serves all.
    """
    count = len(ws)
    transform = np.broadcast_to(np.eye(3) if transform is None else transform, (count, 3, 3))
    size = min(batch_size, count)
    network = nnx.split(generator.synthesis)
    images = []
    for start in range(0, count, size):
        # The last batch is filled up with earlier pictures, so that no other shape is compiled.
        chosen = np.minimum(np.arange(start, start + size), count - 1)
        batch = _synthesize(*network, ws[chosen], transform[chosen].astype(ws.dtype))
        images.append(np.asarray(batch)[: count - start])
    return np.concatenate(images)


def mix_styles(coarse: np.ndarray, fine: np.ndarray, layers: Sequence[int]) -> np.ndarray:
    """Takes the latents of `layers` from `fine` and all others from `coarse`.

    Args:
      coarse: (..., num_ws, w_dim).
      fine: of the same shape, or broadcasting to it.
      layers: indices into num_ws; 0 is the input, 1 the first layer.

    Raises:
      ValueError: an index is out of range.
    """
    num_ws = coarse.shape[-2]
    if not all(0 <= layer < num_ws for layer in layers):
        raise ValueError(f"layers must lie from 0 to {num_ws - 1}, got {list(layers)}")
    taken = np.isin(np.arange(num_ws), np.asarray(layers, int))
    return np.where(taken[:, None], fine, coarse)


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Images in [-1, 1] as bytes, with the published rounding: 127.5 x + 128, cut off."""
    return np.clip(np.asarray(images, np.float32) * 127.5 + 128, 0, 255).astype(np.uint8)


@functools.partial(jax.jit, static_argnames=("graph", "truncation_psi", "truncation_cutoff"))
def _map(graph, state, z, c, *, truncation_psi=1.0, truncation_cutoff=None):
    mapping = nnx.merge(graph, state)
    return mapping(z, c, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)


@functools.partial(jax.jit, static_argnames="graph")
def _synthesize(graph, state, ws, transform):
    return nnx.merge(graph, state)(ws, transform=transform)
