"""aa_jax.training.adversarial against closed forms."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.training import adversarial


def softplus(x):
    return np.logaddexp(0, x)


def test_losses(rng):
    fake, real = rng.normal(size=(2, 7, 1)) * 5
    assert float(adversarial.generator_loss(fake)) == pytest.approx(softplus(-fake).mean())
    expected = softplus(fake).mean() + softplus(-real).mean()
    assert float(adversarial.discriminator_loss(fake, real)) == pytest.approx(expected, rel=1e-6)


def test_losses_of_16_bit_logits_are_taken_in_float32():
    logits = jnp.full((3, 1), 80.0, jnp.bfloat16)
    loss = adversarial.generator_loss(logits)
    assert loss.dtype == jnp.float32 and 0 < float(loss) < 1e-30


def test_r1_of_a_quadratic_judge(rng):
    """For sum(w x^2) the gradient is 2 w x."""
    weights = jnp.asarray(rng.normal(size=(3, 4, 2)))
    images = jnp.asarray(rng.normal(size=(5, 3, 4, 2)))

    def judge(images):
        return jnp.sum(weights * images**2, axis=(1, 2, 3))[:, None]

    penalties, logits = adversarial.r1_penalty(judge, images)
    np.testing.assert_allclose(penalties, jnp.sum((2 * weights * images) ** 2, (1, 2, 3)), 1e-5)
    np.testing.assert_allclose(logits, judge(images), 1e-6)


def test_r1_sees_through_what_the_judge_does_first(rng):
    images = jnp.asarray(rng.normal(size=(2, 4, 4, 1)))

    def judge(images):
        return jnp.mean(3 * images, axis=(1, 2, 3))[:, None]

    penalties, _ = adversarial.r1_penalty(judge, images)
    np.testing.assert_allclose(penalties, 16 * (3 / 16) ** 2, rtol=1e-5)


def test_path_lengths_of_a_linear_generator(rng):
    """images = A w: the gradient is the transpose of A, applied to the direction."""
    height, width, channels, layers, w_dim = 3, 2, 1, 4, 5
    matrix = jnp.asarray(rng.normal(size=(height, width, channels, layers, w_dim)))
    latents = jnp.asarray(rng.normal(size=(6, layers, w_dim)))
    key = jax.random.key(1)
    lengths = adversarial.path_lengths(
        lambda w: jnp.einsum("hwcld,nld->nhwc", matrix, w), latents, key
    )
    direction = np.asarray(jax.random.normal(key, (6, height, width, channels), latents.dtype))
    gradient = np.einsum("hwcld,nhwc->nld", matrix, direction / np.sqrt(height * width))
    expected = np.sqrt((gradient**2).sum(2).mean(1))
    np.testing.assert_allclose(lengths, expected, rtol=1e-5)
