"""What the phases do besides the published losses, on networks whose numbers are known."""

import dataclasses

import jax
import numpy as np
import optax
import pytest
from jax import numpy as jnp

from aa_jax.ops.augmentation import Augmentation
from aa_jax.training import state as states
from experiments.alias_free_gan import updates
from experiments.alias_free_gan.phases import Phases
from experiments.alias_free_gan.rules import Players, Rules
from experiments.alias_free_gan.state import create_state
from tests.experiments.alias_free_gan.toys import DIM, LAYERS, SIZE, ToyDiscriminator, ToyGenerator

BATCH = 8


def make(*, c_dim=0, follows=True, frozen=None, with_loss_scale=False, rate=0.1, **rules):
    generator = states.split(ToyGenerator(follows))
    discriminator = states.split(ToyDiscriminator())
    players = Players(generator[0], discriminator[0], z_dim=DIM, c_dim=c_dim)
    options = dict.fromkeys(("generator_optimizer", "discriminator_optimizer"), optax.sgd(rate))
    phases = Phases(players, Rules(**{"r1_gamma": 1.0, **rules}), frozen=frozen, **options)
    state = create_state(
        *generator[1:],
        discriminator[1],
        key=jax.random.key(0),
        with_loss_scale=with_loss_scale,
        **options,
    )
    return phases, state


def batch(c_dim=0):
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (BATCH, SIZE, SIZE, 1)).astype(np.uint8)
    labels = rng.integers(0, max(c_dim, 1), BATCH).astype(np.int32)
    return {"image": jnp.asarray(images), "label": jnp.asarray(labels)}


def kernel(state):
    return np.asarray(state.discriminator["kernel"])


def test_bytes_become_numbers_between_minus_one_and_one():
    phases, state = make()
    given = batch()
    _, metrics = jax.jit(phases.discriminator)(state, given)
    pixels = np.asarray(given["image"]) / 127.5 - 1
    expected = (kernel(state) * pixels).sum((1, 2, 3))
    assert float(metrics["score_real"]) == pytest.approx(expected.mean(), rel=1e-4)
    assert float(metrics["sign_real"]) == pytest.approx(np.sign(expected).mean(), abs=1e-6)


def test_r1_weight_counts_the_iterations_left_out():
    """The gradient of a linear judge is its kernel: gamma / 2 * interval * |kernel|^2."""
    phases, state = make(r1_gamma=0.5, r1_interval=16, rate=0.01)
    after, metrics = jax.jit(phases.r1)(state, batch())
    assert float(metrics["r1_penalty"]) == pytest.approx((kernel(state) ** 2).sum(), rel=1e-5)
    np.testing.assert_allclose(kernel(after), (1 - 0.01 * 0.5 * 16) * kernel(state), rtol=1e-5)


def test_labels_are_one_hot_and_those_of_fakes_in_another_order():
    phases, state = make(c_dim=3)
    given = batch(3)
    inputs = phases._inputs(state, given, 0)
    np.testing.assert_array_equal(inputs["real_label"], np.eye(3)[np.asarray(given["label"])])
    assert not np.array_equal(inputs["label"], inputs["real_label"])
    np.testing.assert_array_equal(inputs["label"].sum(0), inputs["real_label"].sum(0))
    vectors = given | {"label": jnp.asarray(np.random.default_rng(0).normal(size=(BATCH, 3)))}
    np.testing.assert_array_equal(phases._inputs(state, vectors, 0)["real_label"], vectors["label"])


def test_every_phase_and_step_has_latents_of_its_own():
    phases, state = make()
    drawn = [
        np.asarray(phases._inputs(state.replace(step=jnp.asarray(step)), batch(), phase)["z"])
        for step in (0, 1)
        for phase in range(3)
    ]
    assert len({z.tobytes() for z in drawn}) == 6
    again = np.asarray(phases._inputs(state, batch(), 0)["z"])
    np.testing.assert_array_equal(again, drawn[0])


def test_style_mixing_changes_layers_from_one_on():
    phases, state = make(style_mixing=1.0)
    z = jax.random.normal(jax.random.key(1), (BATCH, DIM))
    cuts = set()
    for seed in range(12):
        _, ws, _ = phases.generate(
            state.generator, state.generator_stats, z, None, jax.random.key(seed)
        )
        own = np.asarray((ws == z[:, None]).all((0, 2)))
        cut = int(own.argmin())
        cuts.add(cut)
        assert own[:cut].all() and not own[cut:].any() and cut >= 1
    assert cuts == set(range(1, LAYERS))


def test_path_length_phase():
    """Every image is gain * mean(ws) * wave: the gradient is the same for all of them."""
    phases, state = make(path_length_weight=2.0, path_length_decay=0.25)
    after, metrics = jax.jit(phases.path_length)(state, batch())
    mean = float(metrics["path_length"])
    assert mean > 0 and float(after.path_length) == mean
    # Lengths are |cos| of a random direction with the wave: their mean is 4 times what is kept.
    lengths_mean = 4 * mean
    assert float(metrics["path_length_penalty"]) >= (lengths_mean - mean) ** 2 * 0.99
    assert float(after.generator["synthesis"]["gain"]) != 1.0
    np.testing.assert_array_equal(kernel(after), kernel(state))


def test_running_means_move_in_the_discriminator_phase_only():
    phases, state = make()
    for name, calls in (("generator", 0), ("discriminator", 1), ("r1", 0), ("finish", 0)):
        after, _ = jax.jit(getattr(phases, name))(state, batch())
        assert float(after.generator_stats["synthesis"]["calls"]) == calls, name


@pytest.mark.parametrize("name", ["generator", "discriminator", "r1"])
def test_a_batch_in_parts_is_the_batch(name):
    whole, state = make()
    parts, _ = make(accumulation_steps=4)
    expected, _ = jax.jit(getattr(whole, name))(state, batch())
    actual, _ = jax.jit(getattr(parts, name))(state, batch())
    trained = lambda s: (s.generator, s.discriminator)  # noqa: E731
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=2e-5, atol=1e-6),
        trained(actual),
        trained(expected),
    )


def test_frozen_parameters_stay():
    phases, state = make(frozen={"kernel": True, "bias": False})
    after, _ = jax.jit(phases.discriminator)(state, batch())
    np.testing.assert_array_equal(kernel(after), kernel(state))
    assert float(after.discriminator["bias"]) != float(state.discriminator["bias"])


def test_equivariance_penalty_tells_who_follows():
    errors = {}
    for follows in (True, False):
        phases, state = make(follows=follows, equivariance_weight=1.0)
        _, metrics = jax.jit(phases.generator)(state, batch())
        errors[follows] = float(metrics["equivariance_error"])
    # A wave of one period in eight pixels, by Lanczos interpolation: some of a percent.
    assert errors[True] < 0.02 * errors[False]


def test_augmentation_is_adjusted_every_fourth_step():
    rules = dict(augmentation=Augmentation(brightness=1.0), augmentation_images=1000.0)
    phases, state = make(**rules)
    finish, probabilities = jax.jit(phases.finish), []
    for _ in range(9):
        observed = state.augmentation.observe(1.0, BATCH)
        state, metrics = finish(state.replace(augmentation=observed), batch())
        probabilities.append(float(metrics["augment_probability"]))
    change = 4 * BATCH / 1000
    expected = [change] * 4 + [2 * change] * 4 + [3 * change]
    np.testing.assert_allclose(probabilities, expected, rtol=1e-6)
    assert int(state.images_seen) == 9 * BATCH and int(state.step) == 9
    assert float(metrics["kimg"]) == pytest.approx(9 * BATCH / 1000)


def test_fixed_probability_stays():
    rules = dict(augmentation=Augmentation(brightness=1.0), augmentation_target=None)
    phases, state = make(**rules)
    state = state.replace(augmentation=state.augmentation.observe(1.0, BATCH))
    state, metrics = phases.finish(state, batch())
    assert float(metrics["augment_probability"]) == 0


def spoiled(state):
    """A state whose discriminator turns any image into infinity."""
    broken = dict(state.discriminator, kernel=jnp.full_like(state.discriminator["kernel"], 1e38))
    return state.replace(discriminator=broken)


def test_a_loss_that_is_not_finite_has_diverged():
    phases, state = make()
    _, metrics = jax.jit(phases.discriminator)(spoiled(state), batch())
    assert float(metrics["diverged"]) == 1


def test_gradients_that_are_not_finite_are_counted_and_replaced():
    gradients = {"w": jnp.asarray([jnp.nan, jnp.inf, -jnp.inf, 2.0])}
    params = {"w": jnp.zeros(4)}
    optimizer = optax.sgd(1.0)
    (new, _, scale), health = updates.descend(
        params, optimizer.init(params), None, gradients, optimizer
    )
    np.testing.assert_array_equal(new["w"], [0, -1e5, 1e5, -2])
    assert scale is None and not health[1] and not health[2]
    _, state = make()
    for count in range(1, updates.MAX_BAD_STEPS + 1):
        state, metrics = updates.checked(state, {}, health, "generator")
        assert int(state.bad_steps.generator) == count
        assert float(metrics["diverged"]) == (count == updates.MAX_BAD_STEPS)
        # The other network's good steps do not make up for it.
        state, _ = updates.checked(state, {}, (1.0, jnp.asarray(True), False), "discriminator")
    state, _ = updates.checked(state, {}, (1.0, jnp.asarray(True), False), "generator")
    assert int(state.bad_steps.generator) == 0


def test_an_overflow_under_a_loss_scale_leaves_the_step_out():
    phases, state = make(with_loss_scale=True)
    scale = float(state.discriminator_scale.value)
    gradients = jax.tree.map(lambda x: jnp.full_like(x, jnp.inf), state.discriminator)
    (params, _, after), (_, finite, lost) = updates.descend(
        state.discriminator,
        state.discriminator_optimizer,
        state.discriminator_scale,
        gradients,
        phases.discriminator_optimizer,
    )
    jax.tree.map(np.testing.assert_array_equal, params, state.discriminator)
    assert float(after.value) == scale / 2 and not finite and not lost
    # A sound step under a scale is the step without one.
    plain, same = make()
    expected, _ = jax.jit(plain.discriminator)(same, batch())
    actual, metrics = jax.jit(phases.discriminator)(state, batch())
    np.testing.assert_allclose(kernel(actual), kernel(expected), rtol=1e-5, atol=1e-6)
    assert float(metrics["loss_scale_discriminator"]) == scale


def test_rules_are_hashable():
    assert hash(dataclasses.replace(Rules(1.0), blur_initial=2.0))
