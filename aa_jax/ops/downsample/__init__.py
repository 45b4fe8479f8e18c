"""Making images smaller: fourteen methods under one name, and single filters with all options."""

from aa_jax.ops.downsample.api import antialias_interpolate, downsample
from aa_jax.ops.downsample.checks import METHODS, PHASES
from aa_jax.ops.downsample.single import average_pool, interpolate_cells

__all__ = [
    "METHODS",
    "PHASES",
    "antialias_interpolate",
    "average_pool",
    "downsample",
    "interpolate_cells",
]
