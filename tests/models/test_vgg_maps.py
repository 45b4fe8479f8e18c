"""Maps of VGG's stages against plain NumPy."""

import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.vgg_maps import IMAGENET, VGG19_STAGES, VGGMaps, normalised
from tests.models.feature_oracles import conv, pool
from tests.tolerances import NETWORK, relative_error

STAGES = ((4, 5), (6, 3, 7), (8,))


def oracle(network, x):
    """All maps of all stages."""
    maps = []
    for index, stage in enumerate(network.stages):
        x = pool(x, np.max, window=2, stride=2) if index else x
        maps.append([])
        for layer in stage:
            kernel, bias = (np.asarray(v[...], np.float64) for v in (layer.kernel, layer.bias))
            x = np.maximum(conv(x, kernel.transpose(3, 2, 0, 1), pad=(1, 1)) + bias, 0)
            maps[-1].append(x)
    return maps


@pytest.mark.parametrize(("read", "widths"), [("first", (4, 6, 8)), ("last", (5, 7, 8))])
def test_maps(read, widths, rng):
    network = VGGMaps(STAGES, read=read, rngs=nnx.Rngs(0))
    for layer in (layer for stage in network.stages for layer in stage):
        layer.bias[...] = jnp.asarray(rng.normal(size=layer.bias.shape))
    x = rng.normal(size=(2, 9, 12, 3))
    maps = network(jnp.float32(x))
    assert network.widths == widths
    expected = [stage[0 if read == "first" else -1] for stage in oracle(network, x)]
    assert [y.shape for y in maps] == [(2, 9, 12, widths[0]), (2, 4, 6, widths[1]), (2, 2, 3, 8)]
    for ours, theirs in zip(maps, expected, strict=True):
        assert relative_error(ours, theirs) < NETWORK["float32"] / 10


def test_normalised():
    x = jnp.broadcast_to(jnp.asarray([0.485, 0.456 + 0.224, 0.406 - 0.225]), (1, 2, 2, 3))
    y = normalised(x, IMAGENET)
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y, np.broadcast_to([0.0, 1.0, -1.0], y.shape), atol=1e-6)


def test_refuses():
    with pytest.raises(ValueError, match="width_divisor must be from 1 to 64, got 0"):
        VGGMaps(VGG19_STAGES, width_divisor=0, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match='read must be "first" or "last"'):
        VGGMaps(STAGES, read="all", rngs=nnx.Rngs(0))
