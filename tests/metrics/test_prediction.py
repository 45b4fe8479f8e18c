"""Batches of one shape, padding dropped, broken networks named."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.metrics.prediction import predict_all


def test_pads_the_last_batch_and_compiles_once(rng):
    images = rng.random((7, 4, 4, 1)).astype(np.float32)
    traces = []

    @jax.jit
    def predict(batch):
        traces.append(batch.shape)
        return batch.sum((1, 2)) * jnp.ones((1, 3))

    logits = predict_all(predict, images, batch_size=3)
    assert traces == [(3, 4, 4, 1)]
    np.testing.assert_allclose(logits, np.tile(images.sum((1, 2)), (1, 3)), rtol=1e-6)


def test_half_precision_logits_become_float32():
    logits = predict_all(lambda x: jnp.ones((len(x), 2), jnp.bfloat16), np.zeros((2, 4, 4, 1)))
    assert logits.dtype == np.float32


def test_nan_would_pass_for_consistency():
    with pytest.raises(ValueError, match="NaN"):
        predict_all(lambda x: np.full((len(x), 2), np.nan), np.zeros((2, 4, 4, 1)))


@pytest.mark.parametrize("shape", [(3, 2), (4,), (4, 0), (4, 2, 2)])
def test_wrong_shape(shape):
    with pytest.raises(ValueError, match="logits"):
        predict_all(lambda x: np.zeros(shape), np.zeros((4, 4, 4, 1)), batch_size=4)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0])
def test_wrong_batch_size(batch_size):
    with pytest.raises(ValueError, match="batch_size"):
        predict_all(lambda x: np.zeros((len(x), 2)), np.zeros((4, 4, 4, 1)), batch_size=batch_size)
