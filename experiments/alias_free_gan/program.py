"""What is compiled of a config: phases, sampling, and the placement of arrays on devices."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import ml_collections
import numpy as np
from jax.sharding import Mesh

from aa_jax.ops import augmentation
from aa_jax.training import distributed, schedules
from aa_jax.training.state import merge
from experiments.alias_free_gan import networks
from experiments.alias_free_gan.phases import Phases
from experiments.alias_free_gan.rules import Rules
from experiments.alias_free_gan.state import GanState, create_state

SHARDINGS = ("replicated", "sharded")
AUGMENTATIONS = ("none", "fixed", "adaptive")
# By the letters of the paper's figure 4.
AUGMENTATION_SETS = {
    "bg": augmentation.BG,
    "bgc": augmentation.BGC,
    "bgcf": augmentation.BGCF,
    "bgcfn": augmentation.BGCFN,
    "bgcfnc": augmentation.BGCFNC,
}


@dataclasses.dataclass(frozen=True)
class Program:
    """A config's compiled functions.

    Attributes:
        phases: what an iteration consists of.
        compiled: the phases as `(state, batch) -> (state, metrics)`, by name.
        sample: (ema, generator_stats, z, labels) -> images, on all devices.
        shardings: of a state's arrays, as a `GanState`.
        abstract: a state of shapes with their shardings, to restore a checkpoint into.
        mesh: the devices.
    """

    phases: Phases
    compiled: Mapping[str, Callable]
    sample: Callable
    shardings: GanState
    abstract: GanState
    mesh: Mesh


def build(config: ml_collections.ConfigDict, c_dim: int, mesh: Mesh) -> Program:
    """Plans the program of a config; compilation happens on first use."""
    _check(config)
    players = networks.structures(config, c_dim)
    optimizer = config.optimizer
    betas = dict(betas=tuple(optimizer.betas), epsilon=optimizer.epsilon)
    path_length = config.loss.path_length_interval if config.loss.path_length_weight else None
    phases = Phases(
        players,
        rules(config),
        schedules.lazy_adam(optimizer.generator_learning_rate, interval=path_length, **betas),
        schedules.lazy_adam(
            optimizer.discriminator_learning_rate, interval=config.loss.r1_interval, **betas
        ),
        networks.frozen(config, c_dim),
    )
    shapes = jax.eval_shape(
        lambda key: _state(config, phases, networks.draw(config, c_dim, key), key),
        jax.random.key(0),
    )
    place = (
        distributed.divided_shardings
        if config.sharding == "sharded"
        else distributed.replicated_shardings
    )
    shardings = place(shapes, mesh)
    whole, batch = distributed.replicated(mesh), distributed.batch_sharding(mesh)

    def compiled(phase):
        def run(state, batch):
            # Weights are fetched where they are divided. Left to itself the compiler would divide
            # the maps likewise, by channels, and send those to and fro.
            weights = dict(generator=state.generator, discriminator=state.discriminator)
            return phase(state.replace(**jax.lax.with_sharding_constraint(weights, whole)), batch)

        run.__name__ = phase.__name__
        return jax.jit(
            run,
            donate_argnums=0,
            in_shardings=(shardings, batch),
            out_shardings=(shardings, whole),
        )

    def sample(ema, stats, z, labels):
        return merge(players.generator, ema, stats)(z, labels, force_fp32=True)

    return Program(
        phases,
        {
            name: compiled(getattr(phases, name))
            for name in ("generator", "path_length", "discriminator", "r1", "finish")
        },
        jax.jit(
            sample,
            in_shardings=(shardings.ema, shardings.generator_stats, batch, batch),
            out_shardings=whole,
        ),
        shardings,
        jax.tree.map(
            lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
            shapes,
            shardings,
        ),
        mesh,
    )


def rules(config: ml_collections.ConfigDict) -> Rules:
    """What a config trains for; going on from other weights, early measures are left out."""
    loss, augment, ema = config.loss, config.augment, config.ema
    resumed = bool(config.init_from)
    enabled = None
    if augment.kind != "none":
        enabled = AUGMENTATION_SETS[augment.transformations]
    return Rules(
        r1_gamma=loss.r1_gamma,
        r1_interval=loss.r1_interval,
        path_length_weight=loss.path_length_weight,
        path_length_interval=loss.path_length_interval,
        style_mixing=loss.style_mixing,
        equivariance_weight=loss.equivariance_weight,
        blur_initial=0.0 if resumed else loss.blur_initial,
        blur_images=loss.blur_kimg * 1000,
        ema_half_life=ema.half_life_kimg * 1000,
        ema_ramp_up=None if resumed else ema.ramp_up,
        augmentation=enabled,
        augmentation_target=augment.target if augment.kind == "adaptive" else None,
        augmentation_images=(100 if resumed else augment.kimg) * 1000,
        accumulation_steps=config.accumulation_steps,
    )


def initial_state(config: ml_collections.ConfigDict, program: Program, c_dim: int) -> GanState:
    """The state before the first step: drawn from the seed, or with given weights."""
    weights_key, step_key = jax.random.split(jax.random.key(config.seed))
    if config.init_from:
        weights = networks.read(config, c_dim)
    else:
        # Drawn outside jit: compiling the draws of whole networks takes longer than drawing.
        weights = networks.draw(config, c_dim, weights_key)
    state = _state(config, program.phases, weights, step_key)
    return distributed.place(state, program.shardings)


def _state(config, phases: Phases, weights: networks.Weights, key: jax.Array) -> GanState:
    return create_state(
        weights.generator,
        weights.generator_stats,
        weights.discriminator,
        generator_optimizer=phases.generator_optimizer,
        discriminator_optimizer=phases.discriminator_optimizer,
        key=key,
        ema=weights.ema,
        augmentation_probability=(
            config.augment.probability if config.augment.kind == "fixed" else 0.0
        ),
        with_loss_scale=config.dtype == "float16",
    )


class Iteration:
    """One training iteration as `loop.train` wants it: `(state, batch) -> (state, metrics)`.

    Which lazy phases are due depends on the step's number, which is counted here, since reading
    it from the device would make Python wait.

    Args:
        program: of the config.
        step: of the state that comes first.
    """

    def __init__(self, program: Program, step: int):
        self._program, self._step = program, step

    def __call__(self, state: GanState, batch: Any) -> tuple[GanState, dict[str, jax.Array]]:
        metrics, lost = {}, []
        for name in self._due(self._step):
            state, of_phase = self._program.compiled[name](state, batch)
            lost.append(of_phase.pop("diverged", None))
            metrics |= of_phase
        self._step += 1
        metrics["diverged"] = sum(x for x in lost if x is not None)
        return state, metrics

    def _due(self, step: int) -> tuple[str, ...]:
        rules = self._program.phases.rules
        lazy = {"path_length": rules.path_length_interval, "r1": rules.r1_interval}
        if not rules.path_length_weight:
            del lazy["path_length"]
        order = ("generator", "path_length", "discriminator", "r1", "finish")
        return tuple(
            name
            for name in order
            if name in ("generator", "discriminator", "finish")
            or (name in lazy and step % lazy[name] == 0)
        )


def latents(seed: int, count: int, z_dim: int) -> np.ndarray:
    """Fixed standard normal latents (count, z_dim), the same on every machine."""
    return np.random.default_rng(seed).standard_normal((count, z_dim), np.float32)


def _check(config: ml_collections.ConfigDict) -> None:
    for name, value, known in (
        ("sharding", config.sharding, SHARDINGS),
        ("augment.kind", config.augment.kind, AUGMENTATIONS),
        ("augment.transformations", config.augment.transformations, AUGMENTATION_SETS),
        ("dtype", config.dtype, ("float32", "bfloat16", "float16")),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    parts = config.accumulation_steps
    group = config.discriminator.mbstd_group_size
    part = config.batch_size / parts
    if part != int(part) or (part > group and part % group):
        raise ValueError(
            f"batch_size / accumulation_steps must be a whole multiple of "
            f"discriminator.mbstd_group_size, {group}, got {config.batch_size} / {parts}"
        )
