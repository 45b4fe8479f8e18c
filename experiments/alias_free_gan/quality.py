"""Measures a generator during or after training, on all devices."""

from collections.abc import Mapping

import jax
import ml_collections
import numpy as np
from jax import numpy as jnp

from aa_jax import metrics
from aa_jax.training import distributed
from aa_jax.training.state import merge
from experiments.alias_free_gan import images
from experiments.alias_free_gan.program import Program
from experiments.alias_free_gan.state import GanState

MOTION = ("eqt_int", "eqt_frac", "eqr")


def measure(
    config: ml_collections.ConfigDict, program: Program, source, state: GanState
) -> dict[str, float]:
    """The metrics that `config.metrics.names` asks for, of the averaged generator.

    Every process must call it; all get the same numbers.
    """
    names = tuple(config.metrics.names)
    results: dict[str, float] = {}
    moving = [name for name in names if name in MOTION]
    if moving:
        found = equivariance(config, program, source, state, moving)
        results |= {name: float(found[name].decibels) for name in moving}
    return results


def equivariance(config, program: Program, source, state: GanState, names) -> Mapping:
    """EQ-T and EQ-R of the averaged generator, in float32."""
    players, whole = program.phases.players, distributed.replicated(program.mesh)

    def synthesize(weights, latents, transform):
        generator = merge(players.generator, *weights)
        pictures = generator(
            latents["z"], latents.get("label"), transform=transform, force_fp32=True
        )
        return jax.lax.with_sharding_constraint(pictures, whole)

    def draw(key, count):
        latents = {"z": np.asarray(jax.random.normal(key, (count, players.z_dim), jnp.float32))}
        if players.c_dim:
            chosen = jax.random.randint(jax.random.fold_in(key, 1), (count,), 0, len(source))
            latents["label"] = images.label_vectors(source, np.asarray(chosen))
        return latents

    return metrics.equivariance(
        jax.tree_util.Partial(synthesize, (state.ema, state.generator_stats)),
        draw,
        resolution=config.data.resolution,
        metrics=names,
        samples=config.metrics.equivariance_samples,
        batch_size=config.metrics.equivariance_batch,
        seed=config.metrics.seed,
    )
