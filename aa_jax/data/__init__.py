"""Sources of labelled images, transforms and the loader that turns them into batches."""

from aa_jax.data.errors import DataError, UnreadableImageError
from aa_jax.data.folder import ImageFolder, image_folder
from aa_jax.data.frame_pairs import ColourJitter, FramePairs, HeldVideos
from aa_jax.data.moving_photographs import MovingPhotographs
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
from aa_jax.data.video import UnreadableVideoError, Video, open_video, read_video
from aa_jax.data.video_folder import VideoFolder

__all__ = [
    "CenterCrop",
    "CircularShift",
    "ColourJitter",
    "Compose",
    "DataError",
    "FramePairs",
    "HeldVideos",
    "HorizontalFlip",
    "ImageFolder",
    "MovingPhotographs",
    "Normalize",
    "Photographs",
    "RandomCrop",
    "RandomResizedCrop",
    "ResizeShorterSide",
    "TfdsSource",
    "UnreadableImageError",
    "UnreadableVideoError",
    "Video",
    "VideoFolder",
    "image_folder",
    "make_loader",
    "open_source",
    "open_video",
    "photographs",
    "prepared_source",
    "read_video",
    "tfds_source",
]
