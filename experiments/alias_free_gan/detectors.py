"""The networks that look at images for the metrics, with weights that a user has fetched."""

import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax import numpy as jnp

from aa_jax import weights
from aa_jax.models.inception import inception_input
from aa_jax.models.perceptual import vgg16_input

# The files that each of them is made of, by their names in `weights.FEATURE_FILES`.
_FILES = {"inception": ("inception",), "vgg16": ("vgg16",), "lpips": ("vgg16", "lpips")}


@dataclasses.dataclass(frozen=True, eq=False)
class Detector:
    """A network that sees images.

    Two are the same only if they are one object, which compiled programs are kept by.

    Attributes:
        name: of the network.
        digest: of its weights, hexadecimal.
        dialect: how images are brought to it; empty where there is only one way.
        weights: its arrays, a tree on the host.
        apply: (weights, images (N, H, W, 3)) -> dict of arrays (N, ...). Images are bytes and the
            dict has "features" and perhaps "probabilities"; for "lpips" they are float32 on
            [0, 255].
        kept_dtype: in which features are kept where all of them are needed.
    """

    name: str
    digest: str
    dialect: str
    weights: Any
    apply: Callable[[Any, jax.Array], dict[str, jax.Array]]
    kept_dtype: type = np.float32


def load_detectors(
    names: Iterable[str], *, dialect: str, folder: str | os.PathLike = ""
) -> dict[str, Detector]:
    """Loads networks, or finds them loaded already.

    Args:
        names: of "inception", "vgg16" and "lpips".
        dialect: see `models.inception.inception_input`.
        folder: where the weights are; empty: see `weights.feature_file`.

    Raises:
        ValueError: files are missing, and the message says of each of them what to fetch and where
            to put it; or a file cannot be read.
    """
    names = sorted(set(names))
    paths, missing = {}, {}
    for name in names:
        for file in _FILES[name]:
            try:
                paths[file] = _find(file, folder)
            except FileNotFoundError as error:
                missing[file] = str(error)
    if missing:
        raise ValueError("\n".join(["the metrics need feature networks:", *missing.values()]))
    return {
        name: _load(name, dialect, tuple(paths[file] for file in _FILES[name])) for name in names
    }


def _find(file: str, folder: str | os.PathLike) -> pathlib.Path:
    if not folder:
        return weights.feature_file(file)
    stem = pathlib.Path(folder).expanduser() / weights.FEATURE_FILES[file].stem
    places = [stem.with_name(stem.name + suffix) for suffix in (".pth", ".pt", ".safetensors")]
    found = [place for place in places if place.is_file()]
    return weights.feature_file(file, (found or places)[0])


@functools.cache
def _load(name: str, dialect: str, paths: tuple[pathlib.Path, ...]) -> Detector:
    make = {
        "inception": weights.load_inception,
        "vgg16": weights.load_vgg16,
        "lpips": weights.load_lpips,
    }[name]
    return of_network(name, make(*paths), dialect=dialect, digest=_digest(paths))


def of_network(name: str, network: nnx.Module, *, dialect: str, digest: str) -> Detector:
    """A detector of a network: an `InceptionV3Features`, `VGG16Features` or `LPIPS`.

    Args:
        name: "inception", "vgg16" or "lpips".
        network: with weights.
        dialect: see `models.inception.inception_input`.
        digest: of the weights.
    """
    graph, arrays = nnx.split(network)
    # On the host: between measurements a device has other things to hold.
    arrays = jax.tree.map(np.asarray, arrays)

    def apply(arrays, images):
        network = nnx.merge(graph, arrays)
        if name == "inception":
            return network(inception_input(images, dialect=dialect))._asdict()
        if name == "vgg16":
            return {"features": network(vgg16_input(images, dialect=dialect))}
        return {"features": network(images)}

    return Detector(
        name,
        digest,
        "" if name == "lpips" else dialect,
        arrays,
        apply,
        # Precision and recall round them so, as published.
        np.float16 if name == "vgg16" else np.float32,
    )


def _digest(paths: tuple[pathlib.Path, ...]) -> str:
    parts = []
    for path in paths:
        with open(path, "rb") as file:
            parts.append(hashlib.file_digest(file, "sha256").hexdigest())
    return "+".join(parts)


def as_colour(images: jax.Array) -> jax.Array:
    """Images of one channel have it three times."""
    return jnp.repeat(images, 3, -1) if images.shape[-1] == 1 else images
