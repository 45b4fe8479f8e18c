"""Anti-aliased resampling in the hourglass: what it is for, and what is refused."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.motion import Hourglass, Resampling
from aa_jax.models.motion.hourglass import DownBlock, UpBlock
from aa_jax.nn import AntiAlias

FILTERED = Resampling(AntiAlias("blur"), "binomial")


def test_binomial_upsampling_is_linear_interpolation_at_half_samples():
    block = UpBlock(1, 1, resampling=FILTERED, rngs=nnx.Rngs(0))
    # A convolution that only looks at its own place.
    block.conv.kernel[...] = jnp.zeros((3, 3, 1, 1)).at[1, 1, 0, 0].set(1.0)
    block.conv.bias[...] = jnp.zeros(1)
    ramp = jnp.arange(8.0)[None, :, None, None] * jnp.ones((1, 8, 8, 1))
    y = block(ramp, train=False) * np.sqrt(1 + block.norm.epsilon)
    places = (np.arange(16) - 0.5) / 2
    np.testing.assert_allclose(y[0, 2:-2, 8, 0], places[2:-2], rtol=1e-5)


@pytest.mark.parametrize("resampling, least, most", [(Resampling(), 0.05, 1), (FILTERED, 0, 0.02)])
def test_what_a_filter_does_to_the_highest_frequency(resampling, least, most):
    # Columns that alternate three to one: halved by a mean of two, all that is left is aliased.
    block = DownBlock(1, 1, resampling=resampling, rngs=nnx.Rngs(0))
    block.conv.kernel[...] = jnp.zeros((3, 3, 1, 1)).at[1, 1, 0, 0].set(1.0)
    block.conv.bias[...] = jnp.zeros(1)
    wave = 1 + jnp.cos(jnp.arange(32) * 2 * np.pi * 0.45)
    y = block(jnp.broadcast_to(wave[None, None, :, None], (1, 32, 32, 1)), train=False)
    assert least <= np.std(y[0, 8, 4:-4, 0]) <= most


def test_both_resamplings_have_the_same_shapes_and_parameters():
    sizes = []
    for resampling in (Resampling(), FILTERED):
        model = Hourglass(
            3, block_expansion=4, num_blocks=2, max_features=8, resampling=resampling,
            rngs=nnx.Rngs(0),
        )  # fmt: skip
        y = model(jax.random.normal(jax.random.key(0), (1, 8, 12, 3)), train=True)
        assert y.shape == (1, 8, 12, model.outputs) and model.outputs == 4 + 3
        sizes.append(sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))))
    assert sizes[0] == sizes[1]


def test_errors_name_the_option():
    with pytest.raises(ValueError, match="upsampling must be one of"):
        Resampling(upsampling="bicubic")
    with pytest.raises(ValueError, match="antialias of the motion model"):
        Resampling(AntiAlias("aps"))
