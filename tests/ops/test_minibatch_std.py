"""Minibatch standard deviation against plain loops over its groups."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.ops.minibatch_std import minibatch_std


def by_loops(x, group, num_channels):
    """The appended channels of a float64 NumPy array, group by group."""
    batch, height, width, channels = x.shape
    share = channels // num_channels
    added = np.empty((batch, height, width, num_channels))
    for first in range(batch // group):
        members = range(first, batch, batch // group)
        for f in range(num_channels):
            maps = [x[n, :, :, f * share : (f + 1) * share] for n in members]
            mean = sum(maps) / group
            variance = sum((one - mean) ** 2 for one in maps) / group
            for n in members:
                added[n, :, :, f] = np.sqrt(variance + 1e-8).mean()
    return added


@pytest.mark.parametrize(
    "batch, group_size, num_channels, group",
    [(6, 2, 1, 2), (8, 4, 3, 4), (3, 4, 1, 3), (1, 4, 2, 1), (6, None, 1, 6)],
)
def test_agrees_with_loops_over_groups(rng, batch, group_size, num_channels, group):
    x = rng.normal(size=(batch, 2, 3, 6))
    with jax.enable_x64(True):
        y = minibatch_std(jnp.asarray(x), group_size=group_size, num_channels=num_channels)
    np.testing.assert_array_equal(y[..., :6], x)
    np.testing.assert_allclose(y[..., 6:], by_loops(x, group, num_channels), rtol=1e-12)


def test_order_inside_a_group_does_not_matter_but_membership_does(rng):
    x = jnp.asarray(rng.normal(size=(4, 2, 2, 3)), jnp.float32)
    # With groups of two, images 0 and 2 belong together.
    appended = minibatch_std(x, group_size=2)[:, 0, 0, -1]
    exchanged = minibatch_std(x[jnp.array([2, 1, 0, 3])], group_size=2)[:, 0, 0, -1]
    mixed = minibatch_std(x[jnp.array([1, 0, 2, 3])], group_size=2)[:, 0, 0, -1]
    np.testing.assert_allclose(exchanged, appended, rtol=1e-6)
    assert np.abs(mixed - appended).min() > 1e-3


def test_derivatives_are_finite_where_all_images_agree():
    x = jnp.ones((4, 2, 2, 3))

    def appended(x):
        return minibatch_std(x)[..., -1].sum()

    # 1e4 is the curvature of sqrt(variance + 1e-8) at zero.
    first, second = jax.jit(lambda x: jax.jvp(jax.grad(appended), (x,), (x.at[0].set(2.0),)))(x)
    assert (first == 0).all()
    assert jnp.isfinite(second).all() and (second != 0).any()


def test_half_precision_is_computed_in_float32():
    x = np.zeros((4, 64, 64, 1))
    x[1::2] = 2.0**-10  # whose square is no float16
    y = minibatch_std(jnp.asarray(x, jnp.float16))
    assert y.dtype == jnp.float16
    expected = np.sqrt(2.0**-22 + 1e-8)
    np.testing.assert_allclose(np.asarray(y[..., -1], np.float64), expected, rtol=2e-3)


def test_bad_input_is_named():
    x = jnp.zeros((6, 2, 2, 4))
    with pytest.raises(ValueError, match="multiple of 4 images, the group size, or fewer, got 6"):
        minibatch_std(x)
    with pytest.raises(ValueError, match="got 0"):
        minibatch_std(x[:0])
    with pytest.raises(ValueError, match=r"x must have shape \(N, height, width, channels\)"):
        minibatch_std(x[0])
    for count in (0, 3):
        with pytest.raises(ValueError, match="positive divisor of the 4 channels of x, got"):
            minibatch_std(x, group_size=3, num_channels=count)
