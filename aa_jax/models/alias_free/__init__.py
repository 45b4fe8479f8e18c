"""The alias-free generator (Karras et al., NeurIPS 2021): so far, its layer plan."""

from aa_jax.models.alias_free.layer_plan import config_r, config_t, generator_plan
from aa_jax.models.alias_free.layer_spec import FilterDesign, GeneratorPlan, LayerSpec, describe

__all__ = [
    "FilterDesign",
    "GeneratorPlan",
    "LayerSpec",
    "config_r",
    "config_t",
    "describe",
    "generator_plan",
]
