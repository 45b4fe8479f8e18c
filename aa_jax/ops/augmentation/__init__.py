"""Augmentation of what a discriminator sees, in a form that doesn't leak into the generator."""

from aa_jax.ops.augmentation.options import BG, BGC, BGCF, BGCFN, BGCFNC, Augmentation
from aa_jax.ops.augmentation.pipeline import augment

__all__ = ["BG", "BGC", "BGCF", "BGCFN", "BGCFNC", "Augmentation", "augment"]
