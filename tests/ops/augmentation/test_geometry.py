"""How often geometric augmentations happen and how they are distributed, for fixed keys."""

import jax
import numpy as np
import pytest
import scipy.stats

from aa_jax.ops.augmentation import BG, Augmentation
from aa_jax.ops.augmentation.draws import draw
from aa_jax.ops.augmentation.geometry import inverse_map

BATCH, HEIGHT, WIDTH = 4000, 40, 80


@jax.jit
def numbers(seed, probability):
    return draw(jax.random.key(seed), BATCH, probability)


@jax.jit(static_argnames="augmentation")
def mapped(draws, augmentation):
    return inverse_map(draws, augmentation, HEIGHT, WIDTH)


def maps(probability=0.4, seed=0, **options):
    linear, offset = mapped(numbers(seed, probability), Augmentation(**options))
    return np.asarray(linear, np.float64), np.asarray(offset, np.float64)


def moved(linear, offset):
    return (linear != np.eye(2)).any((1, 2)) | (offset != 0).any(1)


def assert_share(happened, expected):
    """Within four standard deviations of the binomial distribution."""
    allowed = 4 * np.sqrt(expected * (1 - expected) / happened.size)
    assert abs(happened.mean() - expected) <= allowed


def assert_distributed(values, distribution):
    assert scipy.stats.kstest(values, distribution).pvalue > 1e-3


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("xflip", 0.5),
        ("rotate90", 0.75),
        ("scale", 1.0),
        ("rotate", 1.0),
        ("aniso", 1.0),
        ("xfrac", 1.0),
    ],
)
def test_share_of_samples(name, share):
    """A flip chosen is one every second time, a quarter turn a turn three times out of four."""
    assert_share(moved(*maps(**{name: 1.0})), 0.4 * share)
    assert_share(moved(*maps(**{name: 0.5})), 0.2 * share)
    # Beyond 1 a probability is 1; the multiplier may still bring it below.
    assert_share(moved(*maps(1.5, **{name: 1.0})), share)
    assert_share(moved(*maps(1.5, **{name: 0.5})), 0.75 * share)
    assert not moved(*maps(0.0, **{name: 1.0})).any()


def test_flips_and_quarter_turns():
    linear, offset = maps(xflip=1.0)
    flipped = linear[:, 0, 0] < 0
    assert (linear[flipped] == [[-1, 0], [0, 1]]).all() and (offset == 0).all()
    linear, offset = maps(1.0, rotate90=1.0)
    turns = np.array([[[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]]])
    which = (linear[:, None] == turns).all((2, 3))
    assert (which.sum(1) == 1).all()
    for turn in range(4):
        assert_share(which[:, turn], 0.25)


def test_translations():
    linear, shift = maps(1.0, xint=1.0)
    assert (linear == np.eye(2)).all()
    assert (shift == np.round(shift)).all()
    assert (abs(shift).max(0) == [10, 5]).all()  # an eighth
    assert_share(shift[:, 0] == 0, 1 / 20)  # from -0.5 to 0.5 of -10 to 10
    assert_share(shift[:, 0] == 10, 1 / 40)
    linear, shift = maps(1.0, xfrac=1.0)
    assert (linear == np.eye(2)).all()
    assert_distributed(shift[:, 0] / 80, scipy.stats.norm(scale=0.125).cdf)
    assert_distributed(shift[:, 1] / 40, scipy.stats.norm(scale=0.125).cdf)
    assert abs(np.corrcoef(shift.T)[0, 1]) < 0.07


def test_scales():
    linear, _ = maps(1.0, scale=1.0)
    assert (linear[:, 0, 0] == linear[:, 1, 1]).all() and (linear[:, 0, 1] == 0).all()
    assert_distributed(np.log2(linear[:, 0, 0]), scipy.stats.norm(scale=0.2).cdf)
    linear, _ = maps(1.0, aniso=1.0)
    np.testing.assert_allclose(linear[:, 0, 0] * linear[:, 1, 1], 1, rtol=1e-6)
    assert_distributed(np.log2(linear[:, 0, 0]), scipy.stats.norm(scale=0.2).cdf)
    linear, _ = maps(1.0, scale=1.0, scale_deviation=0.05)
    assert_distributed(np.log2(linear[:, 0, 0]), scipy.stats.norm(scale=0.05).cdf)


def test_rotations():
    linear, _ = maps(rotate=1.0)
    np.testing.assert_allclose(
        linear @ linear.swapaxes(1, 2), np.eye(2)[None].repeat(BATCH, 0), atol=1e-6
    )
    np.testing.assert_allclose(np.linalg.det(linear), 1, atol=1e-6)
    turned = linear[moved(linear, np.zeros((BATCH, 2)))]
    angles = np.arctan2(turned[:, 1, 0], turned[:, 0, 0])
    assert_distributed(angles, scipy.stats.uniform(-np.pi, 2 * np.pi).cdf)
    linear, _ = maps(rotate=1.0, rotate_limit=0.01)
    angles = np.arctan2(linear[:, 1, 0], linear[:, 0, 0])
    # Either of the two happens with 1 - sqrt(1 - p), so that both stay out with 1 - p.
    once = 1 - np.sqrt(0.6)
    assert_share(abs(angles) > 1e-9, 0.4)
    variance = 2 * once * (0.01 * np.pi) ** 2 / 3
    assert abs(angles.var() / variance - 1) < 0.15


def test_inverses_are_accumulated_in_order():
    """Against matrices of points that are moved forth, one augmentation after the other."""
    names = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac")
    alone = {name: maps(0.7, **{name: 1.0}) for name in names if name != "rotate"}
    # The first of two rotations is what remains when the second is the identity.
    linear, offset = (np.asarray(part, np.float64) for part in mapped(numbers(0, 0.7), BG))
    before, after = _rotations()
    points = np.random.default_rng(0).normal(size=(BATCH, 2)) * 10
    forth = points
    for name in names:
        if name == "rotate":
            forth = np.einsum("nji,nj->ni", before, forth)  # the transpose turns back
            continue
        a, b = alone[name]
        forth = np.linalg.solve(a, (forth - b)[..., None])[..., 0]
        if name == "aniso":
            forth = np.einsum("nji,nj->ni", after, forth)
    back = np.einsum("nij,nj->ni", linear, forth) + offset
    np.testing.assert_allclose(back, points, atol=2e-4)


def _rotations():
    draws = numbers(0, 0.7)
    matrices = []
    for name in ("rotate before", "rotate after"):
        angle = np.asarray(draws.symmetric(name, np.pi))
        angle = np.where(draws.applied(name, 1 - np.sqrt(0.3)), angle, 0)[:, 0].astype(np.float64)
        cos, sin = np.cos(angle), np.sin(angle)
        matrices.append(np.stack([cos, -sin, sin, cos], -1).reshape(-1, 2, 2))
    return matrices


def test_other_augmentations_do_not_disturb():
    linear, _ = maps(xflip=1.0)
    both, _ = maps(xflip=1.0, xfrac=1.0)
    np.testing.assert_array_equal(linear, both)
    other, _ = maps(seed=1, xflip=1.0)
    assert (linear != other).any()
