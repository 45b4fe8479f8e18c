"""The alias-free GAN (Karras et al., NeurIPS 2021): layer plan, networks, and how to use them."""

from aa_jax.models.alias_free.discriminator import Discriminator, frozen_parameters
from aa_jax.models.alias_free.fourier_input import FourierInput
from aa_jax.models.alias_free.generator import (
    Generator,
    SynthesisNetwork,
    alias_free_r,
    alias_free_t,
)
from aa_jax.models.alias_free.layer_plan import config_r, config_t, generator_plan
from aa_jax.models.alias_free.layer_spec import FilterDesign, GeneratorPlan, LayerSpec, describe
from aa_jax.models.alias_free.mapping import MappingNetwork
from aa_jax.models.alias_free.sampling import (
    invert_transform,
    latents_from_seeds,
    map_latents,
    mix_styles,
    one_hot,
    picture_transform,
    sample,
    synthesize,
    to_uint8,
)
from aa_jax.models.alias_free.synthesis_layer import SynthesisLayer

__all__ = [
    "Discriminator",
    "FilterDesign",
    "FourierInput",
    "Generator",
    "GeneratorPlan",
    "LayerSpec",
    "MappingNetwork",
    "SynthesisLayer",
    "SynthesisNetwork",
    "alias_free_r",
    "alias_free_t",
    "config_r",
    "config_t",
    "describe",
    "frozen_parameters",
    "generator_plan",
    "invert_transform",
    "latents_from_seeds",
    "map_latents",
    "mix_styles",
    "one_hot",
    "picture_transform",
    "sample",
    "synthesize",
    "to_uint8",
]
