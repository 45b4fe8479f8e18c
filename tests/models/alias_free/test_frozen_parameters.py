"""Which parameters Freeze-D fixes, against lists written out."""

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from aa_jax.models.alias_free import Discriminator, frozen_parameters
from aa_jax.training import state as states


@pytest.fixture(scope="module")
def model():
    return Discriminator(
        16, channel_base=32, channel_max=4, c_dim=2, mapping_layers=1, rngs=nnx.Rngs(0)
    )


# From the image on.
CONVOLUTIONS = [
    ("blocks", 0, "fromrgb"),
    ("blocks", 0, "conv0"),
    ("blocks", 0, "conv1"),
    ("blocks", 0, "skip"),
    ("blocks", 1, "conv0"),
    ("blocks", 1, "conv1"),
    ("blocks", 1, "skip"),
]


@pytest.mark.parametrize("layers", [0, 1, 4, 5, 7])
def test_fixes_the_first_convolutions(model, layers):
    paths = jax.tree_util.tree_leaves_with_path(frozen_parameters(model, layers))
    fixed = {tuple(entry.key for entry in path) for path, is_fixed in paths if is_fixed}
    assert {path[:3] for path in fixed} == set(CONVOLUTIONS[:layers])
    # Kernel and bias of each, but for the linear branch.
    assert len(fixed) == 2 * layers - sum(path[2] == "skip" for path in CONVOLUTIONS[:layers])


def test_has_the_layout_of_a_training_state(model):
    _, params, _ = states.split(model)
    frozen = frozen_parameters(model, 5)
    assert jax.tree.structure(frozen) == jax.tree.structure(params)
    # As an optimiser takes it.
    kinds = jax.tree.map(lambda fixed: "fixed" if fixed else "trained", frozen)
    optimizer = optax.partition({"trained": optax.sgd(1.0), "fixed": optax.set_to_zero()}, kinds)
    ones = jax.tree.map(np.ones_like, params)
    updates, _ = optimizer.update(ones, optimizer.init(params))
    moved = jax.tree.map(lambda update: bool((update != 0).all()), updates)
    assert moved == jax.tree.map(lambda fixed: not fixed, frozen)


def test_abstract_networks_will_do(model):
    abstract = nnx.eval_shape(lambda: model)
    assert frozen_parameters(abstract, 3) == frozen_parameters(model, 3)


@pytest.mark.parametrize("layers", [-1, 8, 2.0])
def test_bad_counts_are_named(model, layers):
    with pytest.raises(ValueError, match=f"layers must be .* from 0 to 7, .* got {layers}"):
        frozen_parameters(model, layers)
