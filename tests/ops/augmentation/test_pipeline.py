"""The pipeline as a function: identity, derivatives, dtypes, devices, compilations, errors."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.ops.augmentation import BGC, BGCFNC, Augmentation, augment
from tests.tolerances import relative_error

KEY = jax.random.key(11)
run = jax.jit(augment, static_argnames="augmentation")


@pytest.fixture
def images(rng):
    return rng.normal(size=(8, 23, 26, 3)).astype(np.float32)


def test_probability_zero_is_the_identity(images):
    """Up to rounding: the resampling filters are orthogonal."""
    assert relative_error(run(images, KEY, 0.0, BGC), images) <= 1e-6
    everything = run(images, KEY, 0.0, BGCFNC)
    assert relative_error(everything, images) <= 2e-6


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


def test_eager_agrees_with_jit(images):
    options = Augmentation(contrast=1.0, noise=1.0, cutout=1.0)
    eager = augment(images[:2], KEY, 0.8, options)
    assert relative_error(eager, run(images[:2], KEY, 0.8, options)) <= 1e-5


def test_draws_do_not_depend_on_dtype(images):
    expected = run(images, KEY, 0.6, BGCFNC)
    with jax.enable_x64(True):
        double = run(jnp.asarray(images, jnp.float64), KEY, 0.6, BGCFNC)
    assert double.dtype == np.float64
    assert relative_error(expected, double) <= 2e-5
    half = run(jnp.asarray(images, jnp.bfloat16), KEY, 0.6, BGCFNC)
    assert half.dtype == jnp.bfloat16
    assert relative_error(half.astype(jnp.float32), double) <= 2e-2


def test_sharding_changes_nothing(images):
    def penalised(images, key):
        gradient = jax.grad(lambda x: jnp.sum(jnp.sin(augment(x, key, 0.7, BGCFNC))))(images)
        return augment(images, key, 0.7, BGCFNC), gradient

    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    compiled = jax.jit(penalised).lower(jax.device_put(images, sharding), KEY).compile()
    assert "all-gather" not in compiled.as_text()
    sharded = compiled(jax.device_put(images, sharding), KEY)
    for actual, expected in zip(sharded, jax.jit(penalised)(images, KEY), strict=True):
        assert actual.sharding.is_equivalent_to(sharding, 4)
        assert relative_error(actual, expected) <= 1e-5


@pytest.mark.parametrize("augmentation", [BGC, Augmentation(imgfilter=1.0, noise=1.0, cutout=1.0)])
def test_gradients_of_gradients(rng, augmentation):
    """As R1 asks: the penalty on the gradient through the pipeline, differentiated again."""
    size = (22, 23) if augmentation.imgfilter else (4, 5)
    with jax.enable_x64(True):
        x = jnp.asarray(rng.normal(size=(2, *size, 3)))
        weight = jnp.asarray(rng.normal(size=x.shape))

        @jax.jit
        def score(x):
            return jnp.sum(weight * jnp.sin(augment(x, KEY, 0.9, augmentation)))

        @jax.jit
        def penalty(x):
            return jnp.sum(jax.grad(score)(x) ** 2)

        check_grads(score, (x,), order=2, modes=("fwd", "rev"), atol=1e-6, rtol=1e-6)
        check_grads(penalty, (x,), order=1, modes=("rev",), atol=1e-5, rtol=1e-6)


def test_gradient_is_the_transpose(images, rng):
    """Dot products agree, though the gradient of reading at random places writes there."""
    linear = jax.jit(functools.partial(augment, augmentation=Augmentation(scale=1.0, rotate=1.0)))
    y, transpose = jax.vjp(lambda x: linear(x, KEY, 0.9), images)
    cotangent = rng.normal(size=y.shape).astype(np.float32)
    (back,) = transpose(cotangent)
    np.testing.assert_allclose(np.vdot(y, cotangent), np.vdot(images, back), rtol=1e-4)


def test_grey_images(images):
    result = run(images[..., :1], KEY, 0.8, BGC)
    assert result.shape == (8, 23, 26, 1)
    assert np.isfinite(result).all()


def test_any_channels_without_colours(images):
    wide = np.concatenate([images, images[..., :2]], -1)
    geometric = Augmentation(xint=1.0)
    result = run(wide, KEY, 0.8, geometric)
    assert relative_error(result[..., 3:], result[..., :2]) == 0


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
