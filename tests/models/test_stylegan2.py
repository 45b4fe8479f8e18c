"""The StyleGAN2 generator against its formulas in float64 NumPy, and by its statistics."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp
from scipy import signal

from aa_jax.models.stylegan2 import StyleGAN2Generator
from tests.tolerances import OP, relative_error

SMALL = dict(z_dim=6, w_dim=5, channel_base=32, channel_max=4, mapping_layers=2)
# [1, 3, 3, 1] along rows and columns, with a gain of 4.
FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16


def upsampled(fine):
    """Filters a zero-inserted map that has one more sample on every side; keeps what is centred."""
    return signal.convolve2d(fine, FILTER)[2:-3, 2:-3]


def affine(layer, w):
    return w @ np.asarray(layer.kernel[...]) / np.sqrt(len(w)) + np.asarray(layer.bias[...])


def convolved(x, kernel, mode):
    """Correlates (H, W, I) with (k, k, I, O)."""
    maps = [
        sum(signal.correlate2d(x[..., i], kernel[..., i, o], mode) for i in range(x.shape[-1]))
        for o in range(kernel.shape[-1])
    ]
    return np.stack(maps, -1)


def conv_by_definition(layer, x, w, *, up, clamp):
    kernel = np.asarray(layer.kernel[...]) * affine(layer.affine, w)[:, None]
    kernel = kernel / np.sqrt(np.sum(kernel**2, axis=(0, 1, 2)) + 1e-8)
    if up:
        fine = np.zeros((2 * len(x), 2 * len(x), x.shape[2]))
        fine[::2, ::2] = x
        x = convolved(fine, kernel, "full")
        x = np.stack([upsampled(x[..., o]) for o in range(x.shape[-1])], -1)
    else:
        x = convolved(x, kernel, "same")
    x = x + np.asarray(layer.noise[...])[..., None] * float(layer.noise_strength[...])
    x = x + np.asarray(layer.bias[...])
    return np.clip(np.sqrt(2) * np.where(x < 0, 0.2 * x, x), -clamp, clamp)


def image_by_definition(synthesis, ws, *, clamp):
    """One image, from latents (num_ws, w_dim) taken in turn."""
    x, image, used = np.asarray(synthesis.const[...]), 0, 0
    for block in synthesis.blocks:
        if block.conv0 is not None:
            x = conv_by_definition(block.conv0, x, ws[used], up=True, clamp=clamp)
            used += 1
            fine = np.zeros((2 * len(image) + 2,) * 2 + image.shape[2:])
            fine[1:-1:2, 1:-1:2] = image
            image = np.stack([upsampled(fine[..., o]) for o in range(image.shape[-1])], -1)
        x = conv_by_definition(block.conv1, x, ws[used], up=False, clamp=clamp)
        used += 1
        torgb = block.torgb
        kernel = np.asarray(torgb.kernel[0, 0]) * affine(torgb.affine, ws[used])[:, None]
        seen = x @ kernel / np.sqrt(x.shape[-1]) + np.asarray(torgb.bias[...])
        image = image + np.clip(seen, -clamp, clamp)
    assert used == len(ws) - 1
    return image


def test_images_agree_with_their_formulas(rng):
    clamp = 2.0
    with jax.enable_x64(True):
        model = StyleGAN2Generator(
            16, conv_clamp=clamp, param_dtype=jnp.float64, rngs=nnx.Rngs(0), **SMALL
        )
        for path, variable in nnx.iter_graph(model):
            # These start at zero.
            if path and path[-1] in ("bias", "noise_strength") and "synthesis" in path:
                if "affine" not in path:
                    variable[...] = jnp.asarray(0.3 * rng.normal(size=variable.shape))
        ws = rng.normal(size=(2, model.num_ws, 5))
        images = jax.jit(model.synthesis)(jnp.asarray(ws))
    assert images.shape == (2, 16, 16, 3)
    expected = [image_by_definition(model.synthesis, w, clamp=clamp) for w in ws]
    # The demodulation's epsilon meets styles of other power.
    assert relative_error(images, np.stack(expected)) <= 1e-7
    assert np.max(np.abs(expected)) > clamp


@pytest.fixture(scope="module")
def model():
    return StyleGAN2Generator(16, rngs=nnx.Rngs(0), **SMALL)


@pytest.mark.parametrize("resolution, num_ws", [(8, 4), (256, 14), (1024, 18)])
def test_number_of_latents_and_channels(resolution, num_ws):
    model = nnx.eval_shape(lambda: StyleGAN2Generator(resolution, rngs=nnx.Rngs(0)))
    assert model.num_ws == model.synthesis.num_ws == model.mapping.num_ws == num_ws
    assert (model.resolution, model.img_channels, model.c_dim) == (resolution, 3, 0)
    assert len(model.mapping.layers) == 8
    shapes = {block.resolution: block.conv1.kernel.shape for block in model.synthesis.blocks}
    widths = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128, 512: 64, 1024: 32}
    assert shapes == {r: (3, 3, c, c) for r, c in widths.items() if r <= resolution}


def test_number_of_parameters():
    """As summaries of the published generator of 1024 pixels print it."""
    model = nnx.eval_shape(lambda: StyleGAN2Generator(1024, rngs=nnx.Rngs(0)))
    assert sum(v.size for v in jax.tree.leaves(nnx.state(model, nnx.Param))) == 30_370_060


def test_gradients_of_path_lengths(rng):
    """Second derivatives, as path length regularisation takes them, of a block that doubles."""
    with jax.enable_x64(True):
        model = StyleGAN2Generator(8, param_dtype=jnp.float64, rngs=nnx.Rngs(0), **SMALL)
        graphdef, state = nnx.split(model.synthesis.blocks[1])
        x, image, ws = (
            jnp.asarray(rng.normal(size=shape)) for shape in ((1, 4, 4, 4), (1, 4, 4, 3), (1, 3, 5))
        )
        direction = jax.tree.map(lambda v: jnp.asarray(rng.normal(size=v.shape)), state)

        def squared_length(step):
            moved = jax.tree.map(lambda v, d: v + step * d, state, direction)
            draw = functools.partial(nnx.merge(graphdef, moved), noise_mode="const", key=None)
            return jnp.sum(jax.grad(lambda ws: draw(x, image, ws, record=None)[1].sum())(ws) ** 2)

        run = jax.jit(jax.value_and_grad(squared_length))
        step = 1e-6
        differences = (run(step)[0] - run(-step)[0]) / (2 * step)
        assert float(run(0.0)[1]) == pytest.approx(float(differences), rel=1e-5)


def test_activations_start_near_unit_power():
    model = StyleGAN2Generator(
        32, z_dim=32, w_dim=32, channel_base=2048, channel_max=64, rngs=nnx.Rngs(0)
    )

    @jax.jit
    def powers(z):
        found = {}
        model(z, record=lambda name, x: found.setdefault(name, jnp.mean(x**2)))
        return found

    found = powers(jax.random.normal(jax.random.key(1), (8, 32)))
    names = [f"b{r}.{name}" for r in (4, 8, 16, 32) for name in ("conv0", "conv1", "image")]
    assert sorted(found) == sorted(names[1:])
    for name, power in found.items():
        # Below one: zeros at the borders of the first maps, and the filter behind an upsampling of
        # a constant that is white noise at first, take power away. Images are sums.
        assert 0.15 < power < (1.1 if "conv" in name else 3), (name, power)


def test_noise(model):
    """Of one layer that it is made visible in: linear there, and constant without noise."""
    graphdef, state = nnx.split(model)
    model = nnx.merge(graphdef, jax.tree.map(jnp.array, state))
    layer = model.synthesis.blocks[0].conv1
    layer.noise_strength[...] = jnp.asarray(0.5)
    layer.bias[...] = jnp.full_like(layer.bias[...], 20.0)
    ws = jnp.ones((64, model.num_ws, 5))

    @functools.partial(jax.jit, static_argnames="noise_mode")
    def first_map(key, noise_mode):
        found = {}
        model.synthesis(ws, noise_mode=noise_mode, key=key, record=found.__setitem__)
        return found["b4.conv1"]

    keys = jax.random.split(jax.random.key(0))
    plain = first_map(None, "none")
    noise = (first_map(keys[0], "random") - plain) / (0.5 * np.sqrt(2))
    # Alike in all channels, unlike in images and positions, standard normal.
    np.testing.assert_allclose(noise, np.broadcast_to(noise[..., :1], noise.shape), atol=1e-4)
    values = np.asarray(noise[..., 0]).ravel()
    assert len(np.unique(values)) == 64 * 16
    assert abs(values.mean()) < 0.1 and abs(values.std() - 1) < 0.1
    assert not jnp.array_equal(first_map(keys[0], "random"), first_map(keys[1], "random"))
    # A key alone means random noise.
    assert jnp.array_equal(first_map(keys[0], None), first_map(keys[0], "random"))
    const = (first_map(None, None) - plain) / (0.5 * np.sqrt(2))
    expected = np.broadcast_to(layer.noise[...][..., None], const.shape)
    np.testing.assert_allclose(const, expected, atol=1e-4)


def test_parts_can_be_called_apart(model):
    z = jax.random.normal(jax.random.key(0), (2, 6))
    graphdef, state = nnx.split(model)

    @jax.jit
    def together(state):
        model = nnx.merge(graphdef, state)
        images = model(z, truncation_psi=0.5, truncation_cutoff=2, update_emas=True)
        return images, model.mapping.w_avg[...]

    @jax.jit
    def apart(state):
        model = nnx.merge(graphdef, state)
        ws = model.mapping(z, truncation_psi=0.5, truncation_cutoff=2, update_emas=True)
        images = model.synthesis(ws, update_emas=True)
        return images, model.mapping.w_avg[...]

    results = together(state), apart(state)
    assert relative_error(results[0][0], results[1][0]) <= 1e-6
    assert (results[0][1] == results[1][1]).all() and (results[0][1] != 0).any()


def test_half_precision(model):
    options = dict(num_fp16_res=2, rngs=nnx.Rngs(0), **SMALL)
    half = StyleGAN2Generator(16, half_dtype="float16", **options)
    ws = jax.random.normal(jax.random.key(0), (2, half.num_ws, 5))
    dtypes = {}
    image = jax.jit(
        lambda ws: half.synthesis(ws, record=lambda name, x: dtypes.setdefault(name, x.dtype))
    )(ws)
    expected = {"b4.conv1": "float32"}
    expected |= {f"b{r}.{name}": "float16" for r in (8, 16) for name in ("conv0", "conv1")}
    expected |= {f"b{r}.image": "float32" for r in (4, 8, 16)}
    assert dtypes == expected
    # The same weights: `model` was drawn alike.
    assert 0 < relative_error(image, jax.jit(model.synthesis)(ws)) <= 2 * OP["float16"]
    dtypes.clear()
    jax.eval_shape(
        lambda ws: half.synthesis(
            ws, force_fp32=True, record=lambda name, x: dtypes.setdefault(name, x.dtype)
        ),
        ws,
    )
    assert set(dtypes.values()) == {jnp.dtype("float32")}


def test_classes_choose_images():
    model = StyleGAN2Generator(8, c_dim=2, rngs=nnx.Rngs(0), **SMALL)
    z = jnp.ones((2, 6))
    images = jax.jit(model)(z, jnp.eye(2))
    assert not jnp.allclose(images[0], images[1])
    with pytest.raises(ValueError, match=r"c must be class vectors \(N, 2\), got None"):
        model(z)


def test_bad_arguments_are_named(model):
    def build(resolution=16, **options):
        StyleGAN2Generator(resolution, rngs=nnx.Rngs(0), **(SMALL | options))

    for resolution in (4, 24, 16.0):
        with pytest.raises(ValueError, match="resolution must be a power of two, at least 8, got"):
            build(resolution)
    with pytest.raises(ValueError, match="channel_base must be an integer from 64 on, got 32"):
        build(64)
    with pytest.raises(ValueError, match="img_channels must be an integer from 1 on, got 0"):
        build(img_channels=0)
    with pytest.raises(ValueError, match=r"half_dtype must be one of \(None, 'float16', 'bfl"):
        build(half_dtype="float32")
    ws = jnp.ones((1, model.num_ws, 5))
    with pytest.raises(ValueError, match=r"ws must be \(N, 6, w_dim\), got shape \(1, 5, 5\)"):
        model.synthesis(ws[:, 1:])
    with pytest.raises(ValueError, match="transform must be None"):
        model(jnp.ones((1, 6)), transform=jnp.eye(3))
    with pytest.raises(ValueError, match="noise_mode must be one of .* got 'fixed'"):
        model.synthesis(ws, noise_mode="fixed")
    with pytest.raises(ValueError, match="key must be a random key with noise_mode='random'"):
        model.synthesis(ws, noise_mode="random")
