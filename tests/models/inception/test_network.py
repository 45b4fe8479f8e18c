"""Every block and the whole network against plain NumPy in float64, and the documented layout."""

import re

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.inception import (
    InceptionV3Features,
    inception_extractor,
    inception_input,
    inception_layers,
)
from aa_jax.models.inception.units import mean_of_neighbours
from aa_jax.weights import write_safetensors
from aa_jax.weights.feature_networks import load_inception
from tests.models.feature_layouts import inception_convs, inception_shapes, random_tensors
from tests.models.feature_oracles import Inception, pool, softmax
from tests.tolerances import NETWORK, OP, relative_error

DIVISOR = 16


@pytest.fixture(scope="module")
def tensors():
    return random_tensors(inception_shapes(DIVISOR), seed=1)


@pytest.fixture(scope="module")
def path(tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "small.safetensors"
    write_safetensors(path, tensors)
    return path


@pytest.fixture(scope="module")
def abstract():
    return nnx.eval_shape(lambda: InceptionV3Features(rngs=nnx.Rngs(0)))


def test_layout_is_the_documented_one(abstract):
    ours = {name: layer.kernel.shape for name, layer in inception_layers(abstract).items()}
    assert ours == {name: (*taps, i, o) for name, (o, i, *taps) in inception_convs().items()}
    assert abstract.features == 2048
    assert abstract.fc.kernel.shape == (2048, 1008)


def test_number_of_parameters():
    # Published: torchvision's network has 23 834 568 without its auxiliary classifier, of which
    # 2 049 000 in a last layer of 1000 classes.
    trained = {k: v for k, v in inception_shapes().items() if "running" not in k}
    total = sum(int(np.prod(shape)) for shape in trained.values())
    assert total - (2048 + 1) * 1008 == 23_834_568 - 2_049_000


@pytest.fixture(scope="module")
def double(path):
    with jax.enable_x64(True):
        return load_inception(path, width_divisor=DIVISOR, param_dtype=jnp.float64)


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("Mixed_5b", 192),
        ("Mixed_6a", 288),
        ("Mixed_6c", 768),
        ("Mixed_7a", 768),
        ("Mixed_7b", 1280),
        ("Mixed_7c", 2048),
    ],
)
def test_blocks(name, inputs, double, tensors, rng):
    x = rng.uniform(0, 1, (2, 6, 5, inputs // DIVISOR))
    with jax.enable_x64(True):
        graph, state = nnx.split(double.blocks[name])
        run = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
        assert relative_error(run(state, x), Inception(tensors).block(name, x)) < OP["float64"]


def test_whole_network(path, tensors, rng):
    images = rng.integers(0, 256, (1, 299, 299, 3), dtype=np.uint8)
    extract = inception_extractor(load_inception(path, width_divisor=DIVISOR), dialect="pytorch")
    features, probabilities = extract(images)
    expected = Inception(tensors).features(2.0 * images / 255 - 1)
    assert relative_error(features, expected) < NETWORK["float32"] / 10
    # Without the classifier's bias, which the file has.
    classes = softmax(expected @ tensors["fc.weight"].T.astype(np.float64))
    assert relative_error(probabilities, classes) < NETWORK["float32"]


def test_extractor_prepares_images(path, rng):
    network = load_inception(path, width_divisor=DIVISOR)
    images = rng.integers(0, 256, (1, 40, 52, 3), dtype=np.uint8)
    given = inception_extractor(network, dialect="tensorflow")(images).features
    graph, state = nnx.split(network)
    run = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    expected = run(state, inception_input(images, dialect="tensorflow")).features
    assert relative_error(given, expected) < OP["float32"]


@pytest.mark.parametrize("precision", ["highest", "default"])
def test_precision_reaches_every_product(precision):
    network = nnx.eval_shape(
        lambda: InceptionV3Features(width_divisor=DIVISOR, precision=precision, rngs=nnx.Rngs(0))
    )
    graph, state = nnx.split(network)
    x = jax.ShapeDtypeStruct((1, 75, 75, 3), jnp.float32)
    text = str(jax.make_jaxpr(lambda state, x: nnx.merge(graph, state)(x))(state, x))
    products = len(re.findall(r"= (?:dot_general|conv_general_dilated)\[", text))
    assert products == len(inception_convs()) + 1
    assert text.count("Precision.HIGHEST") == (2 * products if precision == "highest" else 0)


@pytest.mark.parametrize("size", [(4, 5), (2, 1)])
def test_mean_leaves_out_what_is_not_there(size, rng):
    x = rng.uniform(size=(1, *size, 2)).astype(np.float32)
    assert relative_error(mean_of_neighbours(x), pool(x, np.nanmean, pad=1)) < OP["float32"]


@pytest.mark.parametrize("divisor", [0, 33])
def test_refuses_widths(divisor):
    with pytest.raises(ValueError, match="width_divisor must be from 1 to 32"):
        InceptionV3Features(width_divisor=divisor, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("shape", [(1, 74, 299, 3), (1, 299, 299, 1), (299, 299, 3)])
def test_refuses_images(abstract, shape):
    with pytest.raises(ValueError, match="x must be images"):
        abstract(np.zeros(shape, np.float32))
