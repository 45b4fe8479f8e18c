"""Initial weights: the same whichever way they are drawn, and spread as they say."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.nn import initializers

# Within one small block, several, and within large ones.
SHAPES = [(3, 3, 5, 7), (1, 1, 64, 512), (3, 3, 64, 300)]


@pytest.mark.parametrize("shape", SHAPES)
def test_draws_do_not_depend_on_being_compiled(shape):
    key = jax.random.key(0)
    draw = initializers.normal(0.5)
    compiled = jax.jit(lambda key: draw(key, shape, jnp.float32))(key)
    np.testing.assert_array_equal(draw(key, shape, jnp.float32), compiled)
    assert draw(key, shape, jnp.bfloat16).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("initializer", "deviation"),
    [
        (initializers.kaiming_normal_fan_out, np.sqrt(2 / (9 * 300))),
        (initializers.kaiming_normal_fan_in, np.sqrt(2 / (9 * 64))),
        (initializers.uniform_fan_in, 1 / np.sqrt(3 * 9 * 64)),
        (initializers.normal(0.01), 0.01),
        (initializers.uniform(0.3), 0.3 / np.sqrt(3)),
    ],
)
def test_spread_is_as_published(initializer, deviation):
    draws = np.asarray(initializer(jax.random.key(1), SHAPES[-1], jnp.float32), np.float64)
    np.testing.assert_allclose(draws.std(), deviation, rtol=0.01)
    assert abs(draws.mean()) < 5 * deviation / np.sqrt(draws.size)
    # No value is drawn twice, as a repeated block would.
    assert len(np.unique(draws)) > 0.97 * draws.size
