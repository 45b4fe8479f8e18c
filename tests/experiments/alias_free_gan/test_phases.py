"""The phases of an iteration against reference gradients, and what they do besides."""

import json

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.models import alias_free
from aa_jax.training import state as states
from experiments.alias_free_gan.phases import Phases
from experiments.alias_free_gan.rules import Players, Rules
from experiments.alias_free_gan.state import create_state
from tests.models.alias_free import official
from tests.models.alias_free.test_discriminator import by_published_name
from tests.tolerances import relative_error

TOLERANCE = 1e-4
BATCH = 4


class GivenLatents(Phases):
    """Phases whose latents are the reference's."""

    z: np.ndarray

    def _inputs(self, state, batch, phase):
        return super()._inputs(state, batch, phase) | {"z": jnp.asarray(self.z)}


def networks(arrays):
    """Both networks of the reference file."""
    config = json.loads(str(arrays["G_cfg"]))
    config.pop("cfg")
    options = {name: config.pop(name) for name in ("z_dim", "c_dim", "w_dim")}
    layers = config.pop("mapping_kwargs")["num_layers"]
    plan = alias_free.config_t(config.pop("img_resolution"), **config)
    generator = alias_free.Generator(plan, mapping_layers=layers, **options, rngs=nnx.Rngs(0))
    prefix = "G:p:"
    weights = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    official.assign(generator, weights)

    config = json.loads(str(arrays["D_cfg"]))
    resolution = config.pop("img_resolution")
    discriminator = alias_free.Discriminator(resolution, **config, rngs=nnx.Rngs(0))
    for name, variable in by_published_name(discriminator).items():
        value = arrays[f"D:p:{name}"]
        if name == "b4.fc.weight":  # flattened as (channels, height, width)
            value = (
                value.reshape(len(value), -1, 4, 4).transpose(0, 2, 3, 1).reshape(len(value), -1)
            )
        axes = (2, 3, 1, 0) if value.ndim == 4 else tuple(range(value.ndim))[::-1]
        variable[...] = jnp.asarray(value.transpose(axes))
    return generator, discriminator


# Its state is the last gradient.
RECORDER = optax.GradientTransformation(
    lambda params: jax.tree.map(jnp.zeros_like, params),
    lambda gradients, state, params: (jax.tree.map(jnp.negative, gradients), gradients),
)


def prepared(generator, discriminator, rules, *, kind=Phases, **options):
    """Phases of plain gradient descent that keeps the gradient, and a state."""
    (g, params, stats), (d, judge, _) = states.split(generator), states.split(discriminator)
    players = Players(g, d, z_dim=generator.z_dim, c_dim=generator.c_dim)
    phases = kind(players, rules, RECORDER, RECORDER, **options)
    state = create_state(
        params,
        stats,
        judge,
        generator_optimizer=RECORDER,
        discriminator_optimizer=RECORDER,
        key=jax.random.key(0),
    )
    return phases, state


@pytest.fixture(scope="module")
def reference(golden):
    return golden("alias_free/loss_phases.npz")


@pytest.fixture(scope="module")
def case(reference):
    rules = Rules(
        r1_gamma=float(reference["r1_gamma"]),
        blur_initial=float(reference["blur_init_sigma"]),
        blur_images=float(reference["blur_fade_kimg"]) * 1000,
    )
    generator, discriminator = networks(reference)
    phases, state = prepared(generator, discriminator, rules, kind=GivenLatents)
    object.__setattr__(phases, "z", reference["z"])
    state = state.replace(images_seen=jnp.asarray(int(reference["cur_nimg"]), jnp.int32))
    batch = {"image": jnp.asarray(official.channels_last(reference["real"]))}
    return phases, state, batch


def generator_gradients(phases, state, gradients):
    module = states.merge(phases.players.generator, gradients, state.generator_stats)
    return official.official(module)


def discriminator_gradients(phases, gradients):
    variables = by_published_name(states.merge(phases.players.discriminator, gradients, {}))
    found = {}
    for name, variable in variables.items():
        value = np.asarray(variable[...])
        value = value.transpose((3, 2, 0, 1) if value.ndim == 4 else range(value.ndim)[::-1])
        if name == "b4.fc.weight":
            value = (
                value.reshape(len(value), 4, 4, -1).transpose(0, 3, 1, 2).reshape(len(value), -1)
            )
        found[name] = value
    return found


def check(found, reference, phase):
    prefix = f"{phase}:d:"
    names = [name for name in reference if name.startswith(prefix)]
    assert names
    for name in names:
        actual = found[name.removeprefix(prefix)]
        assert relative_error(actual, reference[name]) <= TOLERANCE, name


def test_generator_phase(case, reference):
    phases, state, batch = case
    after, metrics = jax.jit(phases.generator)(state, batch)
    found = generator_gradients(phases, state, after.generator_optimizer)
    check(found, reference, "Gboth")
    # Nothing else has moved, the running means least of all.
    for name in ("generator_stats", "discriminator", "augmentation"):
        jax.tree.map(np.testing.assert_array_equal, getattr(after, name), getattr(state, name))
    decay = 0.5 ** (BATCH / min(10_000, 0.05 * int(reference["cur_nimg"])))
    expected = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, state.ema, after.generator)
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-7), after.ema, expected
    )
    assert np.isfinite(metrics["loss_generator"]) and metrics["diverged"] == 0


def test_discriminator_phase(case, reference):
    phases, state, batch = case
    after, metrics = jax.jit(phases.discriminator)(state, batch)
    check(discriminator_gradients(phases, after.discriminator_optimizer), reference, "Dmain")
    jax.tree.map(np.testing.assert_array_equal, after.generator, state.generator)
    moved = states.merge(phases.players.generator, state.generator, after.generator_stats)
    found = official.official(moved)
    assert relative_error(found["mapping.w_avg"], reference["w_avg_after_Dmain"]) <= TOLERANCE
    magnitudes = [layer.magnitude_ema[...] for layer in moved.synthesis.layers]
    assert relative_error(np.array(magnitudes), reference["magnitude_ema_after_Dmain"]) <= TOLERANCE
    assert float(after.augmentation.count) == BATCH
    np.testing.assert_allclose(after.augmentation.sign_sum, BATCH * metrics["sign_real"])


def test_r1_phase(case, reference):
    phases, state, batch = case
    after, metrics = jax.jit(phases.r1)(state, batch)
    check(discriminator_gradients(phases, after.discriminator_optimizer), reference, "Dreg")
    jax.tree.map(np.testing.assert_array_equal, after.generator_stats, state.generator_stats)
    assert float(metrics["r1_penalty"]) > 0 and float(after.augmentation.count) == BATCH
