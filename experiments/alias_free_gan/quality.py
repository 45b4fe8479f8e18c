"""Measures the averaged generator of a run, on all devices."""

import ml_collections
import numpy as np

from aa_jax.models.inception import DIALECTS
from aa_jax.training.config import suggest
from experiments.alias_free_gan import images, measuring
from experiments.alias_free_gan.metric_names import MOTION, check_names
from experiments.alias_free_gan.program import Program
from experiments.alias_free_gan.sampler import Sampler
from experiments.alias_free_gan.state import GanState


def check(config: ml_collections.ConfigDict) -> None:
    """Finds out before training what measuring would fail at hours later.

    Loads the feature networks, which stay in the host's memory.

    Raises:
        ValueError: an unknown metric or dialect, a `metrics.best` that is not measured, a motion
            that the generator cannot be told, or missing weights of feature networks; the message
            says what to do.
    """
    settings = config.metrics
    names = tuple(settings.names)
    check_names(names, settings.samples, best=settings.best or "")
    if settings.dialect not in DIALECTS:
        raise ValueError(
            f"metrics.dialect is {settings.dialect!r}; {suggest(settings.dialect, DIALECTS)}"
        )
    moving = [name for name in names if name in MOTION]
    if moving and config.generator.name == "stylegan2":
        raise ValueError(
            f"metrics.names asks for {', '.join(moving)}, but images of generator.name "
            "'stylegan2' cannot be moved; measure 't' or 'r', or take them out"
        )
    if settings.batch_size < 1:
        raise ValueError(f"metrics.batch_size must be at least 1, got {settings.batch_size}")
    measuring.detectors_of(names, dialect=settings.dialect, weights=settings.weights)


def measure(
    config: ml_collections.ConfigDict, program: Program, source, state: GanState
) -> dict[str, float]:
    """The metrics that `config.metrics.names` asks for, of the averaged generator.

    Every process must call it; all get the same numbers. Random labels are those of random rows of
    the training images.
    """
    settings = config.metrics
    amounts = measuring.Amounts(
        samples=settings.samples,
        batch_size=settings.batch_size,
        dialect=settings.dialect,
        seed=settings.seed,
        equivariance_samples=settings.equivariance_samples,
        equivariance_batch=settings.equivariance_batch,
    )
    names = tuple(settings.names)
    return measuring.measure(
        names,
        sampler(config, program, source, state),
        amounts,
        measuring.detectors_of(names, dialect=settings.dialect, weights=settings.weights),
        lambda which: source if which == "training" else whole_source(config, source),
    )


def sampler(
    config: ml_collections.ConfigDict, program: Program, source, state: GanState
) -> Sampler:
    """The averaged generator of a state."""
    players = program.phases.players
    return Sampler(
        graph=players.generator,
        weights=(state.ema, state.generator_stats),
        draw=lambda z, labels: program.sample(state.ema, state.generator_stats, z, labels),
        batch_size=config.batch_size,
        z_dim=players.z_dim,
        c_dim=players.c_dim,
        resolution=config.data.resolution,
        mesh=program.mesh,
        label_count=len(source),
        label_vectors=lambda rows: images.label_vectors(source, np.asarray(rows)),
    )


def whole_source(config: ml_collections.ConfigDict, source):
    """All images of a data set without mirror copies, which the `_full` metrics compare with.

    Patches of photographs are drawn: there are as many as are trained on.
    """
    if config.data.source == "photographs" or not (config.data.mirror or config.data.num_images):
        return source
    plain = config.copy_and_resolve_references()
    plain.data.mirror, plain.data.num_images = False, 0
    return images.open_source(plain)
