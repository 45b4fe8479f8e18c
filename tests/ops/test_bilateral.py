"""The bilateral filter against its definition, pixel by pixel; limits; gradients; mistakes.

OpenCV's and PyTorch's arrays are compared in tests/ops/downsample/test_golden.py.
"""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads
from scipy import ndimage

from aa_jax.ops.bilateral import bilateral_filter

PAD_MODES = {"zero": "constant", "edge": "edge", "reflect": "reflect", "circular": "wrap"}


def by_definition(image, *, size, colour, space, stride, window, border):
    half = size // 2
    padded = np.pad(image, ((half, half), (half, half), (0, 0)), PAD_MODES[border])
    u, v = np.mgrid[-half : half + 1, -half : half + 1]
    inside = (u**2 + v**2 <= half**2) if window == "disc" else np.ones((size, size), bool)
    rows, columns = range(0, image.shape[0], stride), range(0, image.shape[1], stride)
    out = np.zeros((len(rows), len(columns), image.shape[2]))
    for a, i in enumerate(rows):
        for b, j in enumerate(columns):
            near = padded[i : i + size, j : j + size]
            distance = np.abs(near - image[i, j]).sum(-1)
            weight = np.exp(-(u**2 + v**2) / (2 * space**2) - distance**2 / (2 * colour**2))
            weight = (weight * inside)[..., None]
            out[a, b] = (weight * near).sum((0, 1)) / weight.sum()
    return out


@pytest.mark.parametrize(
    ("size", "stride", "window", "border"),
    [
        (5, 1, "square", "reflect"),
        (5, 4, "disc", "edge"),
        (3, 2, "square", "zero"),
        (7, 3, "disc", "circular"),
        (7, 5, "square", "reflect"),
        (1, 2, "square", "zero"),
    ],
)
def test_values_by_definition(size, stride, window, border):
    x = np.random.default_rng(size).uniform(size=(2, 11, 14, 3))
    options = dict(size=size, stride=stride, window=window, border=border)
    expected = [by_definition(image, colour=0.3, space=1.2, **options) for image in x]
    with jax.enable_x64(True):
        ours = bilateral_filter(jnp.asarray(x), sigma_colour=0.3, sigma_space=1.2, **options)
        np.testing.assert_allclose(ours, expected, atol=1e-13)
    single = bilateral_filter(x[0].astype(np.float32), sigma_colour=0.3, sigma_space=1.2, **options)
    np.testing.assert_allclose(single, expected[0], atol=1e-6)


def test_without_regard_to_colour_it_is_a_gaussian():
    x = np.random.default_rng(0).uniform(size=(1, 12, 12, 1)).astype(np.float32)
    ours = bilateral_filter(x, sigma_colour=1e4, sigma_space=1.0)
    expected = ndimage.gaussian_filter(x[0, ..., 0], 1.0, mode="mirror", radius=2)
    np.testing.assert_allclose(ours[0, ..., 0], expected, atol=1e-6)


def test_an_edge_stays_and_noise_goes():
    rng = np.random.default_rng(1)
    step = np.where(np.arange(20) < 10, 0.2, 0.8)[None, :, None]
    noisy = (step + 0.02 * rng.normal(size=(20, 20, 1))).astype(np.float32)
    error = np.abs(np.asarray(bilateral_filter(noisy)) - step)
    assert error.mean() < 0.4 * np.abs(noisy - step).mean()
    assert error.max() < 0.06


@pytest.mark.parametrize(("size", "stride"), [(3, 2), (7, 4)])
def test_gradients_by_differences(size, stride):
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(2).uniform(size=(1, 6, 7, 2)))
        check_grads(
            lambda v: bilateral_filter(
                v, size=size, stride=stride, sigma_colour=0.5, border="edge"
            ),
            (x,),
            order=1,
            atol=1e-5,
            rtol=1e-5,
            eps=1e-6,
        )


IMAGE = np.zeros((8, 8, 3), np.float32)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 4}, "size must be a positive odd integer, got 4"),
        ({"stride": 1.5}, "stride must be a positive integer, got 1.5"),
        ({"sigma_colour": 0}, "sigma_colour must be positive and finite, got 0"),
        ({"sigma_space": float("inf")}, "sigma_space must be positive and finite, got inf"),
        ({"window": "circle"}, "window must be one of square, disc, got 'circle'"),
        ({"border": "mirror"}, "mode must be one of zero, .* got 'mirror'"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        bilateral_filter(IMAGE, **options)
