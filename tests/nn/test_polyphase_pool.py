"""APS and LPS layers against the reference arrays, and their shift guarantee."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.nn import APSPool, LPSPool, PolyphaseUnpool
from tests.tolerances import OP, relative_error

APS_CASES = [
    (side, size, criterion)
    for side in (8, 9)
    for size in (1, 2, 3, 4, 5)
    for criterion in ("l2", "l1", "l_infty", "non_abs_max", "l2_min", "l1_min")
    if size in (1, 3) or criterion in ("l2", "l1")
]
FILTERS = {
    "aaNone": {},
    "aa3": {"filter_size": 3},
    "aaddac": {"filter_size": 3, "filter_kind": "adaptive", "groups": 1},
}
# Where the parameters of a reference layer go.
PARAMETERS = {
    "component_selection.get_logits.conv1": ("logits", "conv1"),
    "component_selection.get_logits.conv2": ("logits", "conv2"),
    "_antialias_layer.conv": ("filter", "predictor"),
    "_antialias_layer.bn": ("filter", "norm"),
}


def channels_last(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, 1, -1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_aps_agrees_with_reference(golden, dtype):
    arrays = golden("anti_aliased/aps_layer.npz")
    with jax.enable_x64(dtype == "float64"):
        for side, size, criterion in APS_CASES:
            case = f"n{side}_f{size}_{criterion}"
            x = jnp.asarray(channels_last(arrays[f"x{side}"]), dtype)
            y, choice = APSPool(filter_size=size, criterion=criterion)(x)
            np.testing.assert_array_equal(choice, arrays[f"i_{case}"], err_msg=case)
            assert relative_error(y, channels_last(arrays[f"y_{case}"])) <= OP[dtype], case


def test_aps_obeys_a_given_choice(golden):
    arrays = golden("anti_aliased/aps_layer.npz")
    for side in (8, 9):
        x = jnp.asarray(channels_last(arrays[f"x{side}"]), jnp.float32)
        choice = jnp.asarray(arrays["given_idx"], jnp.int32)
        y, returned = APSPool(filter_size=3)(x, choice=choice)
        np.testing.assert_array_equal(returned, choice)
        expected = channels_last(arrays[f"ygiven_n{side}_f3"])
        assert relative_error(y, expected) <= OP["float32"]


@pytest.mark.parametrize("size", [1, 3])
def test_aps_comes_back_up_as_published(golden, size):
    arrays = golden("anti_aliased/aps_layer.npz")
    x = jnp.asarray(channels_last(arrays["unet_x"]), jnp.float32)
    y, choice = APSPool(filter_size=size)(x)
    np.testing.assert_array_equal(choice, arrays[f"unet_idx_f{size}"])
    up = PolyphaseUnpool(filter_size=size)(y, choice)
    assert relative_error(y, channels_last(arrays[f"unet_down_f{size}"])) <= OP["float32"]
    assert relative_error(up, channels_last(arrays[f"unet_up_f{size}"])) <= OP["float32"]


def lps_layer(arrays, name: str, dtype, **options) -> LPSPool:
    layer = LPSPool(4, hidden=6, param_dtype=dtype, rngs=nnx.Rngs(0), **(FILTERS[name] | options))
    for theirs, path in PARAMETERS.items():
        for leaf, ours in {"weight": ("kernel", "scale"), "bias": ("bias", "bias")}.items():
            array = arrays.get(f"{name}_p/{theirs}.{leaf}")
            if array is None:
                continue
            module = getattr(getattr(layer, path[0]), path[1])
            array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
            getattr(module, ours[array.ndim < 4])[...] = jnp.asarray(array, dtype)
    return layer


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", list(FILTERS))
def test_lps_agrees_with_reference(golden, name, dtype):
    arrays = golden("anti_aliased/lps_layer.npz")
    recorded = {}
    with jax.enable_x64(dtype == "float64"):
        layer = lps_layer(arrays, name, dtype)
        x = jnp.asarray(channels_last(arrays[f"{name}_x"]), dtype)
        for suffix, shift in (("", 0), ("_roll_1_0", 1)):
            y, choice = layer.subsample(jnp.roll(x, shift, 1), record=recorded.__setitem__)
            assert choice.shape == (3,)
            assert relative_error(recorded["logits"], arrays[f"{name}_logits{suffix}"]) <= OP[dtype]
            assert relative_error(y, channels_last(arrays[f"{name}_y{suffix}"])) <= OP[dtype]


@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize("name", list(FILTERS))
def test_lps_mixes_phases_as_published(golden, name, temperature):
    arrays = golden("anti_aliased/lps_layer.npz")
    suffix = "" if temperature == 1 else f"_tau{temperature}"
    with jax.enable_x64(True):
        layer = lps_layer(arrays, name, jnp.float64, evaluation="convex", temperature=temperature)
        y, weights = layer(jnp.asarray(channels_last(arrays[f"{name}_x"])))
    # The temperature is a float32 state.
    tolerance = OP["float64"] if temperature == 1 else 1e-6
    expected = arrays[f"{name}_prob_convex{suffix}"]
    assert relative_error(weights, expected) <= tolerance
    assert relative_error(y, channels_last(arrays[f"{name}_y_convex{suffix}"])) <= tolerance


def test_lps_comes_back_up_as_published(golden):
    arrays = golden("anti_aliased/lps_layer.npz")
    up = PolyphaseUnpool(order="lps")
    layer = lps_layer(arrays, "aaNone", jnp.float32)
    y, choice = layer(jnp.asarray(channels_last(arrays["aaNone_x"]), jnp.float32))
    assert relative_error(up(y, choice), channels_last(arrays["up_y"])) <= OP["float32"]
    given = up(y, jnp.asarray(arrays["up_given_idx"], jnp.int32))
    assert relative_error(given, channels_last(arrays["up_given_y"])) <= OP["float32"]


def test_lps_trains_its_score_network(rng):
    x = jnp.asarray(rng.standard_normal((2, 6, 6, 4)), jnp.float32)
    layer = LPSPool(4, rngs=nnx.Rngs(0))
    graphdef, params, rest = nnx.split(layer, nnx.Param, ...)

    def loss(params, key):
        y, weights = nnx.merge(graphdef, params, rest)(x, train=True, key=key)
        return jnp.sum(y**2), weights

    keys = jax.random.split(jax.random.key(0))
    grads, weights = jax.grad(loss, has_aux=True)(params, keys[0])
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)
    # (The bias of the last convolution moves all four scores alike.)
    del grads["logits"]["conv2"]["bias"]
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads))
    other = loss(params, keys[1])[1]
    assert jnp.abs(other - weights).max() > 1e-3


@pytest.mark.parametrize("kind", ["aps", "lps"])
@pytest.mark.parametrize("shift", [(1, 0), (3, 2), (5, 7)])
def test_circular_shifts_shift_the_output(rng, kind, shift):
    x = jnp.asarray(rng.standard_normal((4, 8, 12, 4)), jnp.float32)
    layer = APSPool() if kind == "aps" else LPSPool(4, filter_size=2, rngs=nnx.Rngs(0))
    before, _ = layer(x)
    after, _ = layer(jnp.roll(x, shift, axis=(1, 2)))
    for sample in range(4):
        # The same content, at a position that only the phase decides.
        moved = [
            jnp.abs(jnp.roll(before[sample], (i, j), (0, 1)) - after[sample]).max()
            for i in (shift[0] // 2, (shift[0] + 1) // 2)
            for j in (shift[1] // 2, (shift[1] + 1) // 2)
        ]
        assert min(moved) < 1e-5


def test_choice_may_look_at_the_unfiltered_signal(rng):
    x = jnp.asarray(rng.standard_normal((8, 8, 8, 2)), jnp.float32)
    _, unfiltered = APSPool(filter_size=1)(x)
    y, choice = APSPool(filter_size=5, select_on="input")(x)
    np.testing.assert_array_equal(choice, unfiltered)
    expected, _ = APSPool(filter_size=5)(x, choice=unfiltered)
    np.testing.assert_array_equal(y, expected)
    assert (APSPool(filter_size=5)(x)[1] != choice).any()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: APSPool(criterion="l3"), "criterion must be one of l2"),
        (lambda: APSPool(select_on="output"), "select_on must be one of filtered, input"),
        (lambda: LPSPool(4, relaxation="soft", rngs=nnx.Rngs(0)), "relaxation must be one of"),
        (lambda: LPSPool(4, evaluation="soft", rngs=nnx.Rngs(0)), "evaluation must be one of"),
        (lambda: LPSPool(4, filter_kind="sinc", rngs=nnx.Rngs(0)), "filter_kind must be one of"),
    ],
)
def test_bad_options_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_missing_key_or_choice_is_named():
    x = jnp.zeros((1, 4, 4, 2))
    with pytest.raises(ValueError, match="key must be a random key for a Gumbel draw"):
        LPSPool(2, rngs=nnx.Rngs(0))(x, train=True)
    with pytest.raises(ValueError, match="choice must be given"):
        LPSPool(2, chooses=False, rngs=nnx.Rngs(0))(x)
