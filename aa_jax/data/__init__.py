"""Sources of labelled images, transforms and the loader that turns them into batches."""

from aa_jax.data.errors import DataError, UnreadableImageError
from aa_jax.data.folder import ImageFolder, image_folder
from aa_jax.data.photographs import Photographs, photographs
from aa_jax.data.pipeline import make_loader
from aa_jax.data.prepared import prepared_source
from aa_jax.data.sources import open_source
from aa_jax.data.tfds_source import TfdsSource, tfds_source
from aa_jax.data.transforms import (
    CenterCrop,
    CircularShift,
    Compose,
    HorizontalFlip,
    Normalize,
    RandomCrop,
    RandomResizedCrop,
    ResizeShorterSide,
)

__all__ = [
    "CenterCrop",
    "CircularShift",
    "Compose",
    "DataError",
    "HorizontalFlip",
    "ImageFolder",
    "Normalize",
    "Photographs",
    "RandomCrop",
    "RandomResizedCrop",
    "ResizeShorterSide",
    "TfdsSource",
    "UnreadableImageError",
    "image_folder",
    "make_loader",
    "open_source",
    "photographs",
    "prepared_source",
    "tfds_source",
]
