"""Every network with every kind of anti-aliasing: sizes, shapes, training, shift guarantee."""

import functools
import math

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax import models
from aa_jax.nn import AntiAlias

# Parameters of the published networks with 1000 classes.
PARAMETERS = {
    ("alexnet", "none"): 61_100_840,
    ("densenet121", "none"): 7_978_856,
    ("mobilenet_v2", "none"): 3_504_872,
    ("resnet18", "none"): 11_689_512,
    ("resnet18", "blur"): 11_689_512,
    ("resnet18", "adaptive"): 12_602_904,
    ("resnet34", "none"): 21_797_672,
    ("resnet34", "adaptive"): 22_711_064,
    ("resnet50", "none"): 25_557_032,
    ("resnet50", "blur"): 25_557_032,
    ("resnet50", "adaptive"): 27_341_336,
    ("resnet101", "none"): 44_549_160,
    ("resnet101", "adaptive"): 46_333_464,
    ("resnet152", "none"): 60_192_808,
    ("resnet152", "adaptive"): 61_977_112,
    ("resnext50_32x4d", "none"): 25_028_904,
    ("vgg11_bn", "none"): 132_868_840,
    ("vgg16", "none"): 138_357_544,
    ("vgg16_bn", "none"): 138_365_992,
    ("wide_resnet50_2", "none"): 68_883_240,
}
# Built like ResNet-50, only slower to trace.
DEEP = {"resnet101", "resnet152"}
ALL_KINDS = ("none", "blur", "adaptive", "aps", "lps")


def abstract(name: str, **options) -> nnx.Module:
    """A network of shapes, without drawing weights."""
    return nnx.eval_shape(lambda: models.create(name, rngs=nnx.Rngs(0), **options))


def small(kind: str, **options) -> models.ResNet:
    options = {"width": 8, "stage_sizes": (1, 1), "groups": 4, **options}
    return models.small_resnet(5, antialias=kind, rngs=nnx.Rngs(0), **options)


def size(model: nnx.Module) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


@pytest.mark.parametrize(("name", "kind"), PARAMETERS, ids="-".join)
def test_has_the_published_number_of_parameters(name, kind):
    assert size(abstract(name, antialias=kind)) == PARAMETERS[name, kind]


@pytest.mark.parametrize(
    ("name", "parameters"), [("resnet18", 18_732_312), ("resnet50", 39_319_832)]
)
def test_larger_adaptive_filters_have_the_published_number_of_parameters(name, parameters):
    assert size(abstract(name, antialias="adaptive", filter_size=5, groups=8)) == parameters


@pytest.mark.parametrize("kind", ["none", "blur", "adaptive"])
@pytest.mark.parametrize("name", sorted(set(models.MODELS) - DEEP))
def test_maps_images_to_logits_whatever_fills_the_slots(name, kind):
    graphdef, state = nnx.split(abstract(name, num_classes=7, antialias=kind))
    recorded = {}

    def forward(state, x, key):
        model = nnx.merge(graphdef, state, copy=True)
        return model(x, train=True, key=key, record=recorded.__setitem__)

    images = jax.ShapeDtypeStruct((2, 96, 96, 3), jnp.float32)
    logits = jax.eval_shape(forward, state, images, jax.eval_shape(lambda: jax.random.key(0)))
    assert logits.shape == (2, 7)
    filters = [array.shape for key, array in recorded.items() if key.endswith(".filters")]
    assert bool(filters) == (kind == "adaptive")
    assert all(shape[-2:] == (8, 9) for shape in filters)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_trains(rng, kind):
    images = jnp.asarray(rng.random((4, 16, 16, 3)), jnp.float32)
    labels = jnp.asarray([0, 1, 2, 3])
    graphdef, params, stats = nnx.split(small(kind), nnx.Param, nnx.BatchStat)

    @jax.jit
    def step(params, stats, key):
        def loss(params):
            model = nnx.merge(graphdef, params, stats, copy=True)
            logits = jax.nn.log_softmax(model(images, train=True, key=key))
            return -logits[jnp.arange(4), labels].mean(), nnx.state(model, nnx.BatchStat)

        (value, after), grads = jax.value_and_grad(loss, has_aux=True)(params)
        return jax.tree.map(lambda p, g: p - 0.05 * g, params, grads), after, value

    losses, before = [], stats
    for key in jax.random.split(jax.random.key(0), 8):
        params, stats, value = step(params, stats, key)
        losses.append(float(value))
    assert np.isfinite(losses).all() and losses[-1] < 0.9 * losses[0]
    assert jnp.abs(stats["bn1"]["mean"][...] - before["bn1"]["mean"][...]).max() > 0


@functools.cache
def consistency(kind: str) -> tuple[float, float]:
    """Share of equal classes, and largest relative change of logits, over circular shifts."""
    rng = np.random.default_rng(3)
    images = rng.standard_normal((64, 32, 32, 3)).astype(np.float32)
    graphdef, state = nnx.split(small(kind))

    @jax.jit
    def predict(images):
        return nnx.merge(graphdef, state)(images)

    original, agree, change = predict(images), [], 0.0
    # An untrained network prefers one class; without its preference the images decide.
    preference = original.mean(axis=0)
    for _ in range(8):
        shift = rng.integers(-16, 17, 2)
        shifted = predict(jnp.roll(images, shift, axis=(1, 2)))
        agree.append((shifted - preference).argmax(-1) == (original - preference).argmax(-1))
        change = max(change, float(jnp.abs(shifted - original).max() / jnp.abs(original).max()))
    return float(np.mean(agree)), change


@pytest.mark.parametrize("kind", ["aps", "lps"])
def test_polyphase_networks_do_not_notice_circular_shifts(kind):
    agreement, change = consistency(kind)
    assert agreement == 1.0
    assert change < 1e-4


def test_a_plain_network_notices_them():
    agreement, change = consistency("none")
    assert agreement < 0.9
    assert change > 1e-2


def test_tells_intermediates_by_name():
    names, model = [], small("adaptive")
    images = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    jax.eval_shape(
        lambda x: model(x, record=lambda n, array: names.append((n, array.shape))), images
    )
    assert names == [
        ("conv1", (1, 16, 16, 8)),
        ("maxpool.pool.filters", (1, 8, 8, 4, 9)),
        ("maxpool", (1, 8, 8, 8)),
        ("layer1", (1, 8, 8, 8)),
        ("layer2.0.pool.filters", (1, 4, 4, 4, 9)),
        ("layer2.0.shortcut.pool.filters", (1, 4, 4, 4, 9)),
        ("layer2", (1, 4, 4, 16)),
    ]


def test_computes_in_bfloat16_and_keeps_parameters_and_statistics_in_float32(rng):
    images = jnp.asarray(rng.random((2, 16, 16, 3)), jnp.float32)
    half, full = (
        jax.jit(lambda model, x: (model(x, train=True), nnx.state(model)))(model, images)
        for model in (small("adaptive", dtype=jnp.bfloat16), small("adaptive"))
    )
    half, state, full = *half, full[0]
    assert half.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype("float32")}
    assert jnp.abs(half.astype(jnp.float32) - full).max() < 0.1 * jnp.abs(full).max()


@pytest.mark.parametrize("name", ["vgg11_bn", "alexnet"])
def test_without_classes_the_features_come_out(name):
    graphdef, state = nnx.split(abstract(name, num_classes=None, antialias="blur"))
    images = jax.ShapeDtypeStruct((1, 127, 127, 3), jnp.float32)
    features = jax.eval_shape(lambda state, x: nnx.merge(graphdef, state)(x), state, images)
    assert features.shape == {"vgg11_bn": (1, 3, 3, 512), "alexnet": (1, 3, 3, 256)}[name]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: models.create("resnet19"), "got 'resnet19'; did you mean 'resnet1"),
        (lambda: abstract("vgg11_bn", antialias="aps"), "antialias of VGG must be one of none"),
        (lambda: abstract("resnet18", antialias="blurry"), "antialias must be one of none"),
        (lambda: abstract("resnet18", antialias="blur", filter_size=9), "filter_size must be"),
        (lambda: abstract("resnet18", antialias="adaptive", groups=7), "groups must divide"),
        (lambda: abstract("resnet18", stem="large"), 'stem must be "imagenet" or "small"'),
        (lambda: abstract("resnet18", cardinality=2), "cardinality and base_width must be 1"),
        (lambda: small("none")(jnp.zeros((1, 32, 32, 1))), r"images \(N, H, W, 3\)"),
        (lambda: small("none")(jnp.zeros((32, 32, 3))), r"images \(N, H, W, 3\)"),
        (lambda: small("lps")(jnp.zeros((1, 8, 8, 3)), train=True), "key must be a random key"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_aps_can_keep_the_first_stride():
    model = abstract("resnet18", antialias=AntiAlias("aps", first_conv="strided"))
    assert model.conv1.stride == 2
