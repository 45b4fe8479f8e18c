"""A tiny motion model trains, resumes exactly, and reports; the losses are what they should be."""

import json

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.training import config as configs, state as states
from experiments.motion import losses, networks
from experiments.motion.networks import MotionModel
from tests.training.runs import ROOT, command, curve, environment, run

QUICKSTART = "experiments/motion/configs/quickstart.py:smoke"
TINY = {
    "data.frame_size": 16,
    "model.num_kp": 2,
    "model.detector.block_expansion": 4,
    "model.detector.num_blocks": 1,
    "model.generator.block_expansion": 4,
    "model.generator.num_bottleneck_blocks": 1,
    "model.generator.num_down_blocks": 1,
    "model.dense_motion.block_expansion": 4,
    "model.dense_motion.num_blocks": 1,
    "loss.reconstruction_weights": (10.0, 10.0),
    "tensorboard": False,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of a run from start to end, and of one that was told to end half-way at first."""
    root = tmp_path_factory.mktemp("motion")
    env = environment(devices=1) | {"JAX_COMPILATION_CACHE_DIR": str(root / "cache")}
    run(command(QUICKSTART, root / "whole", TINY), env)
    run(command(QUICKSTART, root / "resumed", TINY | {"steps": 2}), env)
    run(command(QUICKSTART, root / "resumed", TINY), env)
    return root


@pytest.mark.slow
def test_resumed_it_ends_with_the_same_weights(runs):
    whole, resumed = (networks.load_run(runs / name) for name in ("whole", "resumed"))
    weights = [jax.tree.leaves(states.split(model.generator)) for model in (whole, resumed)]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert curve(runs / "whole")[-1] == curve(runs / "resumed")[-1]


@pytest.mark.slow
def test_report_and_model_file(runs):
    folder = runs / "whole"
    numbers = json.loads((folder / "report.json").read_text())
    assert (
        set(numbers["before"]) == set(numbers["after"]) == {"l1", "l1_still", "flow_error", "akd"}
    )
    assert numbers["before"]["l1_still"] == pytest.approx(numbers["after"]["l1_still"])
    for name in ("report.md", "reconstruction.png", "transfer.png", "transfer.mp4"):
        assert (folder / name).stat().st_size > 100
    trained, loaded = networks.load_run(folder), networks.load(folder / "model.safetensors")
    frames = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
    np.testing.assert_array_equal(
        trained.kp_detector(frames).value, loaded.kp_detector(frames).value
    )
    assert loaded.frame_size == 16


@pytest.mark.slow
def test_both_players_learn_from_their_own_loss_only():
    config = configs.load(str(ROOT / QUICKSTART))
    settings = TINY | {"model.discriminator.block_expansion": 2, "loss.adversarial": 1.0}
    configs.override(config, {name: str(value) for name, value in settings.items()})
    model = MotionModel(config, rngs=nnx.Rngs(0))
    graphdef, params, stats = states.split(model)
    compare, weights = losses.reconstruction_loss(config)
    loss = losses.motion_loss(graphdef, config, lambda a, b: compare(weights, a, b))
    batch = {"image": jax.random.uniform(jax.random.key(0), (2, 2, 64, 64, 3))}

    @jax.jit
    def gradients(params):
        def term(name):
            return lambda p: loss(p, stats, batch, jax.random.key(1))[1][1][name]

        return {name: jax.grad(term(name))(params) for name in ("generator", "discriminator")}

    found = gradients(params)

    def size(tree):
        return sum(float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(tree))

    assert size(found["generator"]["generator"]) > 0
    assert size(found["generator"]["discriminator"]) == 0
    assert size(found["discriminator"]["discriminator"]) > 0
    assert size(found["discriminator"]["generator"]) == 0
    assert size(found["discriminator"]["kp_detector"]) == 0
