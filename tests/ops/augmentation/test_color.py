"""Colour maps: what each leaves alone, how it is distributed, and grey images."""

import jax
import numpy as np
import pytest
import scipy.stats

from aa_jax.ops.augmentation import BGC, Augmentation
from aa_jax.ops.augmentation.color import apply_color, color_map
from aa_jax.ops.augmentation.draws import draw
from tests.tolerances import OP, relative_error

BATCH = 4000
GREY = np.ones(3) / np.sqrt(3)
COLOR = {name: 1.0 for name in ("brightness", "contrast", "lumaflip", "hue", "saturation")}


@jax.jit
def numbers(seed, probability):
    return draw(jax.random.key(seed), BATCH, probability)


mapped = jax.jit(color_map, static_argnums=(1, 2))


def maps(probability=1.0, channels=3, **options):
    matrix, offset = mapped(numbers(3, probability), Augmentation(**options), channels)
    return np.asarray(matrix, np.float64), np.asarray(offset, np.float64)


def assert_distributed(values, distribution):
    assert scipy.stats.kstest(values, distribution).pvalue > 1e-3


@pytest.mark.parametrize("name", COLOR)
def test_share_of_samples(name):
    matrix, offset = maps(0.3, **{name: 1.0})
    changed = (abs(matrix - np.eye(3)) > 1e-5).any((1, 2)) | (offset != 0).any(1)
    share = 0.15 if name == "lumaflip" else 0.3
    assert abs(changed.mean() - share) < 4 * np.sqrt(share * (1 - share) / BATCH)


def test_brightness_and_contrast():
    matrix, offset = maps(brightness=1.0)
    assert (matrix == np.eye(3)).all() and (offset == offset[:, :1]).all()
    assert_distributed(offset[:, 0], scipy.stats.norm(scale=0.2).cdf)
    matrix, offset = maps(contrast=1.0)
    assert (matrix == np.eye(3) * matrix[:, :1, :1]).all() and (offset == 0).all()
    assert_distributed(np.log2(matrix[:, 0, 0]), scipy.stats.norm(scale=0.5).cdf)


def test_luma_flip_mirrors_the_grey_axis_only():
    matrix, _ = maps(lumaflip=1.0)
    onto = matrix @ GREY @ GREY
    np.testing.assert_allclose(abs(onto), 1, atol=1e-6)
    assert abs(np.mean(onto < 0) - 0.5) < 0.04
    chroma = np.array([1.0, -3.0, 2.0])
    np.testing.assert_allclose(matrix @ chroma, np.tile(chroma, (BATCH, 1)), atol=1e-6)


def test_hue_turns_about_the_grey_axis():
    matrix, _ = maps(hue=1.0)
    np.testing.assert_allclose(matrix @ GREY, np.tile(GREY, (BATCH, 1)), atol=1e-6)
    np.testing.assert_allclose(
        matrix @ matrix.swapaxes(1, 2), np.tile(np.eye(3), (BATCH, 1, 1)), atol=1e-6
    )
    np.testing.assert_allclose(np.linalg.det(matrix), 1, atol=1e-6)
    first = np.array([1.0, -1.0, 0.0]) / np.sqrt(2)
    second = np.cross(GREY, first)
    turned = matrix @ first
    angle = np.arctan2(turned @ second, turned @ first)
    assert_distributed(angle, scipy.stats.uniform(-np.pi, 2 * np.pi).cdf)


def test_saturation_scales_the_distance_from_the_grey_axis():
    matrix, _ = maps(saturation=1.0)
    np.testing.assert_allclose(matrix @ GREY, np.tile(GREY, (BATCH, 1)), atol=1e-6)
    chroma = np.array([1.0, -3.0, 2.0])
    scale = (matrix @ chroma) / chroma
    np.testing.assert_allclose(scale, scale[:, :1].repeat(3, 1), rtol=1e-4, atol=1e-5)
    assert_distributed(np.log2(scale[:, 0]), scipy.stats.norm(scale=1.0).cdf)


def test_order():
    """Alone and one after the other: as all at once."""
    expected, offset = np.eye(3), 0.0
    for name in COLOR:
        matrix, added = maps(0.6, **{name: 1.0})
        expected = matrix @ expected
        offset = np.einsum("nij,nj->ni", matrix, np.broadcast_to(offset, (BATCH, 3))) + added
    matrix, total = maps(0.6, **COLOR)
    assert relative_error(matrix, expected) <= 1e-5
    assert relative_error(total, offset) <= 1e-5


def test_apply_to_colours_and_to_grey(rng):
    matrix, offset = rng.normal(size=(2, 3, 3)), rng.normal(size=(2, 3))
    images = rng.normal(size=(2, 4, 5, 3)).astype(np.float32)
    grey = images[..., :1]
    apply = jax.jit(apply_color)
    for some in (images, grey):
        colours = np.broadcast_to(some, images.shape).astype(np.float64)
        expected = np.stack([c @ m.T + b for c, m, b in zip(colours, matrix, offset, strict=True)])
        if some is grey:
            expected = expected.mean(-1, keepdims=True)
        result = apply(some, matrix.astype(np.float32), offset.astype(np.float32))
        assert result.dtype == np.float32
        assert relative_error(result, expected) <= OP["float32"]


def test_grey_images_have_no_hue_and_no_saturation():
    matrix, offset = maps(0.6, 1, brightness=1.0, contrast=1.0, lumaflip=1.0)
    result = mapped(numbers(3, 0.6), BGC, 1)
    np.testing.assert_array_equal(result[0], matrix.astype(np.float32))
    np.testing.assert_array_equal(result[1], offset.astype(np.float32))
