"""Trains one motion model, as `config` describes it, into one folder.

The folder describes itself: `config.json`, `versions.json`, `metrics.jsonl`, `tensorboard/`,
`checkpoints/`. The same call again goes on where the last one stopped.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable

import jax
import ml_collections
import optax
from flax import nnx

from aa_jax.training import config as configs, distributed, loop, run_folder, state as states, steps
from aa_jax.training.checkpoint import Checkpoints
from aa_jax.training.logging import MetricsLogger
from experiments.motion import animation, losses, networks, reconstruction, videos


def run(config: ml_collections.ConfigDict, workdir: str | pathlib.Path) -> dict[str, float]:
    """Trains a motion model, or goes on training it.

    Args:
        config: from a file in `configs/`.
        workdir: folder of this run.

    Returns:
        The last evaluation: `eval_l1`, and `eval_l1_still` of a source that does not move.

    Raises:
        ValueError: the config cannot be used, training diverged, or a checkpoint could not be
            read or written; the message says what to do.
    """
    workdir = pathlib.Path(workdir)

    mesh = distributed.data_mesh()
    train_videos, test_videos = videos.open_videos(config)
    batches = videos.train_batches(config, train_videos, mesh)
    steps_per_epoch = videos.samples_per_epoch(config, train_videos) / config.batch_size
    total_steps = config.steps or round(config.epochs * steps_per_epoch)
    program = build(config, steps_per_epoch, mesh)

    def evaluate(state: states.TrainState) -> dict[str, float]:
        model = states.merge(program.graphdef, state.params, state.stats)
        animator = animation.Animator(model, batch_size=config.eval_batch_size)
        found = reconstruction.evaluate(animator, test_videos)
        return {f"eval_{name}": value for name, value in found.means().items()}

    directory = workdir / "checkpoints"
    with Checkpoints(directory, best_metric=networks.BEST_METRIC) as checkpoints:
        restored = loop.resume(program.abstract, batches, checkpoints)
        state, pending = restored or (initial_state(config, program, mesh), [])
        start = int(state.step)
        run_folder.describe(config, workdir)
        with MetricsLogger(
            workdir,
            total_steps=total_steps,
            batch_size=config.batch_size,
            start_step=start,
            label=config.name,
            tensorboard=config.tensorboard,
        ) as logger:
            logger.restore(start, pending)
            if not start:
                with logger.pause():
                    # What training is to improve on.
                    logger.write(0, evaluate(state))
            state = loop.train(
                state,
                program.train_step,
                batches,
                total_steps=total_steps,
                place=functools.partial(distributed.shard_batch, mesh=mesh),
                evaluate=evaluate,
                checkpoints=checkpoints,
                logger=logger,
                every=loop.Intervals(**config.every.to_dict()),
                config=json.loads(configs.to_json(config)),
            )
        return checkpoints.metrics()


@dataclasses.dataclass(frozen=True)
class Program:
    """What is compiled, and what it works on.

    Attributes:
        graphdef: structure of the networks.
        optimizer: the optax transformation.
        train_step: (state, batch) -> (state, metrics); donates the state.
        abstract: shapes of a state, to restore a checkpoint into.
    """

    graphdef: nnx.GraphDef
    optimizer: optax.GradientTransformation
    train_step: Callable
    abstract: states.TrainState


def build(config: ml_collections.ConfigDict, steps_per_epoch: float, mesh) -> Program:
    """Builds the training step of a config."""
    graphdef, params, stats = networks.structure(config)
    schedule = learning_rate(config.optimizer, steps_per_epoch)
    first, second = config.optimizer.betas
    optimizer = optax.adam(schedule, b1=first, b2=second)
    compare, weights = losses.reconstruction_loss(config)

    def step(state, batch, weights):
        loss = losses.motion_loss(graphdef, config, functools.partial(compare, weights))
        return steps.make_train_step(loss, optimizer, schedule=schedule)(state, batch)

    sharding = distributed.replicated(mesh)
    abstract = jax.eval_shape(
        lambda params, stats, key: states.create_state(params, stats, optimizer, key=key),
        params,
        stats,
        jax.random.key(0),
    )
    abstract = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), abstract
    )
    compiled = steps.compile_step(step, mesh, constants=distributed.replicate(weights, mesh))
    return Program(graphdef, optimizer, compiled, abstract)


def learning_rate(config: ml_collections.ConfigDict, steps_per_epoch: float) -> optax.Schedule:
    """The rate by step: multiplied by `factor` at every milestone, which are epochs."""
    boundaries = {round(epoch * steps_per_epoch): config.factor for epoch in config.milestones}
    return optax.piecewise_constant_schedule(config.learning_rate, boundaries)


def initial_state(config: ml_collections.ConfigDict, program: Program, mesh) -> states.TrainState:
    """The state before the first step, drawn from the seed."""
    params_key, step_key = jax.random.split(jax.random.key(config.seed))
    # Drawn outside jit: compiling the draws of a whole network takes longer than drawing them.
    model = networks.MotionModel(config, rngs=nnx.Rngs(params=params_key))
    _, params, stats = states.split(model)
    state = states.create_state(params, stats, program.optimizer, key=step_key)
    return distributed.replicate(state, mesh)
