"""Polyphase components: numbering, choice, the way back, and their behaviour under shifts."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.ops import polyphase
from tests.tolerances import OP, relative_error

# (row parity, column parity) of the components, as the two papers number them.
POSITIONS = {"aps": ((0, 0), (1, 0), (0, 1), (1, 1)), "lps": ((0, 0), (0, 1), (1, 0), (1, 1))}
ORDERS = list(POSITIONS)


def signal(rng, shape=(3, 6, 8, 2), dtype=jnp.float32):
    return jnp.asarray(rng.standard_normal(shape), dtype)


@pytest.mark.parametrize("order", ORDERS)
def test_split_numbers_components_as_published(rng, order):
    x = signal(rng)
    components = polyphase.split(x, order=order)
    for index, (row, column) in enumerate(POSITIONS[order]):
        np.testing.assert_array_equal(components[:, index], x[:, row::2, column::2])
    np.testing.assert_array_equal(polyphase.merge(components, order=order), x)


@pytest.mark.parametrize("order", ORDERS)
def test_take_keeps_one_component_of_every_sample(rng, order):
    x, choice = signal(rng, (4, 6, 8, 2)), jnp.asarray([2, 0, 3, 1])
    y = polyphase.take(x, choice, order=order)
    for sample, index in enumerate(choice):
        row, column = POSITIONS[order][index]
        np.testing.assert_array_equal(y[sample], x[sample, row::2, column::2])


@pytest.mark.parametrize("order", ORDERS)
def test_one_hot_weights_are_a_choice(rng, order):
    x, choice = signal(rng), jnp.asarray([1, 3, 2])
    hard = polyphase.take(x, choice, order=order)
    soft = polyphase.take(x, jax.nn.one_hot(choice, 4), order=order)
    np.testing.assert_array_equal(hard, soft)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["index", "weights"])
def test_place_is_the_transpose_of_take(rng, order, kind):
    x, y = signal(rng), signal(rng, (3, 3, 4, 2))
    choice = jnp.asarray([3, 0, 2])
    if kind == "weights":
        choice = jax.nn.softmax(signal(rng, (3, 4)))
    down = jnp.vdot(polyphase.take(x, choice, order=order), y)
    up = jnp.vdot(x, polyphase.place(y, choice, order=order))
    np.testing.assert_allclose(down, up, rtol=1e-5)
    gradient = jax.vjp(lambda x: polyphase.take(x, choice, order=order), x)[1](y)[0]
    np.testing.assert_allclose(gradient, polyphase.place(y, choice, order=order), rtol=1e-6)


def test_take_has_derivatives_in_signal_and_weights(rng):
    with jax.enable_x64(True):
        x, weights = signal(rng, (1, 4, 4, 2), jnp.float64), signal(rng, (1, 4), jnp.float64)
        check_grads(polyphase.take, (x, weights), order=2, modes=("fwd", "rev"))


@pytest.mark.parametrize("criterion", polyphase.CRITERIA)
def test_winner_is_that_of_the_plain_norm(rng, criterion):
    x = signal(rng, (16, 6, 8, 3))
    norms = {
        "l2": lambda c: np.sum(c**2),
        "l1": lambda c: np.sum(np.abs(c)),
        "l_infty": lambda c: np.max(np.abs(c)),
        "non_abs_max": np.max,
        "l2_min": lambda c: -np.sum(c**2),
        "l1_min": lambda c: -np.sum(np.abs(c)),
    }
    for order in ORDERS:
        expected = [
            np.argmax([norms[criterion](s[r::2, c::2]) for r, c in POSITIONS[order]])
            for s in np.asarray(x, np.float64)
        ]
        chosen = polyphase.select_phase(x, criterion=criterion, order=order)
        np.testing.assert_array_equal(chosen, expected)


@pytest.mark.parametrize("criterion", ["l2", "l1_min"])
@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_scores_are_differences_of_sums_to_high_accuracy(rng, criterion, scale):
    # Components nearly alike: an ordinary float32 sum would have lost the difference.
    x = (5 + 1e-3 * rng.standard_normal((2, 32, 32, 4))).astype(np.float32) * np.float32(scale)
    wide = x.astype(np.longdouble)
    power, sign = (2, 1) if criterion == "l2" else (1, -1)
    sums = [sign * (wide[:, r::2, c::2] ** power).sum((1, 2, 3)) for r, c in POSITIONS["aps"]]
    expected = np.stack(sums, axis=1)
    expected = expected - expected.max(axis=1, keepdims=True)
    scores = np.asarray(polyphase.phase_scores(jnp.asarray(x), criterion=criterion), np.float64)
    spread = np.abs(expected).max()
    # What remains is the rounding of a pixel's sum over four channels.
    assert np.abs(scores - expected).max() <= 1e-2 * spread


@pytest.mark.parametrize("criterion", polyphase.CRITERIA)
def test_scores_move_with_the_image_bit_for_bit(rng, criterion):
    x = np.maximum(rng.standard_normal((4, 14, 10, 8)), 0).astype(np.float32)
    scores = jax.jit(lambda x: polyphase.phase_scores(x, criterion=criterion, order="lps"))
    original = np.asarray(scores(x)).reshape(4, 2, 2)
    for shift in ((1, 0), (0, 1), (3, 5), (4, 2), (7, 9)):
        moved = np.asarray(scores(np.roll(x, shift, axis=(1, 2)))).reshape(4, 2, 2)
        expected = np.roll(original, shift, axis=(1, 2))
        np.testing.assert_array_equal(moved, expected)


def test_first_component_wins_a_tie():
    assert polyphase.select_phase(jnp.zeros((1, 4, 4, 2))).tolist() == [0]
    assert polyphase.select_phase(jnp.ones((1, 4, 4, 2)), criterion="l1_min").tolist() == [0]


def test_odd_sides_are_extended_as_asked(rng):
    x = signal(rng, (1, 3, 5, 2))
    circular = polyphase.make_even(x)
    np.testing.assert_array_equal(circular, jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)), "wrap"))
    zero = polyphase.make_even(x, mode="zero")
    np.testing.assert_array_equal(zero, jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0))))
    even = signal(rng, (1, 4, 2, 2))
    np.testing.assert_array_equal(polyphase.make_even(even), even)


def test_gumbel_softmax_agrees_with_reference(golden):
    arrays = golden("anti_aliased/lps_layer.npz")
    with jax.enable_x64(True):
        weights = polyphase.gumbel_softmax(
            jnp.asarray(arrays["gumbel_logits"]),
            jnp.asarray(arrays["gumbel_noise"]),
            temperature=float(arrays["gumbel_tau"]),
        )
    assert relative_error(weights, arrays["gumbel_prob"]) <= OP["float64"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: polyphase.split(x[0]), r"\(N, H, W, C\)"),
        (lambda x: polyphase.split(x[:, :3]), "even sides .* got 3 x 4"),
        (lambda x: polyphase.split(x, order="rows"), 'order must be "aps" or "lps"'),
        (lambda x: polyphase.phase_scores(x, criterion="l3"), "criterion must be one of l2"),
        (lambda x: polyphase.take(x, jnp.zeros(3, int)), r"integers of shape \(2,\)"),
        (lambda x: polyphase.take(x, jnp.zeros(2)), r"float weights of shape \(2, 4\)"),
        (lambda x: polyphase.merge(x), r"\(N, 4, h, w, C\)"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(jnp.zeros((2, 4, 4, 1)))
