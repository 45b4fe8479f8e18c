"""VGG-19 with weights out of a file, and the perceptual pyramid loss on it, against references."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp
from numpy.lib.stride_tricks import sliding_window_view

from aa_jax.models.vgg19 import VGG19Features, frozen
from aa_jax.training.feature_distance import perceptual_pyramid_loss
from aa_jax.weights import load_vgg19, write_safetensors
from tests.models.motion.golden_weights import golden_tensors

SCALES = (1, 0.5, 0.25, 0.125)


@pytest.fixture(scope="module")
def reference(golden):
    return golden("motion_splat_face/fomm_perceptual_vgg.npz")


@pytest.fixture(scope="module")
def path(reference, tmp_path_factory):
    """The reference weights as a file in torchvision's layout."""
    path = tmp_path_factory.mktemp("vgg19") / "vgg19.safetensors"
    tensors = golden_tensors(reference)
    write_safetensors(path, {f"features.{name}": tensor for name, tensor in tensors.items()})
    return path


def reduced(picture, scale):
    """By the motion model's rule: a Gaussian, zeros outside, every nth pixel from the first."""
    if scale == 1:
        return picture
    sigma = (1 / scale - 1) / 2
    size = 2 * round(4 * sigma) + 1
    row = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
    kernel = np.float32(np.outer(row, row) / row.sum() ** 2)
    padded = np.pad(picture, [(size // 2,) * 2] * 2 + [(0, 0)])
    windows = sliding_window_view(padded, kernel.shape, (0, 1))[:: round(1 / scale)]
    return np.tensordot(windows[:, :: round(1 / scale)], np.float64(kernel), 2)


@pytest.mark.parametrize(("dtype", "limit"), [("float32", 1e-4), ("float64", 1e-6)])
def test_reference_loss(dtype, limit, reference, path):
    with jax.enable_x64(dtype == "float64"):
        features, weights = frozen(load_vgg19(path, param_dtype=dtype))
        pyramids = [
            {s: jnp.asarray(reduced(reference[name] / 255, s)[None], dtype) for s in SCALES}
            for name in ("a_u8", "b_u8")
        ]

        @jax.jit
        def loss(weights, generated, real):
            return perceptual_pyramid_loss(lambda x: features(weights, x), generated, real)

        total, distances = loss(weights, *pyramids)
        assert total.dtype == dtype
        table = np.stack([distances[scale] for scale in SCALES])
        np.testing.assert_allclose(table, reference["l1_scale_by_layer"], rtol=limit)
        assert float(total) == pytest.approx(float(reference["perceptual_total"]), rel=limit)


def test_weights_are_constants(rng):
    features, weights = frozen(VGG19Features(width_divisor=32, rngs=nnx.Rngs(0)))
    a, b = jnp.float32(rng.uniform(size=(2, 1, 16, 16, 3)))

    def loss(weights, a, b):
        return perceptual_pyramid_loss(lambda x: features(weights, x), {1: a}, {1: b})[0]

    of_weights, of_a, of_b = jax.jit(jax.grad(loss, (0, 1, 2)))(weights, a, b)
    assert np.any(of_a) and not np.any(of_b)
    assert len(jax.tree.leaves(of_weights)) == 26
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(of_weights))


def test_nothing_of_the_real_images_is_kept():
    """The backward pass holds the maps of one side, as if the other's had been given."""
    features, weights = frozen(VGG19Features(width_divisor=32, rngs=nnx.Rngs(0)))
    image = jnp.zeros((1, 32, 32, 3))

    def kept(loss):
        held = jax.eval_shape(lambda a, b: jax.vjp(loss, a, b)[1], image, image)
        return sum(leaf.size for leaf in jax.tree.leaves(held))

    def loss(a, b):
        return perceptual_pyramid_loss(lambda x: features(weights, x), {1: a}, {1: b})[0]

    def symmetric(a, b):
        maps = [features(weights, x) for x in (a, b)]
        return sum(jnp.mean(jnp.abs(p - q)) for p, q in zip(*maps, strict=True))

    # Weights, which both hold, are the rest.
    assert kept(symmetric) - kept(loss) > 0.4 * (kept(loss) - _count(weights))


def _count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_full_size():
    network = nnx.eval_shape(lambda: VGG19Features(rngs=nnx.Rngs(0)))
    # Published: VGG-19's convolutions have 20 024 384 parameters; three of 512 x 512 are not read.
    assert _count(nnx.state(network)) == 20_024_384 - 3 * (9 * 512 * 512 + 512)
    image = jax.ShapeDtypeStruct((2, 64, 96, 3), jnp.float32)
    maps = nnx.eval_shape(lambda m, x: m(x), network, image)
    sides = [(64, 96), (32, 48), (16, 24), (8, 12), (4, 6)]
    widths = (64, 128, 256, 512, 512)
    assert [y.shape for y in maps] == [(2, *s, w) for s, w in zip(sides, widths, strict=True)]


def test_refuses():
    network = nnx.eval_shape(lambda: VGG19Features(width_divisor=64, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="at least 16 x 16 pixels"):
        network(jnp.zeros((1, 15, 32, 3)))
    with pytest.raises(ValueError, match="must be images"):
        network(jnp.zeros((32, 32, 3)))
