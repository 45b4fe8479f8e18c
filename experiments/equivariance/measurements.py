"""What the study measures of one generator: EQ-T, EQ-R, its layers, and its pictures' spectrum."""

import functools
from collections.abc import Iterable, Iterator

import jax
import numpy as np
from flax import nnx
from jax.tree_util import Partial

from aa_jax import metrics
from aa_jax.metrics.equivariance import METRICS
from aa_jax.metrics.motion import Rotation, Translation
from aa_jax.models import alias_free
from experiments.equivariance.networks import class_vectors, layer_rates

# Of a picture of 64 pixels; larger ones move by as much of their size.
MOTIONS = (Translation(4, 4), Translation(2.5, 2.5), Rotation(15))


def measure_equivariance(
    generator: alias_free.Generator,
    *,
    chosen: Iterable[str] = METRICS,
    samples: int = 1000,
    batch_size: int = 4,
    seed: int = 0,
) -> dict[str, metrics.Equivariance]:
    """EQ-T (whole and fractional) and EQ-R of a generator, in float32, as published.

    Args:
      generator: the network.
      chosen: some of `METRICS`.
      samples: pictures; published are 50 000.
      batch_size: pictures that share a motion.
      seed: of latents and motions.
    """
    c = class_vectors(generator, batch_size)
    return metrics.equivariance(
        _synthesis(generator),
        lambda key, count: (c, jax.random.normal(key, (count, generator.z_dim))),
        resolution=min(generator.plan.resolution),
        metrics=chosen,
        samples=samples,
        batch_size=batch_size,
        seed=seed,
    )


def audit_layers(
    generator: alias_free.Generator, *, samples: int = 16, batch_size: int = 4, seed: int = 0
) -> metrics.AliasAudit:
    """Decibels of every layer under shifts of 1/16 and 2.5/64 of the picture and a turn of 15°."""
    c = class_vectors(generator, samples)
    z = jax.random.normal(jax.random.key(seed), (samples, generator.z_dim))
    unit = min(generator.plan.resolution) / 64
    motions = tuple(
        Translation(motion.down * unit, motion.right * unit)
        if isinstance(motion, Translation)
        else motion
        for motion in MOTIONS
    )
    return metrics.audit_generator(
        _synthesis(generator),
        (c, z),
        motions=motions,
        rates=layer_rates(generator.plan),
        batch_size=batch_size,
    )


def compare_spectra(
    generator: alias_free.Generator, real: np.ndarray, *, samples: int = 64, seed: int = 0
) -> dict[str, metrics.Spectrum]:
    """Average power spectra of real pictures (N, S, S, C) in [-1, 1] and of generated ones.

    All are of one size, and whitened with the real ones' mean and deviation.
    """
    mean, std = metrics.pixel_statistics(real)
    average = functools.partial(metrics.average_spectrum, mean=mean, std=std)
    return {"real": average(real), "generated": average(_pictures(generator, samples, seed))}


def _pictures(generator, samples: int, seed: int, batch_size: int = 8) -> Iterator[np.ndarray]:
    classes = np.arange(batch_size) % generator.c_dim if generator.c_dim else None
    for start in range(seed, seed + samples, batch_size):
        yield alias_free.sample(generator, range(start, start + batch_size), classes=classes)


def _synthesis(generator) -> Partial:
    """(latents, transform) -> pictures, with the weights as an argument; latents are (c, z)."""
    graph, state = nnx.split(generator)

    def draw(state, latents, transform, record=None):
        c, z = latents
        network = nnx.merge(graph, state)
        return network(z, c, transform=transform, force_fp32=True, record=record)

    return Partial(draw, state)
