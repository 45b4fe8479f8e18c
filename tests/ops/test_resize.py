"""Resizing against Pillow: bytes bit for bit, floats to rounding; derivatives; mistakes."""

import itertools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads
from PIL import Image

from aa_jax.filters.resampling import resize_matrix
from aa_jax.ops.resize import resize

PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# (height, width) before and after: up, down, both, odd, one pixel, unchanged sides, several blocks.
SIZES = [
    ((32, 32), (75, 75)),
    ((64, 48), (16, 12)),
    ((31, 17), (13, 29)),
    ((9, 40), (27, 11)),
    ((1, 1), (5, 3)),
    ((1, 23), (1, 7)),
    ((19, 1), (4, 1)),
    ((26, 14), (1, 1)),
    ((20, 21), (20, 8)),
    ((20, 21), (45, 21)),
    ((90, 30), (7, 26)),  # height first, in Pillow 13
    ((120, 131), (67, 70)),
]
METHODS = itertools.cycle(PILLOW)
CASES = [(next(METHODS), *sizes) for sizes in SIZES * 2] + [
    ("lanczos", (33, 1300), (9, 2)),  # more taps than one exact product holds
    ("bicubic", (64, 64), (41, 41)),
    ("bicubic", (40, 60), (75, 75)),
]


def pictures(height, width):
    """RGB and grey in one array (2, H, W, 4); noise and extremes, which overshoot and are cut."""
    rng = np.random.default_rng(height * 1000 + width)
    noise = rng.integers(0, 256, (height, width, 4), np.uint8)
    return np.stack([noise, np.where(noise > 127, 255, 0).astype(np.uint8)])


def pillow(image, size, method, box=None):
    """Of an (H, W, C), RGB and what follows it one by one, in the mode of its dtype."""
    if image.dtype == np.uint8:
        groups = [image[..., :3], image[..., 3]]
    else:
        groups = list(np.moveaxis(image, -1, 0))
    results = [
        np.asarray(Image.fromarray(group).resize(size[::-1], PILLOW[method], box=box))
        for group in groups
    ]
    return np.concatenate([r.reshape(*size, -1) for r in results], -1)


@pytest.mark.parametrize(("method", "before", "after"), CASES)
def test_bytes_equal_pillow_bit_for_bit(method, before, after):
    x = pictures(*before)
    ours = resize(x, after, method=method)
    assert ours.dtype == jnp.uint8
    expected = np.stack([pillow(image, after, method) for image in x])
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("method", PILLOW)
def test_a_box_of_bytes_equals_pillow(method):
    box = (3.2, 1.75, 17.0, 20.5)
    x = pictures(23, 18)[0]
    np.testing.assert_array_equal(
        resize(x, (11, 19), method=method, box=box), pillow(x, (11, 19), method, box)
    )


@pytest.mark.parametrize(("method", "before", "after"), CASES[::3])
def test_floats_equal_pillow(method, before, after):
    x = np.random.default_rng(1).normal(size=(1, *before, 2)).astype(np.float32)
    ours = np.asarray(resize(x, after, method=method))
    expected = pillow(x[0], after, method)[None]
    assert ours.dtype == np.float32
    assert np.abs(ours - expected).max() <= 1e-6 * np.abs(x).max()


def test_images_without_a_batch_and_under_jit():
    x = pictures(32, 32)
    jitted = jax.jit(lambda v: resize(v, (75, 75), method="nearest"))
    np.testing.assert_array_equal(jitted(x), resize(x, (75, 75), method="nearest"))
    np.testing.assert_array_equal(jitted(x[0]), pillow(x[0], (75, 75), "nearest"))
    same = resize(x, (32, 32), method="lanczos")
    np.testing.assert_array_equal(same, x)


def test_without_antialiasing_is_the_unstretched_kernel():
    x = np.random.default_rng(2).uniform(size=(12, 20, 1)).astype(np.float32)
    ours = resize(x, (5, 6), method="bicubic", antialias=False)[..., 0]
    rows, columns = (
        resize_matrix(before, after, antialias=False) for before, after in ((12, 5), (20, 6))
    )
    np.testing.assert_allclose(ours, rows @ x[..., 0] @ columns.T, atol=1e-6)


def test_sixteen_bits_are_computed_in_thirty_two():
    x = np.random.default_rng(3).uniform(size=(1, 20, 21, 2)).astype(np.float32)
    low = jnp.asarray(x, jnp.bfloat16)
    ours = resize(low, (20, 8))
    assert ours.dtype == jnp.bfloat16
    exact = resize(low.astype(jnp.float32), (20, 8)).astype(jnp.bfloat16)
    np.testing.assert_array_equal(ours, exact)


@pytest.mark.parametrize("method", ["bicubic", "nearest"])
def test_derivatives_of_any_order(method):
    x = np.random.default_rng(4).normal(size=(1, 6, 9, 1)).astype(np.float32)
    check_grads(
        lambda v: jnp.sin(resize(v, (11, 4), method=method)), (x,), order=2, rtol=5e-2, atol=2e-2
    )


def test_gradient_is_the_transposed_map():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(2, 120, 131, 1)).astype(np.float32)
    y = rng.normal(size=(2, 67, 70, 1)).astype(np.float32)
    _, pull = jax.vjp(lambda v: resize(v, (67, 70), method="lanczos"), x)
    rows, columns = resize_matrix(120, 67, "lanczos"), resize_matrix(131, 70, "lanczos")
    np.testing.assert_allclose(pull(y)[0][..., 0], rows.T @ y[..., 0] @ columns, atol=1e-5)


def test_vmap_is_a_batch():
    x = np.random.default_rng(6).normal(size=(3, 1, 6, 9, 1)).astype(np.float32)
    ours = jax.vmap(lambda v: resize(v, (11, 4)))(x)
    np.testing.assert_allclose(ours[:, 0], resize(x[:, 0], (11, 4)), atol=1e-6)


IMAGES = np.zeros((4, 5, 3), np.uint8)


@pytest.mark.parametrize(
    ("images", "size", "options", "words"),
    [
        (IMAGES[0], (2, 2), {}, r"images must be floats or uint8 .* got uint8 of shape \(5, 3\)"),
        (IMAGES.astype(np.int32), (2, 2), {}, "images must be floats or uint8 .* got int32"),
        (IMAGES[:0], (2, 2), {}, r"got uint8 of shape \(0, 5, 3\)"),
        (IMAGES, (2, 0), {}, r"size must be two positive integers .height, width., got \(2, 0\)"),
        (IMAGES, 8, {}, "size must be two positive integers .height, width., got 8"),
        (IMAGES, (2, 2), {"method": "area"}, "method must be one of .* got 'area'"),
        (IMAGES, (2, 2), {"box": (0, 0, 6, 4)}, "box must be .* within the 5 x 4 pixels"),
        (IMAGES, (2, 2), {"box": (3, 0, 3, 4)}, "box must be .* within the 5 x 4 pixels"),
    ],
)
def test_mistakes_are_named(images, size, options, words):
    with pytest.raises(ValueError, match=words):
        resize(images, size, **options)
