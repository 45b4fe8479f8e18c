"""A generator, a data set and feature networks so small that NumPy can say what comes out.

All their numbers are sums of few powers of two: exact in float32, on any number of devices.
"""

import types

import jax
import ml_collections
import numpy as np
from flax import nnx
from jax import numpy as jnp

from aa_jax.training import distributed, state as states
from experiments.alias_free_gan.detectors import Detector

SIDE, CLASSES = 8, 2
Z_DIM = SIDE * SIDE * 3
SHIFT = np.array([0.25, -0.25], np.float32)  # of classes
WIDTH = 12


class TinyGenerator(nnx.Module):
    """Its latents are the pixels, in sixteenths."""

    def __init__(self, c_dim: int):
        self.z_dim, self.c_dim = Z_DIM, c_dim
        self.scale = nnx.Param(jnp.float32(0.5))

    def mapping(self, z, c=None):
        w = z if c is None else z + 2 * (c @ SHIFT)[:, None]
        return w[:, None]

    def synthesis(self, ws, *, transform=None, force_fp32=False):
        assert force_fp32
        return ws[:, 0].reshape(-1, SIDE, SIDE, 3) * self.scale[...]

    def __call__(self, z, c=None, *, transform=None, force_fp32=False):
        w = jnp.round(self.mapping(z, c) * 8) / 8
        return self.synthesis(w, force_fp32=force_fp32)


def drawn(z, labels=None):
    """What the generator draws, as bytes, by NumPy."""
    w = z if labels is None else z + 2 * (labels @ SHIFT)[:, None]
    images = (np.round(w * 8) / 16).reshape(-1, SIDE, SIDE, 3).astype(np.float64)
    return np.floor(np.clip(images * 127.5 + 128, 0, 255)).astype(np.uint8)


class TinySource:
    """Random images that count how often they are read."""

    resolution, label_dim = SIDE, CLASSES

    def __init__(self, count: int = 37, channels: int = 3, seed: int = 5, digest: str = "abc"):
        random = np.random.default_rng(seed)
        self.images = random.integers(0, 256, (count, SIDE, SIDE, channels), np.uint8)
        self.labels = random.integers(0, CLASSES, count).astype(np.int32)
        self.name, self.digest, self.channels = "some/folder/tiny", digest, channels
        self.reads = 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.reads += 1
        return {"image": self.images[index], "label": self.labels[index]}


def _features(weights, images):
    # Means of the four quarters, and one product, lest they be Gaussian.
    half = images.shape[1] // 2
    blocks = images.astype(jnp.float32).reshape(len(images), 2, half, 2, half, 3)
    means = blocks.mean((2, 4)).reshape(len(images), WIDTH) * weights
    return means.at[:, 0].multiply(means[:, 1])


def features_of(images):
    """Features of bytes (N, H, H, 1 or 3), by NumPy in float64."""
    images = np.repeat(images, 3, -1) if images.shape[-1] == 1 else images
    half = images.shape[1] // 2
    blocks = images.astype(np.float64).reshape(len(images), 2, half, 2, half, 3)
    means = blocks.mean((2, 4)).reshape(len(images), WIDTH) / 256
    means[:, 0] *= means[:, 1]
    return means


def _inception(weights, images):
    features = _features(weights, images)
    return {"features": features, "probabilities": jax.nn.softmax(8 * features, axis=-1)}


def detectors(digest: str = "d1") -> dict[str, Detector]:
    """One of each name."""
    scale = np.float32(1 / 256)
    return {
        "inception": Detector("inception", digest, "clean", scale, _inception),
        "vgg16": Detector(
            "vgg16",
            digest,
            "clean",
            scale,
            lambda weights, images: {"features": _features(weights, images)},
            np.float16,
        ),
        "lpips": Detector(
            "lpips",
            digest,
            "",
            scale,
            lambda weights, images: {"features": images.reshape(len(images), -1) * weights},
        ),
    }


def program(num_devices: int, c_dim: int = 0):
    """What `program.build` would make, as far as quality is concerned, and a state."""
    mesh = distributed.data_mesh(jax.devices()[:num_devices])
    graph, params, stats = states.split(TinyGenerator(c_dim))
    batch, whole = distributed.batch_sharding(mesh), distributed.replicated(mesh)

    def sample(ema, stats, z, labels):
        return states.merge(graph, ema, stats)(z, labels, force_fp32=True)

    players = types.SimpleNamespace(generator=graph, z_dim=Z_DIM, c_dim=c_dim)
    made = types.SimpleNamespace(
        phases=types.SimpleNamespace(players=players),
        sample=jax.jit(sample, in_shardings=(whole, whole, batch, batch), out_shardings=whole),
        mesh=mesh,
    )
    params, stats = distributed.replicate(jax.tree.map(np.asarray, (params, stats)), mesh)
    return made, types.SimpleNamespace(ema=params, generator_stats=stats)


def config(**metrics) -> ml_collections.ConfigDict:
    """As far as quality is concerned."""
    settings = dict(
        names=("fid50k_full",), best="", samples=60, seed=3, batch_size=10, dialect="clean",
        weights="", equivariance_samples=8, equivariance_batch=4,
    )  # fmt: skip
    data = dict(source="data/tiny", mirror=False, num_images=0, resolution=SIDE, channels=3)
    return ml_collections.ConfigDict(
        {
            "batch_size": 16,
            "data": data,
            "generator": {"name": "t"},
            "metrics": settings | metrics,
        }
    )
