"""Gaussian mixtures: images from scattered samples, differentiable in all that describes them."""

from aa_jax.ops.splat.api import PIXEL_FOOTPRINT, interpolate, splat
from aa_jax.ops.splat.rendering import Rendering

__all__ = ["PIXEL_FOOTPRINT", "Rendering", "interpolate", "splat"]
