"""The multi-scale discriminator against reference arrays, and its own plain NumPy form."""

import json

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.motion.discriminator import MultiScaleDiscriminator
from aa_jax.training.state import collect_stats, merge, split
from tests.models.feature_oracles import conv
from tests.models.motion.golden_weights import golden_tensors
from tests.tolerances import NETWORK, STORED, relative_error

FILES = ("fomm_disc", "fomm_disc_sn")
# Our names of the leaves of convolutions and norms.
LEAVES = {
    "conv.weight": "kernel",
    "conv.weight_orig": "kernel",
    "conv.weight_u": "u",
    "conv.weight_v": "v",
    "conv.bias": "bias",
    "norm.weight": "scale",
    "norm.bias": "bias",
}


def variable(network, name):
    """The variable that a published name means."""
    _, scale, *path = name.split(".")
    module = network.discs[network.scale_names.index(scale)]
    if path[0] == "down_blocks":
        module, path = module.down_blocks[int(path[1])], path[2:]
    return getattr(getattr(module, path[0]), LEAVES[".".join(path)])


def load(network, tensors):
    for name, tensor in tensors.items():
        place = variable(network, name)
        value = tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor
        assert place.shape == value.shape, name
        place[...] = jnp.asarray(value, place.dtype)


def judge(graphdef, params, stats, pyramid, keypoints=None, *, train):
    network = merge(graphdef, params, stats)
    return network(pyramid, keypoints, train=train), collect_stats(network)


judge = jax.jit(judge, static_argnames=("graphdef", "train"))


@pytest.fixture(scope="module", params=[(f, d) for f in FILES for d in ("float32", "float64")])
def results(request, golden):
    """A reference, our maps in evaluation and in training, and the statistics behind."""
    file, dtype = request.param
    reference = golden(f"motion_splat_face/{file}.npz")
    config = json.loads(str(reference["config"]))
    with jax.enable_x64(dtype == "float64"):
        network = MultiScaleDiscriminator(
            scales=tuple(config["scales"]),
            block_expansion=config["block_expansion"],
            max_features=config["max_features"],
            num_blocks=config["num_blocks"],
            spectral_norm="power_iteration" if config["sn"] else "none",
            keypoint_maps=config["num_kp"] if config["use_kp"] else 0,
            param_dtype=dtype,
            rngs=nnx.Rngs(0),
        )
        load(network, golden_tensors(reference))
        parts = split(network)
        pyramid = {1.0: jnp.asarray(reference["x_u8"] / 255, dtype)}
        maps = {mode: judge(*parts, pyramid, train=mode == "train") for mode in ("eval", "train")}
        before, after = parts[2], maps["train"][1]
        moved = merge(parts[0], parts[1], after)
        return {
            "dtype": dtype,
            "reference": reference,
            "maps": {mode: jax.tree.map(np.asarray, result[0]) for mode, result in maps.items()},
            "unmoved": jax.tree.map(np.array_equal, maps["eval"][1], before),
            "after": {
                name: np.asarray(variable(moved, name.removeprefix("after/"))[...])
                for name in reference
                if name.startswith("after/")
            },
        }


def nchw(x):
    return x.transpose(0, 3, 1, 2)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_reference_maps(mode, results):
    reference, judgement = results["reference"], results["maps"][mode][1.0]
    limit = {"float32": 1e-4, "float64": 1e-6}[results["dtype"]]
    assert judgement.prediction.dtype == results["dtype"]
    assert np.abs(nchw(judgement.prediction) - reference[f"{mode}_map"]).max() < limit
    assert np.abs(nchw(judgement.maps[3]) - reference[f"{mode}_feat3"]).max() < limit
    assert len(judgement.maps) == 4
    for index, features in enumerate(judgement.maps):
        expected = float(reference[f"{mode}_feat{index}_mean_abs"])
        assert np.abs(features).mean() == pytest.approx(expected, rel=limit)


def test_reference_singular_vectors(results):
    # In evaluation nothing moves.
    assert all(jax.tree.leaves(results["unmoved"]))
    limit = {"float32": 1e-5, "float64": 2 * STORED["float32"]}[results["dtype"]]
    for name, vector in results["after"].items():
        assert np.abs(vector - results["reference"][name]).max() < limit, name


def test_the_references_are_both_kinds(golden):
    vectors = [
        [name for name in golden(f"motion_splat_face/{file}.npz") if name.startswith("after/")]
        for file in FILES
    ]
    assert [len(names) for names in vectors] == [0, 10]


@pytest.fixture(scope="module")
def small():
    """Two scales that see three keypoints."""
    return MultiScaleDiscriminator(
        scales=(1, 0.5),
        block_expansion=2,
        max_features=6,
        num_blocks=2,
        keypoint_maps=3,
        rngs=nnx.Rngs(1),
    )


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(3)
    pyramid = {1: rng.uniform(size=(2, 27, 32, 3)), 0.5: rng.uniform(size=(2, 13, 16, 3))}
    return jax.tree.map(jnp.float32, pyramid), jnp.float32(rng.uniform(-1, 1, (2, 3, 2)))


def oracle(disc, images, points):
    """The same in NumPy, step by step."""
    height, width = images.shape[1:3]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    offsets = np.stack([x, y], -1)[None, ..., None, :] - points[:, None, None]
    z = np.concatenate([images, np.exp(-(offsets**2).sum(-1) / 0.02)], -1)
    maps = []
    wide = lambda variable: np.asarray(variable[...], np.float64)  # noqa: E731
    for index, block in enumerate(disc.down_blocks):
        z = conv(z, wide(block.conv.kernel).transpose(3, 2, 0, 1)) + wide(block.conv.bias)
        if index:
            z = (z - z.mean((1, 2), keepdims=True)) / np.sqrt(z.var((1, 2), keepdims=True) + 1e-5)
            z = z * wide(block.norm.scale) + wide(block.norm.bias)
        z = np.where(z > 0, z, 0.2 * z)
        if index < len(disc.down_blocks) - 1:
            z = z[:, : z.shape[1] // 2 * 2, : z.shape[2] // 2 * 2]
            z = (z[:, ::2] + z[:, 1::2]) / 2
            z = (z[:, :, ::2] + z[:, :, 1::2]) / 2
        maps.append(z)
    return maps, z @ wide(disc.conv.kernel)[0, 0] + wide(disc.conv.bias)


def test_scales_and_keypoint_maps(small, pictures):
    pyramid, points = pictures
    judgements, _ = judge(*split(small), pyramid, points, train=False)
    assert set(judgements) == {0.5, 1}
    for scale, disc in zip(small.scales, small.discs, strict=True):
        images = np.asarray(pyramid[scale], np.float64)
        maps, prediction = oracle(disc, images, np.asarray(points, np.float64))
        for ours, theirs in zip(judgements[scale].maps, maps, strict=True):
            assert relative_error(ours, theirs) < NETWORK["float32"]
        assert relative_error(judgements[scale].prediction, prediction) < NETWORK["float32"]


def test_keypoints_get_no_gradient(small, pictures):
    parts, (pyramid, points) = split(small), pictures

    def loss(pyramid, points):
        judgements, _ = judge(*parts, pyramid, points, train=True)
        return sum(jnp.sum(judgement.prediction) for judgement in judgements.values())

    of_images, of_points = jax.jit(jax.grad(loss, (0, 1)))(pyramid, points)
    assert not np.any(of_points)
    assert all(np.any(gradient) for gradient in of_images.values())


def test_full_size_and_names():
    plain = nnx.eval_shape(
        lambda: MultiScaleDiscriminator(keypoint_maps=10, scales=(1, 0.5), rngs=nnx.Rngs(0))
    )
    count = lambda state: sum(leaf.size for leaf in jax.tree.leaves(state))  # noqa: E731
    # Published: 2 769 089 with ten keypoint maps; 2 758 849 without, its singular vectors apart.
    assert count(nnx.state(plain.discs[0])) == 2_769_089
    assert plain.scale_names == ("1", "0-5")
    assert plain.smallest == 61
    normed = nnx.eval_shape(
        lambda: MultiScaleDiscriminator(spectral_norm="power_iteration", rngs=nnx.Rngs(0))
    )
    assert count(nnx.state(normed, nnx.Param)) == 2_758_849


def test_refuses(small, pictures):
    pyramid, points = pictures
    with pytest.raises(ValueError, match="pyramid must have scale 0.5, got 1"):
        small({1: pyramid[1]}, points)
    with pytest.raises(ValueError, match=r"keypoints must be of shape \(2, 3, 2\), got None"):
        small(pyramid)
    with pytest.raises(ValueError, match="at least 13 pixels high and wide for 2 blocks"):
        small({1: pyramid[1], 0.5: pyramid[0.5][:, :12]}, points)
    with pytest.raises(ValueError, match=r"pyramid\[1\] must be \(N, H, W, 3\)"):
        small({1: pyramid[1][0], 0.5: pyramid[0.5]}, points)
    build = lambda **options: MultiScaleDiscriminator(rngs=nnx.Rngs(0), **options)  # noqa: E731
    with pytest.raises(ValueError, match="spectral_norm must be one of none, power_iteration"):
        build(spectral_norm="yes")
    with pytest.raises(ValueError, match="scales must be different numbers"):
        build(scales=(1, 1.0))
    with pytest.raises(ValueError, match="num_blocks must be positive"):
        build(num_blocks=0)
    blind = build(block_expansion=1, num_blocks=1)
    with pytest.raises(ValueError, match="keypoints must be None, as keypoint_maps is 0"):
        blind(pyramid, points)
