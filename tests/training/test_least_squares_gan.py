"""aa_jax.training.least_squares_gan against closed forms."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.training import least_squares_gan


def test_losses(rng):
    fake, real = rng.normal(size=(2, 3, 4, 5, 1)) * 2
    generator = least_squares_gan.generator_loss(jnp.float32(fake))
    assert float(generator) == pytest.approx(np.mean((1 - fake) ** 2), rel=1e-6)
    discriminator = least_squares_gan.discriminator_loss(jnp.float32(fake), jnp.float32(real))
    expected = np.mean((1 - real) ** 2 + fake**2)
    assert float(discriminator) == pytest.approx(expected, rel=1e-6)


def test_where_they_are_zero():
    zeros, ones = jnp.zeros((2, 3, 3, 1)), jnp.ones((2, 3, 3, 1))
    assert float(least_squares_gan.generator_loss(ones)) == 0
    assert float(least_squares_gan.discriminator_loss(zeros, ones)) == 0
    assert float(least_squares_gan.discriminator_loss(ones, zeros)) == 2


def test_gradients(rng):
    fake, real = jnp.float32(rng.normal(size=(2, 2, 3, 3, 1)))
    of_fake, of_real = jax.grad(least_squares_gan.discriminator_loss, (0, 1))(fake, real)
    np.testing.assert_allclose(of_fake, 2 * fake / fake.size, rtol=1e-6)
    np.testing.assert_allclose(of_real, 2 * (real - 1) / real.size, rtol=1e-6)
    of_fake = jax.grad(least_squares_gan.generator_loss)(fake)
    np.testing.assert_allclose(of_fake, 2 * (fake - 1) / fake.size, rtol=1e-6)


def test_losses_of_16_bit_predictions_are_taken_in_float32():
    fake = jnp.full((300, 1), 1.0078125, jnp.bfloat16)
    loss = least_squares_gan.generator_loss(fake)
    assert loss.dtype == jnp.float32 and float(loss) == pytest.approx(2.0**-14)
