"""aa_jax.training.state: modules to plain dicts and back."""

import jax
import numpy as np
import optax
from flax import nnx

from aa_jax.training import state as states
from tests.training.classifiers import NormalizedRegression, SoftmaxRegression, make_batch


def is_plain(tree) -> bool:
    if isinstance(tree, dict):
        return all(isinstance(key, str | int) and is_plain(value) for key, value in tree.items())
    return isinstance(tree, jax.Array)


def test_split_gives_plain_dicts_and_merge_gives_the_module_back(rng):
    model = NormalizedRegression(rngs=nnx.Rngs(0))
    graphdef, params, stats = states.split(model)
    assert is_plain(params) and is_plain(stats)
    assert set(stats) == {"mean", "temperature"}
    assert set(params) == {"head"} and set(params["head"]["layers"]) == {0}
    x = make_batch(rng)["image"]
    np.testing.assert_array_equal(states.merge(graphdef, params, stats)(x), model(x))


def test_structure_does_not_depend_on_the_weights():
    first, _, _ = states.split(NormalizedRegression(rngs=nnx.Rngs(0)))
    second, _, _ = states.split(NormalizedRegression(rngs=nnx.Rngs(1)))
    assert first == second and hash(first) == hash(second)


def test_a_merged_module_updates_its_own_statistics_only(rng):
    graphdef, params, stats = states.split(NormalizedRegression(rngs=nnx.Rngs(0)))
    x = make_batch(rng)["image"]

    @jax.jit
    def update(params, stats):
        def loss(params):
            model = states.merge(graphdef, params, stats)
            return model(x, train=True, key=jax.random.key(0)).sum(), states.collect_stats(model)

        return jax.grad(loss, has_aux=True)(params)[1]

    np.testing.assert_allclose(update(params, stats)["mean"], 0.1 * x.mean(0), rtol=1e-5)
    np.testing.assert_array_equal(stats["mean"], 0.0)


def test_parts_of_the_state_share_no_buffer():
    _, params, stats = states.split(SoftmaxRegression(rngs=nnx.Rngs(0)))
    key = jax.random.key(0)
    state = states.create_state(params, stats, optax.adam(0.1), key=key, with_ema=True)
    leaves = [leaf for leaf in jax.tree.leaves(state) if leaf is not state.key]
    pointers = [leaf.unsafe_buffer_pointer() for leaf in leaves]
    assert len(set(pointers)) == len(pointers)
    assert states.count_parameters(params) == 48 * 5 + 5


def test_averaged_params_are_the_average_where_there_is_one():
    _, params, stats = states.split(SoftmaxRegression(rngs=nnx.Rngs(0)))
    state = states.create_state(params, stats, optax.sgd(0.1), key=jax.random.key(0))
    assert state.averaged_params is state.params
    ema = jax.tree.map(lambda x: x + 1, params)
    assert state.replace(ema=ema).averaged_params is ema
