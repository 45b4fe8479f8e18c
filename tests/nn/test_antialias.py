"""The one mechanism: which slot is filled with what, and the same shapes for every kind."""

import jax
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.nn import (
    AdaptiveBlurPool,
    AntiAlias,
    APSPool,
    AvgPool,
    BlurPool,
    Identity,
    LPSPool,
    antialias_option,
)
from aa_jax.nn.antialias import KINDS

FILLINGS = {
    "none": Identity,
    "blur": BlurPool,
    "adaptive": AdaptiveBlurPool,
    "aps": APSPool,
    "lps": LPSPool,
}


@pytest.mark.parametrize("kind", KINDS)
def test_slots_are_filled_by_kind(kind):
    antialias, rngs = AntiAlias(kind), nnx.Rngs(0)
    assert type(antialias.pool(8, rngs=rngs)) is FILLINGS[kind]
    assert type(antialias.pool(8, stride=1, rngs=rngs)) is Identity
    assert type(antialias.avg_pool(8, rngs=rngs)) is (AvgPool if kind == "none" else FILLINGS[kind])
    assert antialias.conv_stride(2) == (2 if kind == "none" else 1)
    assert antialias.padding_mode == ("circular" if kind in ("aps", "lps") else "zero")


@pytest.mark.parametrize("kind", KINDS)
def test_strided_convolution_and_slot_halve_the_map_together(kind):
    antialias, rngs = AntiAlias(kind), nnx.Rngs(0)
    pool = antialias.pool(8, rngs=rngs)
    x = jnp.ones((2, 8, 6, 8))
    dense = x[:, :: antialias.conv_stride(2), :: antialias.conv_stride(2)]
    y, choice = pool.subsample(dense)
    assert y.shape == (2, 4, 3, 8)
    assert (choice is None) == (kind not in ("aps", "lps"))
    follower = antialias.shortcut_pool(8, rngs=rngs)
    assert follower.subsample(dense, choice=choice)[0].shape == y.shape


@pytest.mark.parametrize("kind", KINDS)
def test_max_pools_halve_the_map(kind):
    pool = AntiAlias(kind).max_pool(
        8, window=3, padding=1, dense_window=2, dense_padding=0, rngs=nnx.Rngs(0)
    )
    assert pool.window == (3 if kind == "none" else 2)
    assert pool.subsample(jnp.ones((1, 8, 8, 8)))[0].shape == (1, 4, 4, 8)


def test_first_convolution_stays_strided_unless_the_guarantee_needs_it():
    strides = {kind: AntiAlias(kind).first_conv_stride(2) for kind in KINDS}
    assert strides == {"none": 2, "blur": 2, "adaptive": 2, "aps": 1, "lps": 1}
    assert AntiAlias("blur", first_conv="filtered").first_conv_stride(2) == 1
    strided = AntiAlias("aps", first_conv="strided")
    assert strided.first_conv_stride(2) == 2
    assert type(strided.first_pool(8, rngs=nnx.Rngs(0))) is Identity


def test_a_shortcut_of_lps_has_no_score_network():
    antialias = AntiAlias("lps", hidden_reduction=2)
    assert antialias.pool(8, rngs=nnx.Rngs(0)).logits.conv1.kernel.shape == (3, 3, 8, 4)
    follower = antialias.shortcut_pool(8, rngs=nnx.Rngs(0))
    assert not jax.tree.leaves(nnx.state(follower))


def test_options_reach_the_layers():
    antialias = antialias_option("adaptive", filter_size=5, groups=2)
    pool = antialias.pool(6, rngs=nnx.Rngs(0))
    assert (pool.filter_size, pool.groups) == (5, 2)
    whole = AntiAlias("adaptive", groups=3, statistics="kept", adaptivity="channel")
    pool = antialias_option(whole).pool(6, rngs=nnx.Rngs(0))
    assert (pool.groups, pool.positions, pool.adaptivity) == (3, "kept", "channel")
    assert antialias_option("blur").pool(6, rngs=nnx.Rngs(0)).filter_size == 4


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AntiAlias("blurr"), "antialias must be one of none, blur, .* got 'blurr'"),
        (lambda: AntiAlias("blur", first_conv="both"), 'first_conv must be "strided"'),
        (lambda: AntiAlias("aps").pool(4, stride=3, rngs=nnx.Rngs(0)), "stride must be 1 or 2"),
        (
            lambda: AntiAlias("adaptive").pool(12, rngs=nnx.Rngs(0)),
            "groups must divide the channels, got 8 groups for 12 channels",
        ),
        (
            lambda: AntiAlias("aps").require(("none", "blur"), model="VGG"),
            "antialias of VGG must be one of none, blur, got 'aps'",
        ),
    ],
)
def test_bad_options_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
