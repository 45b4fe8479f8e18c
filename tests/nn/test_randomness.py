"""Keys that may be absent, and dropout."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.nn.randomness import dropout, split_key


def test_no_key_splits_into_no_keys():
    assert split_key(None, 3) == [None, None, None]
    keys = split_key(jax.random.key(0), 3)
    draws = [float(jax.random.uniform(key)) for key in keys]
    assert len(set(draws)) == 3


def test_dropout_keeps_the_mean_and_drops_its_share():
    x = jnp.full((200, 200), 3.0)
    y = np.asarray(dropout(x, 0.25, key=jax.random.key(0)))
    assert set(np.unique(y)) == {0.0, 4.0}
    np.testing.assert_allclose((y == 0).mean(), 0.25, atol=0.01)
    assert dropout(x.astype(jnp.bfloat16), 0.5, key=jax.random.key(1)).dtype == jnp.bfloat16


def test_dropout_without_key_is_an_error():
    with pytest.raises(ValueError, match="key must be a random key for dropout in training"):
        dropout(jnp.ones(3), 0.5, key=None)
