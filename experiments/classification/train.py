"""Trains one classifier, as `config` describes it, into one folder.

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
from jax import numpy as jnp

from aa_jax import weights
from aa_jax.training import (
    config as configs,
    distributed,
    evaluation,
    loop,
    run_folder,
    state as states,
    steps,
)
from aa_jax.training.checkpoint import Checkpoints
from aa_jax.training.logging import MetricsLogger
from experiments.classification import images, network, optimization

# Fields that differ between runs of the same compiled step.
_NOT_COMPILED = (
    "name", "seed", "every", "eval_batch_size", "tensorboard", "init_from", "init_source", "eval",
)  # fmt: skip


def run(config: ml_collections.ConfigDict, workdir: str | pathlib.Path) -> dict[str, float]:
    """Trains a classifier, or goes on training it.

    Args:
        config: from a file in `configs/`.
        workdir: folder of this run.

    Returns:
        The last evaluation: `eval_loss`, `eval_top1`, `eval_top5`.

    Raises:
        ValueError: the config cannot be used, training diverged, or a checkpoint could not be
            read or written; the message says what to do.
    """
    workdir = pathlib.Path(workdir)

    # Data: every process loads its share of each global batch.
    mesh = distributed.data_mesh()
    train_source, test_source = images.open_sources(config)
    batches = images.train_batches(config, train_source, mesh)
    steps_per_epoch = len(train_source) / config.batch_size
    total_steps = config.steps or round(config.epochs * steps_per_epoch)
    config = _complete(config, train_source.num_classes)

    # Network, optimiser and step: compiled once for all runs that differ in the seed only.
    program = _compile(_compiled_part(config), total_steps, steps_per_epoch, mesh)

    def evaluate(state: states.TrainState) -> dict[str, float]:
        return evaluation.evaluate(
            program.evaluation_step,
            state.averaged_params,
            state.stats,
            images.test_batches(config, test_source, mesh),
            batch_size=config.eval_batch_size,
            num_examples=len(test_source),
            mesh=mesh,
        )

    # Training, from the latest checkpoint on if there is one.
    with Checkpoints(workdir / "checkpoints", best_metric=network.BEST_METRIC) as checkpoints:
        restored = loop.resume(abstract_state(config, program, mesh), batches, checkpoints)
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
    """What is compiled once and used by all runs of one kind.

    Attributes:
        create: key -> a freshly drawn model.
        optimizer: the optax transformation.
        train_step: (state, batch) -> (state, metrics); donates the state.
        evaluation_step: (params, stats, batch) -> sums.
    """

    graphdef: nnx.GraphDef
    create: Callable
    optimizer: optax.GradientTransformation
    train_step: Callable
    evaluation_step: Callable


@functools.lru_cache(maxsize=8)
def _compile(config_json: str, total_steps: int, steps_per_epoch: float, mesh) -> Program:
    """Builds the compiled functions of a config (as text, so that the cache can find it)."""
    config = configs.from_json(config_json)

    def create(key):
        return network.create_model(config, config.num_classes, rngs=nnx.Rngs(params=key))

    graphdef = states.split(nnx.eval_shape(create, jax.random.key(0)))[0]
    preprocess = network.normalization(config)
    schedule = optimization.learning_rate(
        config.optimizer, total_steps=total_steps, steps_per_epoch=steps_per_epoch
    )
    optimizer = optimization.optimizer(config.optimizer, schedule)
    loss = steps.classification_loss(
        graphdef, label_smoothing=config.label_smoothing, preprocess=preprocess
    )
    step = steps.make_train_step(
        loss,
        optimizer,
        accumulation_steps=config.accumulation_steps,
        accumulation=config.accumulation,
        ema_decay=config.ema_decay,
        schedule=schedule,
        prepare_stats=optimization.temperature_schedule(config, steps_per_epoch=steps_per_epoch),
    )
    return Program(
        graphdef,
        create,
        optimizer,
        steps.compile_step(step, mesh),
        evaluation.make_evaluation_step(graphdef, mesh, preprocess=preprocess),
    )


def initial_state(
    config: ml_collections.ConfigDict, program: Program, mesh: jax.sharding.Mesh
) -> states.TrainState:
    """The state before the first step: drawn from the seed, or with given weights."""
    params_key, step_key = jax.random.split(jax.random.key(config.seed))
    # Drawn outside jit: compiling the draws of a whole network takes longer than drawing them.
    model = program.create(params_key)
    if config.init_from:
        tensors = weights.read_checkpoint(config.init_from)
        weights.load_into(model, tensors, source=config.init_source)
    return distributed.replicate(_state_of(model, config, program, step_key), mesh)


def abstract_state(
    config: ml_collections.ConfigDict, program: Program, mesh: jax.sharding.Mesh
) -> states.TrainState:
    """The shapes of a state, to restore a checkpoint into: nothing is drawn."""

    def create(key):
        return _state_of(program.create(key), config, program, key)

    sharding = distributed.replicated(mesh)
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        jax.eval_shape(create, jax.random.key(0)),
    )


def _state_of(model, config: ml_collections.ConfigDict, program: Program, key: jax.Array):
    _, params, stats = states.split(model)
    return states.create_state(
        params,
        stats,
        program.optimizer,
        key=key,
        with_ema=config.ema_decay is not None,
        with_loss_scale=jnp.dtype(config.dtype) == jnp.float16,
    )


def _complete(config: ml_collections.ConfigDict, num_classes: int) -> ml_collections.ConfigDict:
    """The config with what the data decides, so that a checkpoint can be read without it."""
    config = ml_collections.ConfigDict(config.to_dict())
    config.num_classes = num_classes
    return config


def _compiled_part(config: ml_collections.ConfigDict) -> str:
    kept = {key: value for key, value in config.to_dict().items() if key not in _NOT_COMPILED}
    return configs.to_json(ml_collections.ConfigDict(kept))
