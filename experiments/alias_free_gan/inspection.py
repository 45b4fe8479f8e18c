"""A trained generator looked at closely: where it loses its place, and how it moves."""

import json
import pathlib
from collections.abc import Mapping

import jax
import numpy as np
from flax import nnx
from jax.tree_util import Partial

from aa_jax import metrics
from aa_jax.metrics.motion import Rotation, Translation
from aa_jax.models import alias_free
from aa_jax.training.whole_file import replacing

SAMPLES = 16
_TRANSLATION, _ROTATION = "translation", "rotation"


def write_layers(network: alias_free.Generator, path: pathlib.Path, *, labels=None) -> None:
    """Writes decibels of every layer, which the report draws, as `equivariance.json`.

    The picture moves by 2.5/64 of its side along both axes, and turns by 15 degrees.

    Args:
        network: the generator.
        path: of the file.
        labels: (16, c_dim) for a conditional generator.
    """
    offset = 2.5 / 64 * min(network.plan.resolution)
    motions = {_TRANSLATION: Translation(offset, offset), _ROTATION: Rotation(15)}
    z = jax.random.normal(jax.random.key(0), (SAMPLES, network.z_dim))
    audit = metrics.audit_generator(
        _synthesis(network),
        (z, labels),
        motions=tuple(motions.values()),
        rates={
            "input": network.plan.input_sampling_rate,
            **{layer.name: layer.out_sampling_rate for layer in network.plan.layers},
        },
    )
    found = {
        name: {
            layer: float(value) if np.isfinite(value) else None
            for layer, value in zip(audit.layers, audit.decibels[:, column], strict=True)
        }
        for column, name in enumerate(motions)
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def translation_strip(
    networks: Mapping[str, alias_free.Generator],
    *,
    pixels: float = 4.0,
    frames: int = 9,
    slices: int = 64,
    zoom: int = 4,
    count: int = 2,
    choice: int = 16,
) -> np.ndarray:
    """Pictures on the move: for each network and latent a row of frames and a slice through time.

    The content moves to the right by `pixels` in all. The slice at the end of a row is the middle
    row of pixels, stacked from the first moment (top) to the last (bottom): details that move with
    the picture draw straight slanted lines in it, details that stick to the pixel grid vertical
    ones and steps.

    Args:
        networks: by name, in the order of the rows.
        pixels: how far the content moves.
        frames: pictures in a row.
        slices: moments in a slice.
        zoom: side of a pixel on the canvas.
        count: latents of each network: those whose pictures have most detail along their rows.
        choice: among so many, of the first seeds; conditional networks draw their first class.

    Returns:
        uint8 (height, width, 3).
    """
    rows = []
    for network in networks.values():
        size = min(network.plan.resolution)
        for seed in _most_detailed(network, count, choice):
            shown = _moving(network, seed, np.linspace(0, pixels, frames) / size)
            film = _moving(network, seed, np.linspace(0, pixels, slices) / size)
            slice_through_time = np.repeat(film[:, size // 2], -(-zoom * size // slices), axis=0)
            pictures = [_zoomed(picture, zoom) for picture in shown]
            pictures.append(np.repeat(slice_through_time[: zoom * size], zoom, axis=1))
            rows.append(_beside(pictures))
    gap = np.full((8, *rows[0].shape[1:]), 255, np.uint8)
    return np.concatenate([part for row in rows for part in (row, gap)][:-1])


def _most_detailed(network, count: int, choice: int) -> np.ndarray:
    """Seeds whose pictures differ most from column to column."""
    classes = 0 if network.c_dim else None
    images = alias_free.sample(network, range(choice), classes=classes)
    detail = np.abs(np.diff(images, axis=2)).mean((1, 2, 3))
    return np.argsort(-detail, kind="stable")[:count]


def _moving(network, seed: int, offsets: np.ndarray) -> np.ndarray:
    """(moments, H, W, 3) uint8 of one latent's picture."""
    z = alias_free.latents_from_seeds([int(seed)], network.z_dim)
    ws = alias_free.map_latents(
        network, z, alias_free.one_hot(0 if network.c_dim else None, 1, network.c_dim)
    )
    transforms = np.stack(
        [alias_free.picture_transform(translate=(offset, 0.0)) for offset in offsets]
    )
    images = alias_free.synthesize(
        network, np.repeat(ws, len(offsets), 0), transform=transforms, batch_size=16
    )
    images = alias_free.to_uint8(images)
    return np.repeat(images, 3, -1) if images.shape[-1] == 1 else images


def _zoomed(picture: np.ndarray, zoom: int) -> np.ndarray:
    return picture.repeat(zoom, 0).repeat(zoom, 1)


def _beside(pictures: list[np.ndarray]) -> np.ndarray:
    gap = np.full((pictures[0].shape[0], 4, 3), 255, np.uint8)
    return np.concatenate([part for each in pictures for part in (each, gap)][:-1], axis=1)


def _synthesis(network) -> Partial:
    graph, state = nnx.split(network)

    def draw(state, latents, transform, record=None):
        z, labels = latents
        network = nnx.merge(graph, state)
        return network(z, labels, transform=transform, force_fp32=True, record=record)

    return Partial(draw, state)
