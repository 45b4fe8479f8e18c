"""The networks a config describes: freshly drawn, or with weights to start from."""

import dataclasses
import pathlib

import jax
import ml_collections
from flax import nnx

from aa_jax import weights
from aa_jax.models import alias_free
from aa_jax.models.alias_free.discriminator import frozen_parameters
from aa_jax.models.stylegan2 import StyleGAN2Generator
from aa_jax.training import schedules, state as states
from aa_jax.training.config import suggest
from experiments.alias_free_gan.rules import Players

_PLANS = {"t": alias_free.config_t, "r": alias_free.config_r}
GENERATORS = (*_PLANS, "stylegan2")


@dataclasses.dataclass(frozen=True)
class Weights:
    """What training starts from.

    Attributes:
        generator: nested dict of its parameters.
        generator_stats: its other variables.
        discriminator: nested dict of its parameters.
        ema: averaged generator parameters, or None for the same as `generator`.
    """

    generator: dict
    generator_stats: dict
    discriminator: dict
    ema: dict | None = None


def create_generator(config: ml_collections.ConfigDict, *, c_dim: int, rngs: nnx.Rngs):
    """Builds `config.generator` for pictures of `config.data`."""
    settings = config.generator
    half_dtype = None if config.dtype == "float32" else config.dtype
    options = dict(
        z_dim=settings.z_dim,
        w_dim=settings.w_dim,
        c_dim=c_dim,
        mapping_layers=settings.mapping_layers,
        half_dtype=half_dtype,
        # The published switch to float32 takes the clamps out, too.
        conv_clamp=256.0 if half_dtype else None,
        rngs=rngs,
    )
    size = dict(
        img_channels=config.data.channels,
        channel_base=settings.channel_base,
        channel_max=settings.channel_max,
    )
    resolution = config.data.resolution
    if settings.name == "stylegan2":
        return StyleGAN2Generator(resolution, **size, **options)
    if settings.name not in _PLANS:
        raise ValueError(
            f"generator.name must be one of {', '.join(GENERATORS)}, got {settings.name!r}; "
            f"{suggest(settings.name, GENERATORS)}"
        )
    plan = _PLANS[settings.name](resolution, **size, **settings.plan.to_dict())
    decay = schedules.magnitude_decay(config.batch_size)
    return alias_free.Generator(plan, magnitude_ema_beta=decay, **options)


def create_discriminator(config: ml_collections.ConfigDict, *, c_dim: int, rngs: nnx.Rngs):
    """Builds `config.discriminator` for pictures of `config.data`."""
    settings = config.discriminator
    half_dtype = None if config.dtype == "float32" else config.dtype
    return alias_free.Discriminator(
        config.data.resolution,
        img_channels=config.data.channels,
        c_dim=c_dim,
        channel_base=settings.channel_base,
        channel_max=settings.channel_max,
        mbstd_group_size=settings.mbstd_group_size,
        antialias=settings.antialias,
        half_dtype=half_dtype,
        conv_clamp=256.0 if half_dtype else None,
        rngs=rngs,
    )


def structures(config: ml_collections.ConfigDict, c_dim: int) -> Players:
    """Both networks' structures; nothing is drawn."""
    generator = nnx.eval_shape(lambda: create_generator(config, c_dim=c_dim, rngs=nnx.Rngs(0)))
    discriminator = nnx.eval_shape(
        lambda: create_discriminator(config, c_dim=c_dim, rngs=nnx.Rngs(0))
    )
    return Players(
        states.split(generator)[0],
        states.split(discriminator)[0],
        z_dim=config.generator.z_dim,
        c_dim=c_dim,
        noisy=config.generator.name == "stylegan2",
    )


def frozen(config: ml_collections.ConfigDict, c_dim: int) -> dict | None:
    """Which of the discriminator's parameters Freeze-D keeps, or None."""
    if not config.discriminator.freeze_layers:
        return None
    discriminator = nnx.eval_shape(
        lambda: create_discriminator(config, c_dim=c_dim, rngs=nnx.Rngs(0))
    )
    return frozen_parameters(discriminator, config.discriminator.freeze_layers)


def draw(config: ml_collections.ConfigDict, c_dim: int, key: jax.Array) -> Weights:
    """Initial weights, drawn from a key."""
    generator_key, discriminator_key = jax.random.split(key)
    generator = create_generator(config, c_dim=c_dim, rngs=nnx.Rngs(generator_key))
    discriminator = create_discriminator(config, c_dim=c_dim, rngs=nnx.Rngs(discriminator_key))
    _, params, stats = states.split(generator)
    return Weights(params, stats, states.split(discriminator)[1])


def read(config: ml_collections.ConfigDict, c_dim: int) -> Weights:
    """Weights of a published StyleGAN3 pickle, to go on training from (`config.init_from`).

    Raises:
        ValueError: it cannot be read, or holds networks of another shape; the message says which
            option differs.
    """
    path = pathlib.Path(config.init_from).expanduser()
    half_dtype = None if config.dtype == "float32" else config.dtype
    generator, averaged = (
        weights.load_generator(path, network=name, half_dtype=half_dtype) for name in ("G", "G_ema")
    )
    discriminator = weights.load_discriminator(path, half_dtype=half_dtype)
    _, params, stats = states.split(generator)
    loaded = Weights(params, stats, states.split(discriminator)[1], states.split(averaged)[1])
    abstract = jax.eval_shape(lambda key: vars(draw(config, c_dim, key)), jax.random.key(0))
    for name, ours in (("generator", loaded.generator), ("discriminator", loaded.discriminator)):
        _check_shapes(name, path, ours, abstract[name])
    return loaded


def _check_shapes(name: str, path: pathlib.Path, found: dict, wanted: dict) -> None:
    def shapes(tree):
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        return {jax.tree_util.keystr(key, simple=True, separator="."): x.shape for key, x in leaves}

    found, wanted = shapes(found), shapes(wanted)
    lines = [
        f"  {key}: file {found.get(key, 'absent')}, config {wanted.get(key, 'absent')}"
        for key in sorted(found.keys() | wanted.keys())
        if found.get(key) != wanted.get(key)
    ]
    if lines:
        raise ValueError(
            f"the {name} of init_from ({path}) differs from the config's in {len(lines)} of "
            f"{len(found.keys() | wanted.keys())} arrays: check data.resolution, generator.name "
            f"(t or r), channel_base and channel_max.\n" + "\n".join(lines[:20])
        )
