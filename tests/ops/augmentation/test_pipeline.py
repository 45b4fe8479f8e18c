"""The pipeline as a function: identity, derivatives, dtypes, devices, compilations, errors."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.ops.augmentation import BGCFNC, Augmentation, augment
from tests.tolerances import relative_error

KEY = jax.random.key(11)
run = jax.jit(augment, static_argnames="augmentation")


@pytest.fixture
def images(rng):
    return rng.normal(size=(8, 23, 26, 3)).astype(np.float32)


def test_probability_zero_is_the_identity(images):
    """Up to rounding: the resampling filters are orthogonal."""
    result = run(images, KEY, np.float32(0.0), BGCFNC)
    assert relative_error(result, images) <= 2e-6


def test_nothing_on_returns_the_images(images):
    np.testing.assert_array_equal(augment(images, KEY, 1.0, Augmentation()), images)


def test_one_compilation_serves_all_probabilities_and_percentiles(images):
    traced = 0

    @jax.jit
    def counted(images, key, probability):
        nonlocal traced
        traced += 1
        return augment(images, key, probability, Augmentation(xint=1.0))

    results = [counted(images, KEY, np.float32(p)) for p in (0.0, 0.4, 1.7)]
    assert traced == 1
    changed = [(abs(np.asarray(r) - images).max((1, 2, 3)) > 1e-3).sum() for r in results]
    assert changed[0] == 0 < changed[1] < changed[2]


def test_draws_do_not_depend_on_dtype(images):
    expected = run(images, KEY, np.float32(0.6), BGCFNC)
    with jax.enable_x64(True):
        double = run(jnp.asarray(images, jnp.float64), KEY, np.float32(0.6), BGCFNC)
    assert double.dtype == np.float64
    assert relative_error(expected, double) <= 2e-5


def test_half_precision_is_computed_in_single(images):
    options = Augmentation(contrast=1.0, cutout=1.0)
    half = run(jnp.asarray(images, jnp.bfloat16), KEY, 0.6, options)
    assert half.dtype == jnp.bfloat16
    expected = run(images, KEY, 0.6, options)
    assert relative_error(half.astype(jnp.float32), expected) <= 1e-2


@jax.jit
def with_gradient(images, cotangent):
    """Augmented images, and the gradient of their dot product with `cotangent`."""
    options = Augmentation(rotate=1.0, contrast=1.0, noise=1.0)
    result, transpose = jax.vjp(lambda x: augment(x, KEY, 0.7, options), images)
    return result, transpose(cotangent)[0]


def test_gradient_is_the_transpose(images, rng):
    cotangent = rng.normal(size=images.shape).astype(np.float32)
    result, gradient = with_gradient(images, cotangent)
    noise, _ = with_gradient(0 * images, cotangent)
    expected = np.vdot(np.float64(result) - noise, cotangent)
    np.testing.assert_allclose(np.vdot(images, gradient), expected, rtol=1e-4)


def test_sharding_changes_nothing(images, rng):
    cotangent = rng.normal(size=images.shape).astype(np.float32)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    shards = [jax.device_put(x, sharding) for x in (images, cotangent)]
    compiled = with_gradient.lower(*shards).compile()
    assert "all-gather" not in compiled.as_text()
    for actual, expected in zip(compiled(*shards), with_gradient(images, cotangent), strict=True):
        assert actual.sharding.is_equivalent_to(sharding, 4)
        assert relative_error(actual, expected) <= 1e-5


def test_gradients_of_gradients(rng):
    """As R1 asks: the penalty on the gradient through the pipeline, differentiated again."""
    augmentation = Augmentation(rotate=1.0, hue=1.0, cutout=1.0)
    with jax.enable_x64(True):
        x, weight = (jnp.asarray(rng.normal(size=(2, 4, 5, 3))) for _ in range(2))

        def score(x):
            return jnp.sum(weight * jnp.sin(augment(x, KEY, 0.9, augmentation)))

        @jax.jit
        def penalty(x):
            return jnp.sum(jax.grad(score)(x) ** 2)

        check_grads(penalty, (x,), order=1, modes=("rev",), atol=1e-6, rtol=1e-6)


def test_any_channels_without_colours(images):
    wide = np.concatenate([images, images[..., :2]], -1)
    geometric = Augmentation(xint=1.0)
    result = run(wide, KEY, 0.8, geometric)
    # To rounding: the compiler may add up the channels of a vector's end in another order.
    assert relative_error(result[..., 3:], result[..., :2]) <= 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": jnp.zeros((4, 8, 8))}, r"images must be .*\(4, 8, 8\)"),
        ({"images": jnp.zeros((1, 8, 8, 3), jnp.uint8)}, r"images must be a floating .*uint8"),
        ({"images": jnp.zeros((0, 8, 8, 3))}, r"images must not be empty, got shape \(0, 8"),
        ({"images": jnp.zeros((1, 8, 8, 4))}, "images must have 1 or 3 channels .*, got 4"),
        (
            {"augmentation": Augmentation(imgfilter=1.0), "images": jnp.zeros((1, 21, 40, 3))},
            "images must be at least 22 samples high and wide for imgfilter, got 21 x 40",
        ),
        ({"key": jnp.zeros(2, jnp.uint32)}, "key must be one typed PRNG key"),
        ({"key": jax.random.split(KEY)}, "key must be one typed PRNG key"),
        ({"probability": np.ones(3)}, r"probability must be a scalar, got shape \(3,\)"),
        ({"percentile": np.ones(2)}, r"percentile must be a scalar, got shape \(2,\)"),
    ],
)
def test_errors(change, message):
    arguments = {"images": jnp.zeros((1, 8, 8, 3)), "key": KEY, "probability": 0.5, **change}
    with pytest.raises(ValueError, match=message):
        augment(**arguments)
