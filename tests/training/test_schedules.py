"""aa_jax.training.schedules against reference numbers and an Adam written out."""

import jax
import numpy as np
import optax
import pytest
from jax import numpy as jnp

from aa_jax.training import schedules


@pytest.fixture(scope="module")
def reference(golden):
    return golden("alias_free/schedules.npz")


def test_ema_decay(reference):
    for batch_size, images_seen, ema_kimg, _, beta in reference["ema"]:
        decay = schedules.ema_decay(
            int(images_seen), int(batch_size), half_life=ema_kimg * 1000, ramp_up=0.05
        )
        np.testing.assert_allclose(decay, beta, rtol=1e-4, atol=1e-12)
    late = schedules.ema_decay(10, 32, half_life=10_000, ramp_up=None)
    np.testing.assert_allclose(late, 0.5 ** (32 / 10_000), rtol=1e-6)


def test_magnitude_decay(reference):
    for batch_size, beta in reference["magnitude_ema_beta"]:
        assert schedules.magnitude_decay(int(batch_size)) == pytest.approx(beta, rel=1e-12)


def test_adaptive_probability(reference):
    for mean_sign, before, batch_size, ada_kimg, after in reference["ada"]:
        state = schedules.AdaptiveProbability.create(before).observe(mean_sign, 4 * batch_size)
        state = state.adjust(4 * batch_size, target=0.6, images_to_one=ada_kimg * 1000)
        np.testing.assert_allclose(state.value, after, rtol=1e-4)
        assert state.count == state.sign_sum == 0


def test_adaptive_probability_pools_batches_and_stays_without_any():
    state = schedules.AdaptiveProbability.create(0.25).observe(1.0, 8).observe(0.0, 24)
    assert float(state.sign_sum / state.count) == 0.25
    options = dict(target=0.6, images_to_one=100.0)
    assert float(state.adjust(16, **options).value) == pytest.approx(0.25 - 0.16)
    assert float(schedules.AdaptiveProbability.create(0.25).adjust(16, **options).value) == 0.25
    assert float(state.adjust(90, **options).value) == 0  # never below


def test_blur_fades_linearly():
    sigma = [
        float(schedules.blur_sigma(images, initial=10.0, fade_images=200_000))
        for images in (0, 50_000, 140_000, 200_000, 10**6)
    ]
    np.testing.assert_allclose(sigma, [10, 7.5, 3, 0, 0], rtol=1e-5, atol=1e-6)
    assert float(schedules.blur_sigma(0, initial=10.0, fade_images=0)) == 0


@pytest.mark.parametrize("betas", [(0.0, 0.99), (0.5, 0.99)])
def test_lazy_adam_is_adam_with_corrected_numbers(reference, betas):
    for interval, rate, _, second in reference["lazy_adam"]:
        optimizer = schedules.lazy_adam(0.002, betas=betas, epsilon=1e-8, interval=int(interval))
        first = betas[0] ** (interval / (interval + 1))
        rng = np.random.default_rng(0)
        params = {"w": jnp.asarray(rng.normal(size=5))}
        state, expected = optimizer.init(params), np.asarray(params["w"], np.float64)
        m, v = np.zeros(5), np.zeros(5)
        for step in range(1, 6):
            gradient = rng.normal(size=5)
            updates, state = optimizer.update({"w": jnp.asarray(gradient)}, state, params)
            params = optax.apply_updates(params, updates)
            m = first * m + (1 - first) * gradient
            v = second * v + (1 - second) * gradient**2
            unbiased = m / (1 - first**step), v / (1 - second**step)
            expected = expected - rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
        np.testing.assert_allclose(params["w"], expected, rtol=1e-5)


def test_without_a_first_moment_none_is_kept():
    def size(betas):
        optimizer = schedules.lazy_adam(1.0, betas=betas, epsilon=1e-8, interval=None)
        return sum(leaf.size for leaf in jax.tree.leaves(optimizer.init(jnp.zeros(1000))))

    assert size((0.0, 0.99)) < 1010 and size((0.9, 0.99)) > 2000


@pytest.mark.parametrize(("images", "steps"), [(1000, 32), (4, 1), (0.1, 1), (33, 2)])
def test_in_steps(images, steps):
    assert schedules.in_steps(images, 32) == steps
