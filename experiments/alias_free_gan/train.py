"""Trains one GAN, as `config` describes it, into one folder.

The folder describes itself: `config.json`, `versions.json`, `metrics.jsonl`, `tensorboard/`,
`pictures/`, `networks/`, `checkpoints/`. The same call again goes on where the last one stopped.
"""

import functools
import json
import math
import pathlib

import ml_collections

from aa_jax.models import alias_free
from aa_jax.training import config as configs, distributed, loop, pictures, run_folder
from aa_jax.training.checkpoint import Checkpoints
from aa_jax.training.logging import MetricsLogger
from aa_jax.training.schedules import in_steps
from experiments.alias_free_gan import images, inspection, program as programs, quality
from experiments.alias_free_gan.snapshots import Snapshots


def run(config: ml_collections.ConfigDict, workdir: str | pathlib.Path):
    """Trains a GAN, or goes on training it.

    Args:
        config: from a file in `configs/`.
        workdir: folder of this run.

    Returns:
        The averaged generator, its arrays on the host.

    Raises:
        ValueError: the config cannot be used, training diverged, or something could not be read
            or written; the message says what to do.
    """
    workdir = pathlib.Path(workdir)
    quality.check(config)

    # Data: every process loads its share of each global batch.
    mesh = distributed.data_mesh()
    source = images.open_source(config)
    c_dim = images.label_dim(config, source)
    batches = images.batches(config, source, mesh)

    program = programs.build(config, c_dim, mesh)
    snapshots = Snapshots(config, program, source, workdir)

    def evaluate(state) -> dict[str, float]:
        snapshots.write(state)
        return quality.measure(config, program, source, state)

    # Training, from the latest checkpoint on if there is one.
    best = config.metrics.best or None
    with Checkpoints(workdir / "checkpoints", best_metric=best) as checkpoints:
        restored = loop.resume(program.abstract, batches, checkpoints)
        state, pending = restored or (programs.initial_state(config, program, c_dim), [])
        start = int(state.step)
        run_folder.describe(config, workdir)
        snapshots.begin(state)
        steps = functools.partial(in_steps, batch_size=config.batch_size)
        # Images count: a run that goes on with another batch size shows as many.
        left = max(0, round(config.total_kimg * 1000) - int(state.images_seen))
        total_steps = start + math.ceil(left / config.batch_size)
        with MetricsLogger(
            workdir,
            total_steps=total_steps,
            batch_size=config.batch_size,
            start_step=start,
            label=config.name,
            tensorboard=config.tensorboard,
        ) as logger:
            logger.restore(start, pending)
            state = loop.train(
                state,
                programs.Iteration(program, start),
                batches,
                total_steps=total_steps,
                place=functools.partial(distributed.shard_batch, mesh=mesh),
                evaluate=evaluate,
                checkpoints=checkpoints,
                logger=logger,
                every=loop.Intervals(
                    log=steps(config.every.log_kimg * 1000),
                    evaluate=steps(config.every.snapshot_kimg * 1000),
                    save=steps(config.every.save_kimg * 1000),
                ),
                config=json.loads(configs.to_json(config)),
            )
    network = snapshots.network(state)
    if distributed.is_main_process() and isinstance(network, alias_free.Generator):
        labels = snapshots.labels(inspection.SAMPLES)
        inspection.write_layers(network, workdir / "equivariance.json", labels=labels)
        strip = inspection.translation_strip({config.name: network})
        pictures.save_png(workdir / "pictures" / "translation_strip.png", strip)
    return network
