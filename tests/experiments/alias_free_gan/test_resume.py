"""A GAN killed at random steps and started again ends as if nothing had happened."""

import os
import random
import signal

import jax
import numpy as np

from aa_jax.training import distributed
from aa_jax.training.checkpoint import Checkpoints
from experiments.alias_free_gan import program as programs
from tests.experiments.alias_free_gan import tiny_config
from tests.training import runs

STEPS = tiny_config.STEPS
ENVIRONMENT = runs.environment(devices=1)


def stop(workdir, *, at_step: int, how: signal.Signals) -> int:
    at = f"step {at_step}/{STEPS}"
    return runs.stop(tiny_config.command(workdir), ENVIRONMENT, at=at, how=how)


def final_arrays(workdir) -> dict[str, np.ndarray]:
    """All arrays of the last checkpoint by path, keys as their bits."""
    mesh = distributed.data_mesh(jax.devices()[:1])
    program = programs.build(tiny_config.get_config(), 0, mesh)
    with Checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
        assert checkpoints.latest_step == STEPS
        state, _ = checkpoints.restore(program.abstract)
    state = state.replace(key=jax.random.key_data(state.key))
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def test_the_run_exercises_everything(uninterrupted):
    rows = runs.curve(uninterrupted)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert [row["step"] for row in rows if "r1_penalty" in row] == [1, 4, 7, 10, 13, 16, 19]
    assert len({row["loss_generator"] for row in rows}) == STEPS
    assert len({row["augment_probability"] for row in rows}) > 1
    arrays = final_arrays(uninterrupted)
    averaged = {name: value for name, value in arrays.items() if name.startswith(".ema")}
    assert any(np.any(arrays[n.replace(".ema", ".generator")] != v) for n, v in averaged.items())
    magnitudes = [value for name, value in arrays.items() if "magnitude" in name]
    assert magnitudes and all(value != 1 for value in magnitudes)


def test_stopped_three_times_it_ends_with_the_same_bits(uninterrupted, tmp_path):
    seed = int(os.environ.get("AA_JAX_KILL_SEED", "0"))
    first, second, third = steps = sorted(random.Random(seed).sample(range(2, STEPS - 1), 3))
    for step in (first, second):
        assert stop(tmp_path, at_step=step, how=signal.SIGKILL) == -signal.SIGKILL
    assert stop(tmp_path, at_step=third, how=signal.SIGTERM) == 0
    with Checkpoints(tmp_path / "checkpoints", read_only=True) as checkpoints:
        # Of where it was, not only the regular one of before.
        assert checkpoints.latest_step == runs.curve(tmp_path)[-1]["step"] >= third
    runs.run(tiny_config.command(tmp_path), ENVIRONMENT)
    assert runs.curve(tmp_path) == runs.curve(uninterrupted), (seed, steps)
    jax.tree.map(np.testing.assert_array_equal, final_arrays(tmp_path), final_arrays(uninterrupted))
    for name in ("pictures/fakes_init.png", "pictures/fakes_000000.png", "equivariance.json"):
        assert (tmp_path / name).read_bytes() == (uninterrupted / name).read_bytes()
