"""The discriminator against reference arrays: results, first and second derivatives."""

import dataclasses
import functools
import json

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.alias_free.discriminator import Discriminator
from aa_jax.training import distributed
from tests.tolerances import OP, relative_error

NAMES = ("disc_32", "disc_32_cond", "disc_64")
LOGITS = {"float64": 1e-9, "float32": 1e-4}
# Computed in float64, stored as float32; those of the generator's loss were computed in float32.
GRADIENT, GENERATOR_GRADIENT = 1e-6, 1e-5


@dataclasses.dataclass(frozen=True)
class Case:
    """A network with the weights of a reference file, in one dtype."""

    arrays: dict
    graphdef: nnx.GraphDef
    state: nnx.State
    images: jax.Array
    labels: jax.Array | None

    def logits(self, state, images, **options):
        return nnx.merge(self.graphdef, state)(images, self.labels, **options)

    def image_gradient(self, state, images):
        return jax.grad(lambda images: self.logits(state, images).sum())(images)

    def check_gradients(self, gradients, prefix, tolerance):
        """Compares gradients of parameters with the file's, by their published names."""
        variables = by_published_name(nnx.merge(self.graphdef, gradients))
        names = [name for name in self.arrays if name.startswith(f"{prefix}:")]
        assert len(names) == 6
        for name in names:
            variable = variables[name.removeprefix(f"{prefix}:")]
            actual = np.asarray(variable[...]).transpose()
            if actual.ndim == 4:  # (O, I, W, H) by now
                actual = actual.transpose(0, 1, 3, 2)
            assert relative_error(actual, self.arrays[name]) <= tolerance, name


def by_published_name(model):
    """Published names, without those of filters -> our variables."""
    modules = {f"b4.{name}": getattr(model.epilogue, name) for name in ("conv", "fc", "out")}
    for block in model.blocks:
        for name in ("fromrgb", "conv0", "conv1", "skip"):
            modules[f"b{block.resolution}.{name}"] = getattr(block, name)
    if model.mapping is not None:
        modules["mapping.embed"] = model.mapping.embed
        modules |= {f"mapping.fc{i}": layer for i, layer in enumerate(model.mapping.layers)}
    variables = {}
    for name, module in modules.items():
        if module is not None:
            variables[f"{name}.weight"] = module.kernel
            if module.bias is not None:
                variables[f"{name}.bias"] = module.bias
    return variables


def load(arrays, dtype, **options):
    """Builds the network of a reference file. For float64, with x64 enabled."""
    config = json.loads(str(arrays["cfg"]))
    resolution = config.pop("img_resolution")
    graphdef, abstract = nnx.split(
        nnx.eval_shape(
            lambda: Discriminator(
                resolution, param_dtype=jnp.dtype(dtype), rngs=nnx.Rngs(0), **config, **options
            )
        )
    )
    # Drawing initial weights would take longer than the test.
    model = nnx.merge(graphdef, jax.tree.map(lambda v: jnp.zeros(v.shape, v.dtype), abstract))
    variables = by_published_name(model)
    published = {name.removeprefix("p:") for name in arrays if name.startswith("p:")}
    assert {name for name in published if not name.endswith("resample_filter")} == set(variables)
    for name, variable in variables.items():
        weight = arrays[f"p:{name}"]
        if name == "b4.fc.weight":
            # From (channels, height, width) to (height, width, channels).
            weight = weight.reshape(len(weight), -1, 4, 4).transpose(0, 2, 3, 1)
            weight = weight.reshape(len(weight), -1)
        weight = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.transpose()
        assert weight.shape == variable.shape, name
        variable[...] = jnp.asarray(weight, dtype)
    return Case(
        arrays=arrays,
        graphdef=graphdef,
        state=nnx.state(model),
        images=jnp.asarray(arrays["img"].transpose(0, 2, 3, 1), dtype),
        labels=jnp.asarray(arrays["c"], dtype) if config["c_dim"] else None,
    )


@pytest.mark.parametrize("dtype", list(LOGITS))
@pytest.mark.parametrize("name", NAMES)
def test_logits_and_blocks_agree_with_reference(golden, name, dtype):
    with jax.enable_x64(dtype == "float64"):
        case = load(golden(f"alias_free/{name}.npz"), dtype)

        @jax.jit
        def run(state, images):
            recorded = {}
            logits = case.logits(state, images, record=recorded.__setitem__)
            return logits, recorded

        logits, recorded = run(case.state, case.images)
    assert logits.dtype == dtype
    expected = case.arrays["logits64" if dtype == "float64" else "logits"]
    assert relative_error(logits, expected) <= LOGITS[dtype]
    # Statistics of blocks were taken in float32.
    blocks = [np.asarray(recorded.pop(str(block))) for block in case.arrays["block_names"]]
    assert not recorded
    for statistic in ("mean", "std"):
        actual = [getattr(np, statistic)(block.astype(np.float64)) for block in blocks]
        assert relative_error(actual, case.arrays[f"block_{statistic}"]) <= 1e-4


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) for name in NAMES if name != "disc_32_cond"]
)
def test_derivatives_agree_with_reference(golden, name):
    check_derivatives(golden(f"alias_free/{name}.npz"))


def test_derivatives_of_the_conditional_network_agree_with_reference(golden):
    check_derivatives(golden("alias_free/disc_32_cond.npz"))


def check_derivatives(arrays):
    """Gradient of images, R1 penalty and its gradient, gradient of the generator's loss."""
    with jax.enable_x64(True):
        case = load(arrays, "float64")

        def mean_penalty(state, images):
            dimg = case.image_gradient(state, images)
            penalties = jnp.sum(dimg**2, axis=(1, 2, 3))
            return penalties.mean(), (penalties, dimg)

        def loss(state, images):
            return jax.nn.softplus(-case.logits(state, images)).mean()

        @jax.jit
        def run(state, images):
            return (
                jax.grad(mean_penalty, has_aux=True)(state, images),
                jax.grad(loss)(state, images),
            )

        (of_penalty, (penalties, dimg)), of_loss = run(case.state, case.images)
        assert relative_error(dimg, arrays["dimg64"].transpose(0, 2, 3, 1)) <= GRADIENT
        assert relative_error(penalties, arrays["r1_penalty64"]) <= GRADIENT
        case.check_gradients(of_penalty, "dr164", GRADIENT)
        case.check_gradients(of_loss, "dsoftplus", GENERATOR_GRADIENT)


@pytest.fixture(scope="module")
def seen_in_half(golden):
    """Logits of one network in float32, in both half precisions, and with these overruled."""
    arrays = golden("alias_free/disc_32_cond.npz")
    logits, dtypes = {}, {}
    for half in (None, "float16", "bfloat16"):
        case = load(arrays, "float32", half_dtype=half, num_fp16_res=2)
        recorded = {}
        run = jax.jit(functools.partial(case.logits, record=recorded.__setitem__))
        logits[half] = run(case.state, case.images)
        dtypes[half] = {name: array.dtype for name, array in recorded.items()}
    run = jax.jit(functools.partial(case.logits, force_fp32=True))
    logits["forced"] = run(case.state, case.images)
    return logits, dtypes


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_the_finest_blocks_compute_in_half_precision(seen_in_half, half):
    logits, dtypes = seen_in_half
    # Two of three resolutions; the epilogue never does.
    assert dtypes[half] == {"b32": half, "b16": half, "b8": "float32"}
    assert logits[half].dtype == jnp.float32
    assert 0 < relative_error(logits[half], logits[None]) <= 2 * OP[half]


def test_half_precision_can_be_overruled(seen_in_half):
    logits, dtypes = seen_in_half
    assert set(dtypes[None].values()) == {jnp.dtype("float32")}
    assert relative_error(logits["forced"], logits[None]) <= 1e-6


@pytest.mark.parametrize(
    "resolution, num_fp16_res, expected",
    [(1024, 4, {1024, 512, 256, 128}), (32, 4, {32, 16, 8}), (64, 1, {64}), (64, 0, set())],
)
def test_which_blocks_are_in_half_precision(resolution, num_fp16_res, expected):
    model = nnx.eval_shape(
        lambda: Discriminator(resolution, num_fp16_res=num_fp16_res, rngs=nnx.Rngs(0))
    )
    assert {block.resolution for block in model.blocks if block.half_precision} == expected


def test_published_channels():
    """Of the 256-pixel networks: base 32768 (configurations of 2021) and 16384."""
    for base, first in ((32768, 128), (16384, 64)):
        build = functools.partial(Discriminator, 256, channel_base=base)
        model = nnx.eval_shape(lambda build=build: build(rngs=nnx.Rngs(0)))
        shapes = [block.conv1.kernel.shape[2:] for block in model.blocks]
        widths = [min(first * 2**i, 512) for i in range(7)]
        assert shapes == list(zip(widths[:-1], widths[1:], strict=True))
        assert model.epilogue.fc.kernel.shape == (16 * 512, 512)


def test_only_the_linear_branch_is_unbounded(rng):
    model = Discriminator(16, channel_base=64, conv_clamp=0.5, rngs=nnx.Rngs(0))
    block = model.blocks[1]
    # So that its result reaches the clamp although its input is clamped.
    block.conv1.kernel[...] *= 100
    x = jnp.asarray(100 * rng.normal(size=(1, 8, 8, 8)), jnp.float32)
    skip = block.skip(x)
    assert jnp.abs(skip).max() > 50
    assert jnp.abs(block(x) - skip).max() == pytest.approx(0.5 * np.sqrt(0.5), rel=1e-4)
    image = jnp.asarray(100 * rng.normal(size=(1, 16, 16, 3)), jnp.float32)
    assert jnp.abs(model.blocks[0].fromrgb(image)).max() == 0.5
    assert jnp.abs(block.conv0(x)).max() == 0.5
    assert jnp.abs(model.epilogue.conv(jnp.tile(x, (1, 1, 1, 3))[..., :17])).max() == 0.5


def test_images_are_compared_within_their_group_only(rng):
    images = jnp.asarray(rng.uniform(-1, 1, size=(4, 8, 8, 1)), jnp.float32)
    other = images.at[0].set(0.0)
    options = dict(img_channels=1, channel_base=32, rngs=nnx.Rngs(0))
    changed = {}
    for name, settings in {
        "pairs": {"mbstd_group_size": 2},
        "batch": {"mbstd_group_size": None},
        "alone": {"mbstd_num_channels": 0},
    }.items():
        model = Discriminator(8, **settings, **options)
        run = jax.jit(model)
        changed[name] = (run(images) != run(other))[:, 0].tolist()
    assert changed["pairs"] == [True, False, True, False]
    assert changed["batch"] == [True] * 4
    assert changed["alone"] == [True, False, False, False]


def test_groups_across_devices_are_compared_alike(rng):
    """Images of a group lie on different devices: logits, gradients and R1 must not notice."""
    assert jax.device_count() == 8
    model = Discriminator(8, img_channels=1, channel_base=32, channel_max=4, rngs=nnx.Rngs(0))
    graphdef, state = nnx.split(model)
    images = rng.uniform(-1, 1, size=(32, 8, 8, 1)).astype(np.float32)

    def run(state, images):
        def loss(state, images):
            logits = nnx.merge(graphdef, state)(images)
            return jax.nn.softplus(-logits).mean(), logits

        (_, logits), gradient = jax.value_and_grad(loss, has_aux=True)(state, images)
        dimg = jax.grad(lambda images: nnx.merge(graphdef, state)(images).sum())(images)
        return logits, gradient, jnp.sum(dimg**2, axis=(1, 2, 3))

    results = []
    for count in (1, 8):
        mesh = distributed.data_mesh(jax.devices()[:count])
        arguments = (
            distributed.replicate(state, mesh),
            jax.device_put(images, distributed.batch_sharding(mesh)),
        )
        compiled = jax.jit(run).lower(*arguments).compile()
        results.append(compiled(*arguments))
    errors = jax.tree.map(relative_error, results[1], results[0])
    assert max(jax.tree.leaves(errors)) <= 1e-5
    # Sums over groups travel, but not the maps of all images.
    assert "all-gather" not in compiled.as_text()


def test_bad_options_are_named():
    def build(resolution=16, **options):
        Discriminator(resolution, channel_base=64, rngs=nnx.Rngs(0), **options)

    for resolution in (4, 24, 16.0):
        with pytest.raises(ValueError, match="resolution must be a power of two, at least 8, got"):
            build(resolution)
    with pytest.raises(ValueError, match="channel_base must be an integer from 128 on, got 64"):
        build(128)
    with pytest.raises(ValueError, match="c_dim must be an integer from 0 on, got None"):
        build(c_dim=None)
    with pytest.raises(ValueError, match="cmap_dim must be None without labels, got 4"):
        build(cmap_dim=4)
    with pytest.raises(ValueError, match="cmap_dim must be an integer from 1 on, got 0"):
        build(c_dim=2, cmap_dim=0)
    with pytest.raises(ValueError, match="mbstd_group_size must be an integer from 1 on, got 0"):
        build(mbstd_group_size=0)
    with pytest.raises(ValueError, match="mbstd_num_channels must divide the 16 channels"):
        build(mbstd_num_channels=3)
    with pytest.raises(ValueError, match="half_dtype must be one of float16, bfloat16 or None"):
        build(half_dtype="float32")


def test_bad_input_is_named():
    options = dict(channel_base=32, param_dtype=jnp.float32)
    plain = nnx.eval_shape(lambda: Discriminator(8, rngs=nnx.Rngs(0), **options))
    conditional = nnx.eval_shape(lambda: Discriminator(8, c_dim=3, rngs=nnx.Rngs(0), **options))
    images = jnp.zeros((6, 8, 8, 3))
    with pytest.raises(
        ValueError, match=r"images must be \(N, 8, 8, 3\), got shape \(4, 3, 8, 8\)"
    ):
        plain(jnp.zeros((4, 3, 8, 8)))
    with pytest.raises(ValueError, match=r"images must be \(N, 8, 8, 3\), got shape \(8, 8, 3\)"):
        plain(images[0])
    with pytest.raises(ValueError, match="images must be floating, in .*, got dtype uint8"):
        plain(images.astype("uint8"))
    with pytest.raises(ValueError, match="images must hold a multiple of 4 images, .* got 6"):
        plain(images)
    with pytest.raises(ValueError, match="labels must be None"):
        plain(images[:4], jnp.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"labels must be labels \(N, 3\), got None"):
        conditional(images[:4])
    with pytest.raises(ValueError, match=r"labels must be \(4, 3\), got shape \(4, 2\)"):
        conditional(images[:4], jnp.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"labels must be \(4, 3\), got shape \(1, 3\)"):
        conditional(images[:4], jnp.zeros((1, 3)))
