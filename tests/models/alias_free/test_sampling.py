"""Seeds, transforms, classes and style mixing as users meet them."""

import jax
import numpy as np
import pytest
from flax import nnx

from aa_jax.models import alias_free
from aa_jax.models.alias_free import invert_transform, mix_styles, one_hot, picture_transform


@pytest.fixture(scope="module")
def generator():
    return alias_free.alias_free_t(
        16, channel_base=64, channel_max=4, z_dim=8, w_dim=8, c_dim=2, rngs=nnx.Rngs(0)
    )


def test_one_picture_for_each_seed_whatever_the_batch(generator):
    images = alias_free.sample(generator, [5, 3, 5], classes=1, batch_size=2)
    assert images.shape == (3, 16, 16, 3) and images.dtype == np.float32
    np.testing.assert_allclose(images[0], images[2], atol=1e-5)
    assert np.abs(images[0] - images[1]).max() > 0.01
    # The published tools' latents: NumPy's legacy generator, one for each seed.
    z = alias_free.latents_from_seeds([5], 8)
    np.testing.assert_array_equal(z[0], np.random.RandomState(5).randn(8).astype(np.float32))
    whole = generator(z, one_hot(1, 1, 2))
    np.testing.assert_allclose(images[:1], whole, atol=1e-5)


def test_pictures_can_be_moved_one_by_one(generator):
    ws = alias_free.map_latents(generator, np.ones((2, 8), np.float32), one_hot([0, 1], 2, 2))
    turned = picture_transform(rotate=90)
    both = alias_free.synthesize(generator, ws, transform=np.stack([np.eye(3), turned]))
    np.testing.assert_allclose(both[:1], alias_free.synthesize(generator, ws)[:1], atol=1e-5)
    all_turned = alias_free.synthesize(generator, ws, transform=turned)
    np.testing.assert_allclose(both[1:], all_turned[1:], atol=1e-5)


def test_transforms_are_inverses_of_the_movement():
    # Right by 0.1: the coordinates that are drawn lie 0.1 to the left.
    np.testing.assert_allclose(picture_transform(translate=(0.1, 0.2))[:2, 2], (-0.1, -0.2))
    np.testing.assert_allclose(picture_transform(scale=2)[:2, :2], np.eye(2) / 2)
    angle = np.radians(30)
    movement = picture_transform(rotate=-30)[:2, :2]
    expected = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    np.testing.assert_allclose(movement, expected, atol=1e-12)
    moved = picture_transform(translate=(0.1, -0.3), rotate=20, scale=1.5)
    np.testing.assert_allclose(invert_transform(invert_transform(moved)), moved, atol=1e-12)


@pytest.mark.parametrize(
    ("movement", "message"),
    [
        (np.eye(2), r"movement must be a finite \(3, 3\) matrix"),
        (np.full((3, 3), np.nan), r"movement must be a finite \(3, 3\) matrix"),
        (np.diag([1.0, 0.0, 1.0]), "movement must be invertible"),
        (np.ones((3, 3)), r"movement must be affine, last row \(0, 0, 1\)"),
    ],
)
def test_bad_movements_are_named(movement, message):
    with pytest.raises(ValueError, match=message):
        invert_transform(movement)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0.0}, "scale must be positive"),
        ({"rotate": np.inf}, "rotate must be finite"),
        ({"translate": (np.nan, 0)}, "translate must be finite"),
        ({"translate": (0.1,)}, r"translate must be \(right, down\)"),
    ],
)
def test_bad_transforms_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        picture_transform(**options)


def test_classes():
    np.testing.assert_array_equal(one_hot(2, 2, 3), [[0, 0, 1], [0, 0, 1]])
    np.testing.assert_array_equal(one_hot([0, 2], 2, 3), [[1, 0, 0], [0, 0, 1]])
    assert one_hot(None, 2, 0) is None
    for classes, c_dim, message in (
        (1, 0, "the network is unconditional and takes no class, got 1"),
        (None, 3, "the network is conditional: choose a class from 0 to 2"),
        (3, 3, "a class must be an integer from 0 to 2, got 3"),
        (0.5, 3, "a class must be an integer from 0 to 2, got 0.5"),
    ):
        with pytest.raises(ValueError, match=message):
            one_hot(classes, 2, c_dim)


def test_styles_are_mixed_by_layer():
    coarse, fine = np.zeros((2, 4, 3)), np.ones((1, 4, 3))
    mixed = mix_styles(coarse, fine, [1, 3])
    np.testing.assert_array_equal(mixed[..., 0], [[0, 1, 0, 1]] * 2)
    with pytest.raises(ValueError, match="layers must lie from 0 to 3, got"):
        mix_styles(coarse, fine, [4])


def test_bytes_are_rounded_as_published():
    values = np.array([-1.5, -1, 0, 1 / 127.5, 0.99, 1, 2], np.float32)
    np.testing.assert_array_equal(alias_free.to_uint8(values), [0, 0, 128, 129, 254, 255, 255])


def test_non_trained_state_stands_apart(generator):
    graph, params, rest = nnx.split(generator, nnx.Param, ...)
    names = {"/".join(map(str, path)) for path, _ in nnx.to_flat_state(rest)}
    assert {name.rsplit("/", 1)[-1] for name in names} == {
        "w_avg",
        "freqs",
        "phases",
        "magnitude_ema",
    }
    assert len(names) == 3 + len(generator.plan.layers)
    assert all(leaf.size for leaf in jax.tree.leaves(params))


def test_sixteen_bits_where_the_plan_says():
    # Rates above 1/16 of the resolution are eligible: at 16 px, all of them.
    options = dict(channel_base=64, channel_max=4, z_dim=8, w_dim=8, rngs=nnx.Rngs(0))
    half = alias_free.alias_free_r(16, half_dtype="bfloat16", **options)
    dtypes = {}
    z = np.ones((1, 8), np.float32)
    images = half(z, record=lambda name, array: dtypes.setdefault(name, str(array.dtype)))
    assert images.dtype == "float32"
    assert dtypes.pop("input") == "float32"
    assert set(dtypes.values()) == {"bfloat16"}
    exact = half(z, force_fp32=True)
    error = np.abs(images - exact).max() / np.abs(exact).max()
    assert 1e-4 < error < 0.1
    with pytest.raises(ValueError, match="half_dtype must be one of"):
        alias_free.alias_free_t(16, half_dtype="int8", **options)


def test_a_rectangular_canvas(generator):
    wide = alias_free.alias_free_t(
        (16, 32), channel_base=64, channel_max=4, z_dim=8, w_dim=8, rngs=nnx.Rngs(0)
    )
    assert alias_free.sample(wide, [0]).shape == (1, 16, 32, 3)
