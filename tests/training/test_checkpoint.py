"""aa_jax.training.checkpoint: everything comes back, and nothing can lose the last good one."""

import errno
import subprocess
import sys
import time

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.training import distributed
from aa_jax.training.checkpoint import CheckpointError, Checkpoints
from tests.training.classifiers import NormalizedRegression, SoftmaxRegression, make_state


def fresh_state(seed=0, *, model=NormalizedRegression, optimizer=None, devices=None, **options):
    options = {"with_ema": True, "with_loss_scale": True, **options}
    optimizer = optimizer or optax.adam(0.1)
    key = jax.random.key(100 + seed)
    _, state = make_state(model(rngs=nnx.Rngs(seed)), optimizer, key=key, **options)
    return distributed.replicate(state, distributed.data_mesh(devices))


def assert_same(a, b):
    def check(x, y):
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_array_equal(x, y)
        assert x.dtype == y.dtype

    jax.tree.map(check, a, b)


def test_state_and_information_come_back(tmp_path):
    state = fresh_state(1).replace(step=jnp.asarray(5, jnp.int32))
    info = {"data": {"next": 3}, "pending": [{"loss": 0.1}], "config": {"a": [1, 2]}}
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest_step is None
        checkpoints.save(5, state, info)
    with Checkpoints(tmp_path) as checkpoints:
        restored, read = checkpoints.restore(fresh_state(2))
        assert checkpoints.metrics() == {}
    assert_same(restored, state)
    assert {name: read[name] for name in info} == info


def test_a_state_saved_on_eight_devices_goes_on_on_two(tmp_path):
    state = fresh_state(1)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, {})
        restored, _ = checkpoints.restore(fresh_state(2, devices=jax.devices()[:2]))
    assert_same(restored, state)
    assert all(len(leaf.sharding.device_set) == 2 for leaf in jax.tree.leaves(restored))


def test_saving_in_the_background_is_not_disturbed_by_donation(tmp_path):
    """The buffers are reused at once for other values; the checkpoint keeps the old ones."""
    with Checkpoints(tmp_path) as checkpoints:
        overwrite = jax.jit(lambda x: jax.tree.map(lambda leaf: leaf * 0 - 1, x), donate_argnums=0)
        for step in range(1, 6):
            state = fresh_state(step, with_loss_scale=False)
            big = jnp.full((512, 512), float(step))
            template = fresh_state(0, with_loss_scale=False).replace(ema={"big": big * 0})
            expected = jax.tree.map(np.array, state.params)
            checkpoints.save(step, state.replace(ema={"big": big}), {})
            jax.block_until_ready(overwrite((state.params, big)))
            checkpoints.wait()
            restored, _ = checkpoints.restore(template)
            assert_same(restored.params, expected)
            np.testing.assert_array_equal(restored.ema["big"], float(step))


def test_the_last_two_and_the_best_are_kept(tmp_path):
    state = fresh_state()
    accuracies = {1: 0.2, 2: 0.9, 3: 0.5, 4: None, 5: 0.6, 6: None}
    with Checkpoints(tmp_path, best_metric="accuracy") as checkpoints:
        for step in (1, 2, 3, 4):
            metrics = accuracies[step] and {"accuracy": accuracies[step]}
            checkpoints.save(step, state, {}, metrics=metrics)
    with Checkpoints(tmp_path, best_metric="accuracy") as checkpoints:  # known after a restart
        for step in (5, 6):
            metrics = accuracies[step] and {"accuracy": accuracies[step]}
            checkpoints.save(step, state, {}, metrics=metrics)
        checkpoints.wait()
        assert checkpoints.best_step == 2 and checkpoints.latest_step == 6
        assert checkpoints.metrics(5) == {"accuracy": 0.6}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "5", "6"]


def test_weights_alone_can_be_read_while_training_goes_on(tmp_path):
    state = fresh_state(1)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, {})
        checkpoints.wait()
        leftover = tmp_path / "2.orbax-checkpoint-tmp"
        leftover.mkdir()
        template = jax.eval_shape(lambda: {"ema": state.ema, "stats": state.stats})
        with Checkpoints(tmp_path, read_only=True) as reader:
            parts = reader.restore_weights(template)
        assert leftover.exists()  # it may be what the trainer is writing
    assert_same(parts["ema"], state.ema)
    assert_same(parts["stats"], state.stats)


def test_a_checkpoint_of_another_model_is_refused_with_every_difference(tmp_path):
    class Wider(SoftmaxRegression):
        def __init__(self, *, rngs):
            super().__init__(rngs=rngs)
            self.layers = nnx.List([nnx.Linear(48, 7, rngs=rngs), nnx.Linear(7, 2, rngs=rngs)])

    options = dict(optimizer=optax.sgd(0.1), with_ema=False, with_loss_scale=False)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(3, fresh_state(model=SoftmaxRegression, **options), {})
        checkpoints.wait()
        with pytest.raises(CheckpointError, match="of another model or optimiser") as error:
            checkpoints.restore(fresh_state(model=Wider, **options))
        message = str(error.value)
        assert "4 of 6 arrays differ" in message
        assert "params/layers/0/kernel: checkpoint float32(48, 5), model float32(48, 7)" in message
        assert "params/layers/1/bias: checkpoint absent, model float32(2,)" in message
        with pytest.raises(CheckpointError, match="opt_state/0/trace/layers/0/kernel"):
            momentum = {**options, "optimizer": optax.sgd(0.1, momentum=0.9)}
            checkpoints.restore(fresh_state(model=SoftmaxRegression, **momentum))
        assert checkpoints.latest_step == 3


def test_a_full_disk_is_a_clear_error_and_the_earlier_checkpoint_stays(tmp_path, monkeypatch):
    state = fresh_state(1)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state, {})
    checkpoints.wait()

    def fail(*args, **options):
        (tmp_path / "2.orbax-checkpoint-tmp").mkdir()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints._manager, "save", fail)
    with pytest.raises(CheckpointError, match="the disk is full .* step 1 is intact"):
        checkpoints.save(2, state, {})
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    with Checkpoints(tmp_path) as again:
        assert_same(again.restore(fresh_state(2))[0], state)


def test_a_failure_in_the_background_is_not_lost(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, fresh_state(1), {})
    checkpoints.wait()
    checkpoints.save(2, fresh_state(2), {})

    def fail():
        raise ValueError('RESOURCE_EXHAUSTED: Error writing "params": No space left on device')

    monkeypatch.setattr(checkpoints._manager, "wait_until_finished", fail)
    with pytest.raises(CheckpointError, match="the disk is full"):
        checkpoints.close()


# Orbax leaves a coroutine of its own unfinished.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_damaged_checkpoint_is_named(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, fresh_state(), {})
        checkpoints.wait()
        (tmp_path / "1" / "state" / "manifest.ocdbt").write_bytes(b"")
        with pytest.raises(CheckpointError, match="of step 1 in .* cannot be read"):
            checkpoints.restore(fresh_state())


def test_asking_for_what_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint directory"):
        Checkpoints(tmp_path / "missing", read_only=True)
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(CheckpointError, match="expected a checkpoint in .* found steps none"):
            checkpoints.restore(fresh_state())
        checkpoints.save(4, fresh_state(), {})
        checkpoints.wait()
        with pytest.raises(CheckpointError, match=r"of step 3 in .* found steps \[4\]"):
            checkpoints.info(3)


SAVE_WITHOUT_END = """
import itertools, sys
import jax, optax
from aa_jax.training import state as states
from aa_jax.training.checkpoint import Checkpoints
params = {"w": jax.numpy.zeros((64, 64)), "b": {0: jax.numpy.zeros(3)}}
state = states.create_state(params, {}, optax.sgd(0.1), key=jax.random.key(0))
with Checkpoints(sys.argv[1], best_metric="accuracy") as checkpoints:
    first = (checkpoints.latest_step or 0) + 1
    for step in itertools.count(first):
        full = jax.tree.map(lambda x: x + step, params)
        metrics = {"accuracy": 1 / step} if step % 2 else None
        checkpoints.save(step, state.replace(params=full), {"step": step}, metrics=metrics)
        print(step, flush=True)
"""


def test_killed_at_any_moment_of_saving_it_leaves_a_whole_checkpoint(tmp_path):
    """Some rounds of killing a process that does nothing but save."""
    command = [sys.executable, "-c", SAVE_WITHOUT_END, str(tmp_path)]
    last = 0
    for wait in (0.01, 0.037, 0.071):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for _ in range(3):  # at least so many saves were begun
                started = int(process.stdout.readline())
            time.sleep(wait)
            process.kill()
        params = {"w": jnp.zeros((64, 64)), "b": {0: jnp.zeros(3)}}
        with Checkpoints(tmp_path, best_metric="accuracy") as checkpoints:
            step = checkpoints.latest_step
            assert step >= started - 1 > last  # each save waits for the one before
            for present in {step, checkpoints.best_step}:
                parts = checkpoints.restore_weights({"params": params}, present)
                assert checkpoints.info(present)["step"] == present
                jax.tree.map(
                    lambda leaf, value=present: np.testing.assert_array_equal(leaf, value),
                    parts["params"],
                )
        last = step
