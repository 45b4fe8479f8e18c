"""The Inception network of image-quality metrics, and the ways to bring images into it."""

from aa_jax.models.inception.network import (
    InceptionOutput,
    InceptionV3Features,
    inception_extractor,
    inception_layers,
)
from aa_jax.models.inception.preprocessing import DIALECTS, inception_input, resize_as

__all__ = [
    "DIALECTS",
    "InceptionOutput",
    "InceptionV3Features",
    "inception_extractor",
    "inception_input",
    "inception_layers",
    "resize_as",
]
