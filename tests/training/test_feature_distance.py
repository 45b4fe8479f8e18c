"""aa_jax.training.feature_distance against its formulas."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.training.feature_distance import (
    feature_distances,
    feature_matching_loss,
    perceptual_pyramid_loss,
)


@pytest.fixture
def maps(rng):
    shapes = [(2, 8, 8, 3), (2, 4, 4, 5)]
    return [[rng.normal(size=shape).astype(np.float32) for shape in shapes] for _ in range(2)]


def means(generated, real):
    return [np.abs(a.astype(np.float64) - b).mean() for a, b in zip(generated, real, strict=True)]


def test_distances(maps):
    np.testing.assert_allclose(feature_distances(*maps), means(*maps), rtol=1e-6)
    first, second = means(*maps)
    loss = feature_matching_loss(*maps, weights=(10, 3))
    assert float(loss) == pytest.approx(10 * first + 3 * second, rel=1e-6)


def test_gradient_goes_to_the_generated_side(maps):
    generated, real = maps
    loss = lambda a, b: feature_matching_loss(a, b, weights=(10, 3))  # noqa: E731
    of_generated, of_real = jax.grad(loss, (0, 1))(generated, real)
    for gradient, a, b, weight in zip(of_generated, generated, real, (10, 3), strict=True):
        np.testing.assert_allclose(gradient, weight * np.sign(a - b) / a.size, rtol=1e-6)
    assert not any(np.any(gradient) for gradient in of_real)


def test_16_bit_maps_are_compared_in_float32():
    a, b = jnp.full((1, 100, 100, 1), 1.0, jnp.bfloat16), jnp.full((1, 100, 100, 1), 0.5, "float16")
    (distance,) = feature_distances([a], [b])
    assert distance.dtype == jnp.float32 and float(distance) == 0.5


def features(images):
    """Two maps that are easily written down."""
    return [jnp.square(images), images[:, ::2, ::2].sum(-1, keepdims=True)]


def test_pyramid_is_a_sum_over_scales(rng):
    shapes = {1: (2, 8, 6, 3), 0.5: (2, 4, 3, 3), 0.25: (2, 2, 2, 3)}
    pyramids = [{s: rng.normal(size=shape) for s, shape in shapes.items()} for _ in range(2)]
    narrow = jax.tree.map(jnp.float32, pyramids)
    total, distances = jax.jit(
        lambda a, b: perceptual_pyramid_loss(features, a, b, weights=(2.0, 5.0))
    )(*narrow)
    expected = 0.0
    for scale in shapes:
        a, b = (pyramid[scale] for pyramid in pyramids)
        first = np.abs(a**2 - b**2).mean()
        second = np.abs((a - b)[:, ::2, ::2].sum(-1)).mean()
        np.testing.assert_allclose(distances[scale], [first, second], rtol=1e-5)
        expected += 2 * first + 5 * second
    assert float(total) == pytest.approx(expected, rel=1e-5)


def test_pyramid_differentiates_the_generated_side_only(rng):
    a, b = jnp.float32(rng.normal(size=(2, 1, 4, 4, 2)))
    loss = lambda a, b: perceptual_pyramid_loss(  # noqa: E731
        features, {1: a}, {1: b}, weights=(1, 0)
    )[0]
    of_a, of_b = jax.grad(loss, (0, 1))(a, b)
    np.testing.assert_allclose(of_a, np.sign(a**2 - b**2) * 2 * a / a.size, rtol=1e-5)
    assert not np.any(of_b)


def test_refuses(maps):
    generated, real = maps
    with pytest.raises(ValueError, match="maps of the same shapes, at least one, got"):
        feature_distances(generated, real[:1])
    with pytest.raises(ValueError, match="maps of the same shapes, at least one, got"):
        feature_distances([], [])
    with pytest.raises(ValueError, match="one number for each of 2 maps, got 3"):
        feature_matching_loss(generated, real, weights=(1, 2, 3))
    x = jnp.zeros((1, 4, 4, 3))
    with pytest.raises(ValueError, match=r"same scales, at least one, got \[1\] and \[0.5\]"):
        perceptual_pyramid_loss(features, {1: x}, {0.5: x})
    with pytest.raises(ValueError, match="one number for each of 2 maps, got 5"):
        perceptual_pyramid_loss(features, {1: x}, {1: x})
