"""The alias-free generator (Karras et al., NeurIPS 2021): so far, its layer plan."""

from aa_jax.models.alias_free.layer_plan import (
    FilterDesign,
    GeneratorPlan,
    LayerSpec,
    config_r,
    config_t,
    describe,
    generator_plan,
)

__all__ = [
    "FilterDesign",
    "GeneratorPlan",
    "LayerSpec",
    "config_r",
    "config_t",
    "describe",
    "generator_plan",
]
