"""Averages against plain loops."""

import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.ops.average import adaptive_avg_pool, avg_pool, global_avg_pool


def test_windows_are_averaged(rng):
    x = rng.standard_normal((2, 5, 6, 3)).astype(np.float32)
    y = avg_pool(jnp.asarray(x), window=2, stride=2)
    expected = x[:, :4].reshape(2, 2, 2, 3, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_cells_are_averaged(rng, size):
    x = rng.standard_normal((1, 7, 10, 2))
    y = adaptive_avg_pool(jnp.asarray(x, jnp.float32), size=size)
    for i in range(size):
        for j in range(size):
            rows = slice(i * 7 // size, int(np.ceil((i + 1) * 7 / size)))
            columns = slice(j * 10 // size, int(np.ceil((j + 1) * 10 / size)))
            cell = x[:, rows, columns].mean(axis=(1, 2))
            np.testing.assert_allclose(y[:, i, j], cell, rtol=1e-4, atol=1e-6)


def test_low_precision_is_accumulated_in_float32():
    x = jnp.full((1, 64, 64, 1), 1.0, jnp.bfloat16)
    assert global_avg_pool(x).dtype == jnp.bfloat16
    # 4096 ones do not add up in bfloat16.
    assert float(global_avg_pool(x)[0, 0]) == 1.0
    assert float(avg_pool(x, window=64, stride=1)[0, 0, 0, 0]) == 1.0


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"\(N, H, W, C\)"):
        global_avg_pool(jnp.zeros((4, 4, 1)))
    with pytest.raises(ValueError, match="window=3 must fit"):
        avg_pool(jnp.zeros((1, 2, 8, 1)), window=3)
