"""Counter-based randomness: uniform, and independent along every argument."""

import numpy as np

from aa_jax.data.counter_random import generator, uniforms


def test_uniform_and_uncorrelated():
    draws = uniforms(7, np.arange(20_000), 3)
    assert draws.min() >= 0 and draws.max() < 1
    counts = np.histogram(draws, bins=50, range=(0, 1))[0]
    expected = draws.size / 50
    assert np.sum((counts - expected) ** 2 / expected) < 100  # chi-square, 49 degrees of freedom
    neighbours = [
        draws[1:, 0],
        draws[:-1, 1],
        draws[:-1, 2],
        uniforms(8, np.arange(19_999), 1)[:, 0],
    ]
    for other in neighbours:
        assert abs(np.corrcoef(draws[:-1, 0], other)[0, 1]) < 0.03


def test_order_and_company_do_not_matter():
    whole = uniforms(3, np.arange(100), 2)
    np.testing.assert_array_equal(uniforms(3, np.array([41, 7]), 2), whole[[41, 7]])


def test_generators_depend_on_seed_and_position():
    draws = {generator(s, p).random() for s in (0, 1, 2**32 - 1) for p in (0, 1, 2**62)}
    assert len(draws) == 9
    assert generator(5, 6).random() == generator(5, 6).random()
