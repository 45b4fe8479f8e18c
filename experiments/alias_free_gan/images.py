"""The training images a config describes."""

import ml_collections
import numpy as np

from aa_jax import data
from aa_jax.training import distributed


def open_source(config: ml_collections.ConfigDict):
    """Opens `config.data.source`: "photographs", or what `scripts/prepare_data.py` wrote.

    Returns:
        A source of uint8 images, all of one size, with `.label_dim` (0 without labels).

    Raises:
        ValueError: there is no such data, its size is not the config's, or labels are wanted and
            there are none.
    """
    settings = config.data
    if settings.source == "photographs":
        source = Patches(settings.resolution, config.seed, settings.num_images or 20_000)
    else:
        source = data.prepared_source(
            settings.source,
            mirror=settings.mirror,
            max_images=settings.num_images or None,
            seed=config.seed,
            on_error=settings.on_error,
        )
    found = (*source.resolution, source.channels)
    if found != (settings.resolution, settings.resolution, settings.channels):
        raise ValueError(
            f"data.source {source.name} holds images of {found[0]} x {found[1]} pixels and "
            f"{found[2]} channels, expected data.resolution {settings.resolution} and "
            f"data.channels {settings.channels}; run scripts/prepare_data.py with --resolution "
            f"{settings.resolution}, or set the config to what the data is"
        )
    if settings.conditional and not source.label_dim:
        raise ValueError(
            f"data.conditional is set, but {source.name} has no labels; prepare it with --labels, "
            "or train without"
        )
    return source


def label_dim(config: ml_collections.ConfigDict, source) -> int:
    """Length of the labels the networks are told, 0 for none."""
    return source.label_dim if config.data.conditional else 0


def label_vectors(source, indices: np.ndarray) -> np.ndarray:
    """Labels (N, label_dim) float32 of images of a source."""
    labels = np.asarray(source.labels)[indices]
    if labels.ndim == 1:
        return np.eye(source.label_dim, dtype=np.float32)[labels]
    return labels.astype(np.float32)


def batches(config: ml_collections.ConfigDict, source, mesh):
    """An endless, resumable iterator over this process's share of shuffled batches of bytes."""
    return data.make_loader(
        source,
        batch_size=distributed.local_batch_size(config.batch_size, mesh),
        seed=config.seed,
        shuffle=True,
        as_bytes=True,
        **distributed.process(),
    )


class Patches:
    """Patches of the embedded photographs, in colour, without labels: no download needed."""

    channels, label_dim, labels = 3, 0, None

    def __init__(self, resolution: int, seed: int, count: int):
        self.resolution = (resolution, resolution)
        self._patches = data.photographs(
            "train",
            size=resolution,
            num_samples=count,
            seed=seed,
            color="rgb",
            contrast="natural",
            jitter=0.0,
        )
        self.name = f"{self._patches.name} (patches of {resolution} pixels)"
        self.digest = f"{self._patches.fingerprint}-{resolution}-{seed}-{count}"

    def __len__(self) -> int:
        return len(self._patches)

    def __getitem__(self, index: int) -> dict:
        return {"image": self._patches[index]["image"], "label": 0}

    def batch(self, indices) -> tuple[np.ndarray, np.ndarray]:
        """Makes patches together: uint8 (B, resolution, resolution, 3) and zeros."""
        images, labels = self._patches.batch(indices)
        return images, np.zeros_like(labels)
