"""The networks of the study: generators, whole and with a part of the cure taken away."""

import numpy as np
from flax import nnx

from aa_jax.models import alias_free

# What is taken away, in the plan's terms. Without finer activations, layers still upsample with
# the same filter where the rate grows, and apply leaky ReLU at the rate they work at.
VARIANTS = {
    "complete": {},
    "plain activation": {"lrelu_upsampling": 1},
    "no margins": {"margin_size": 0},
}
_CONFIGS = {"T": (alias_free.alias_free_t, 1), "R": (alias_free.alias_free_r, 2)}


def untrained(
    config: str,
    resolution: int,
    *,
    variant: str = "complete",
    channel_max: int = 64,
    seed: int = 0,
) -> alias_free.Generator:
    """A generator with its initial weights and few channels.

    Args:
      config: "T" or "R" (which has twice the channels).
      resolution: side of the picture.
      variant: one of `VARIANTS`.
      channel_max: most channels of a layer, in T.
      seed: of the weights.

    Raises:
      ValueError: there is no such configuration or variant, or the resolution is no power of two.
    """
    for name, value, known in (("config", config, _CONFIGS), ("variant", variant, VARIANTS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    make, factor = _CONFIGS[config]
    return make(
        resolution,
        channel_base=16 * resolution * factor,
        channel_max=channel_max * factor,
        rngs=nnx.Rngs(seed),
        **VARIANTS[variant],
    )


def layer_rates(plan: alias_free.GeneratorPlan) -> dict[str, float]:
    """Samples per unit length of every map that a generator records, by its name."""
    rates = {layer.name: layer.out_sampling_rate for layer in plan.layers}
    return {"input": plan.input_sampling_rate, **rates}


def class_vectors(generator: alias_free.Generator, count: int) -> np.ndarray | None:
    """Classes in turn for a conditional network, None for others."""
    if not generator.c_dim:
        return None
    return alias_free.one_hot(np.arange(count) % generator.c_dim, count, generator.c_dim)
