"""VGG-16's features and LPIPS distances against plain NumPy in float64."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.perceptual import (
    LPIPS,
    VGG16Features,
    lpips_extractor,
    vgg16_extractor,
    vgg16_input,
)
from aa_jax.weights import write_safetensors
from aa_jax.weights.feature_networks import load_lpips, load_vgg16
from tests.models.feature_layouts import lpips_shapes, random_tensors, vgg16_shapes
from tests.models.feature_oracles import lpips_distance, vgg16_features
from tests.tolerances import NETWORK, OP, relative_error

DIVISOR = 32


@pytest.fixture(scope="module")
def tensors():
    return random_tensors(vgg16_shapes(DIVISOR), seed=2)


@pytest.fixture(scope="module")
def linear():
    return random_tensors(lpips_shapes(DIVISOR), seed=3)


@pytest.fixture(scope="module")
def folder(tensors, linear, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vgg")
    write_safetensors(folder / "vgg16.safetensors", tensors)
    write_safetensors(folder / "lpips.safetensors", linear)
    return folder


def test_vgg16_features(folder, tensors, rng):
    images = rng.integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    network = load_vgg16(folder / "vgg16.safetensors", width_divisor=DIVISOR)
    features = vgg16_extractor(network, dialect="clean")(images)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = vgg16_features(tensors, (images / 255 - mean) / deviation)
    assert expected.shape == (1, 4096 // DIVISOR)
    assert relative_error(features, expected) < NETWORK["float32"] / 10
    assert 0 < np.mean(expected == 0) < 1  # behind the ReLU


def test_vgg16_input_resizes():
    # Constant pictures stay constant under any interpolation.
    images = np.full((1, 50, 40, 3), 51, np.uint8)
    expected = (0.2 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    prepared = vgg16_input(images, dialect="clean")
    assert prepared.shape == (1, 224, 224, 3)
    np.testing.assert_allclose(prepared, np.broadcast_to(expected, prepared.shape), rtol=1e-5)


@pytest.fixture(scope="module")
def embed(folder):
    paths = (folder / "vgg16.safetensors", folder / "lpips.safetensors")
    return lpips_extractor(load_lpips(*paths, width_divisor=DIVISOR))


@pytest.mark.parametrize(
    ("size", "length"),
    [((32, 48), 122 * 32 * 48), ((33, 50), 64 * 1650 + 128 * 400 + 256 * 96 + 512 * 24 + 512 * 6)],
)
def test_squared_distance_is_lpips(size, length, embed, tensors, linear, rng):
    a = rng.uniform(0, 255, (2, *size, 3)).astype(np.float32)
    b = np.clip(a + rng.normal(0, 20, a.shape), 0, 255).astype(np.float32)
    difference = np.asarray(embed(a), np.float64) - np.asarray(embed(b), np.float64)
    assert difference.shape == (2, length // DIVISOR)
    expected = lpips_distance(tensors, linear, a.astype(np.float64), b.astype(np.float64))
    assert expected.min() > 0.01
    assert relative_error((difference**2).sum(-1), expected) < NETWORK["float32"] / 10


def test_distance_in_float64(folder, tensors, linear, rng):
    a, b = rng.uniform(0, 255, (2, 1, 16, 16, 3))
    paths = (folder / "vgg16.safetensors", folder / "lpips.safetensors")
    with jax.enable_x64(True):
        network = load_lpips(*paths, width_divisor=DIVISOR, param_dtype=jnp.float64)
        embed = lpips_extractor(network)
        distance = jnp.sum((embed(a) - embed(b)) ** 2, -1)
        assert relative_error(distance, lpips_distance(tensors, linear, a, b)) < OP["float64"]


def test_full_size():
    features = nnx.eval_shape(lambda: VGG16Features(rngs=nnx.Rngs(0)))
    lpips = nnx.eval_shape(lambda: LPIPS(rngs=nnx.Rngs(0)))
    count = lambda state: sum(leaf.size for leaf in jax.tree.leaves(state))  # noqa: E731
    # Published: VGG-16 has 138 357 544 parameters, of which 4 097 000 in the last layer.
    assert count(nnx.state(features)) == 138_357_544 - 4_097_000
    assert count(nnx.state(lpips)) == 14_714_688 + 1472
    image = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
    assert nnx.eval_shape(lambda m, x: m(x), lpips, image).shape == (1, 122 * 256 * 256)
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    assert nnx.eval_shape(lambda m, x: m(x), features, image).shape == (1, 4096)


def test_refuses(embed):
    with pytest.raises(ValueError, match="at least 16 x 16 pixels"):
        embed(np.zeros((1, 15, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="must be images"):
        embed(np.zeros((1, 32, 32), np.uint8))
    with pytest.raises(ValueError, match="width_divisor must be from 1 to 64"):
        LPIPS(width_divisor=65, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="dialect must be one of"):
        vgg16_extractor(nnx.eval_shape(lambda: VGG16Features(rngs=nnx.Rngs(0))), dialect="none")
