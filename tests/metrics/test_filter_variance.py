"""Variance of filters against the reference arrays and the two known extremes."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.metrics.filter_variance import filter_variance
from tests.tolerances import OP, relative_error


def test_agrees_with_reference(golden):
    arrays = golden("anti_aliased/filter_variance.npz")
    with jax.enable_x64(True):
        filters = jnp.moveaxis(jnp.asarray(arrays["filters"]), 2, -1)
        for ddof, name in ((0, "var_population"), (1, "var_sample")):
            assert (
                relative_error(filter_variance(filters, ddof=ddof), arrays[name]) <= OP["float64"]
            )


def test_average_and_identity_are_the_ends_of_the_scale(golden):
    arrays = golden("anti_aliased/filter_variance.npz")
    average, identity = np.full(9, 1 / 9), np.eye(9)[4]
    both = jnp.asarray(np.stack([average, identity]), jnp.float32)
    expected = [arrays["var_average3"], arrays["var_identity3_sample"]]
    np.testing.assert_allclose(filter_variance(both), expected, rtol=1e-5, atol=1e-12)
    population = filter_variance(both, ddof=0)[1]
    np.testing.assert_allclose(population, arrays["var_identity3_population"], rtol=1e-5)


def test_normalising_undoes_the_shrinkage_of_a_joint_softmax():
    identity = jnp.asarray(np.eye(9)[4] / 8, jnp.float32)
    np.testing.assert_allclose(filter_variance(identity, normalize=True), 1 / 9, rtol=1e-5)


def test_a_single_tap_has_no_sample_variance():
    with pytest.raises(ValueError, match="more than ddof=1 taps"):
        filter_variance(jnp.ones((4, 1)))
