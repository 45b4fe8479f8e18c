"""Checkpoints of the motion model: published layout, our own files, and what is refused."""

import json

import numpy as np
import pytest
from flax import nnx

from aa_jax.models.motion import KeypointDetector, MotionGenerator, MultiScaleDiscriminator
from aa_jax.weights import WeightsError, write_safetensors
from aa_jax.weights.motion import (
    MotionSettings,
    export_motion,
    load_motion,
    motion_names,
    motion_networks,
    save_motion,
)
from aa_jax.weights.names import variables
from tests.models.motion.golden_weights import golden_tensors
from tests.weights.torch_files import state_dict, write_zip


def _save(path, parts, **others):
    """Writes parts as `torch.save` does a dictionary of state dictionaries, and what else."""
    flat = {(part, name): parts[part][name] for part in parts for name in parts[part]}
    records, buffers = state_dict(flat)
    root = {part: {name: records[part, name] for name in parts[part]} for part in parts}
    write_zip(path, root | others, buffers)


SHAPES = "fomm_checkpoint_shapes.json"


@pytest.fixture(scope="module")
def small():
    """A detector, a generator and a discriminator, and their tensors as a checkpoint has them."""
    options = dict(num_kp=3, rngs=nnx.Rngs(0))
    detector = KeypointDetector(block_expansion=4, num_blocks=2, max_features=8, **options)
    generator = MotionGenerator(
        block_expansion=4,
        max_features=8,
        num_bottleneck_blocks=2,
        dense_motion=dict(block_expansion=4, num_blocks=2, max_features=8),
        **options,
    )
    critic = MultiScaleDiscriminator(
        block_expansion=4, num_blocks=2, spectral_norm="power_iteration", rngs=nnx.Rngs(1)
    )
    networks = {"kp_detector": detector, "generator": generator, "discriminator": critic}
    parts = {part: export_motion(network) for part, network in networks.items()}
    taps = np.ones((3, 1, 13, 13), np.float32)
    parts["kp_detector"]["down.weight"] = taps
    parts["generator"]["dense_motion_network.down.weight"] = taps
    parts["generator"]["first.norm.num_batches_tracked"] = np.array(7)
    return networks, parts


@pytest.mark.parametrize("model", ["vox-256", "vox-adv-256"])
def test_full_size_names_and_shapes_are_the_published_ones(golden, model):
    from tests.conftest import GOLDEN

    listed = json.loads((GOLDEN / "motion_splat_face" / SHAPES).read_text())
    critic = {"spectral_norm": "power_iteration"} if model == "vox-256" else {"keypoint_maps": 10}
    kinds = {
        "kp_detector": lambda: KeypointDetector(rngs=nnx.Rngs(0)),
        "generator": lambda: MotionGenerator(rngs=nnx.Rngs(0)),
        "discriminator": lambda: MultiScaleDiscriminator(**critic, rngs=nnx.Rngs(0)),
    }
    for part, create in kinds.items():
        network = nnx.eval_shape(create)
        expected = {
            name: tuple(shape)
            for name, shape in listed[f"{model}/{part}"].items()
            if not name.endswith(("num_batches_tracked", "down.weight"))
        }
        names = motion_names(network)
        assert set(names.values()) == set(expected)
        for path, variable in variables(network).items():
            shape = expected[names[path]]
            theirs = (*shape[2:], shape[1], shape[0]) if len(shape) == 4 else shape
            assert variable.shape == theirs, names[path]


def test_a_published_file_is_read_whole(tmp_path, small):
    networks, parts = small
    path = tmp_path / "vox.pth.tar"
    # The state of optimisers and the epoch stand beside, and a name may be prefixed.
    moved = {f"module.{name}": array for name, array in parts["kp_detector"].items()}
    _save(path, parts | {"kp_detector": moved}, optimizer_generator={"state": {}}, epoch=3)
    loaded = load_motion(path)
    for part, network in networks.items():
        before, after = export_motion(network), export_motion(getattr(loaded, part))
        assert set(before) == set(after)
        for name, array in before.items():
            np.testing.assert_array_equal(after[name], array)
    assert loaded.settings == MotionSettings()
    assert "generator.first.norm.num_batches_tracked" in loaded.ignored
    assert "kp_detector.down.weight" in loaded.ignored


def test_our_own_file_keeps_what_shapes_do_not_tell(tmp_path):
    from aa_jax.models.motion import Resampling
    from aa_jax.nn import AntiAlias

    resampling = Resampling(AntiAlias("blur"), "binomial")
    detector = KeypointDetector(
        block_expansion=4, num_blocks=1, max_features=8, scale_factor=1, temperature=0.2,
        resampling=resampling, rngs=nnx.Rngs(0),
    )  # fmt: skip
    generator = MotionGenerator(
        block_expansion=4, max_features=8, num_bottleneck_blocks=1, corners="half_pixel",
        num_down_blocks=0,
        dense_motion=dict(block_expansion=4, num_blocks=1, max_features=8, scale_factor=0.5),
        resampling=resampling, rngs=nnx.Rngs(0),
    )  # fmt: skip
    settings = MotionSettings(32, 1.0, 0.5, "half_pixel", "blur", "binomial", 0.2)
    path = tmp_path / "model.safetensors"
    save_motion(path, detector, generator, settings)
    loaded = load_motion(path)
    assert loaded.settings == settings and loaded.discriminator is None
    frames = np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    found, expected = loaded.kp_detector(frames), detector(frames)
    np.testing.assert_array_equal(found.value, expected.value)
    np.testing.assert_array_equal(
        loaded.generator(frames, found, found).prediction,
        generator(frames, expected, expected).prediction,
    )


def test_reference_weights_go_in_by_their_names(golden):
    archive = golden("motion_splat_face/fomm_kp.npz")
    generator = golden("motion_splat_face/fomm_gen_128_ac1.npz")
    parts = {"kp_detector": golden_tensors(archive), "generator": golden_tensors(generator)}
    networks = motion_networks(parts, MotionSettings())
    kernel = networks.kp_detector.predictor.encoder[0].conv.kernel[...]
    theirs = parts["kp_detector"]["predictor.encoder.down_blocks.0.conv.weight"]
    np.testing.assert_array_equal(kernel, theirs.transpose(2, 3, 1, 0))
    assert len(networks.generator.bottleneck) == 6


def _without(name):
    return lambda part: part.pop(name)


def _replaced(name, value):
    return lambda part: part.__setitem__(name, value)


@pytest.mark.parametrize(
    "part, change, message",
    [
        ("kp_detector", _without("kp.bias"), r"missing: kp.bias of shape \(3,\)"),
        ("kp_detector", _without("kp.weight"), "no entry kp.weight"),
        ("kp_detector", _replaced("kp.bias", np.zeros(4, np.float32)), "misshapen: kp.bias"),
        (
            "kp_detector",
            _replaced("kp.bias", np.full(3, np.nan, np.float32)),
            "not finite: kp.bias",
        ),
        ("kp_detector", _replaced("kp.bias", np.zeros(3, np.int64)), "of another kind"),
        ("kp_detector", _replaced("extra", np.zeros(3, np.float32)), "surplus: extra"),
        ("kp_detector", _replaced("down.weight", np.ones((3, 1, 7, 7), np.float32)), "a side"),
        ("kp_detector", _replaced("jacobian.weight", np.ones((5, 7, 7, 7), np.float32)), "outputs"),
        ("generator", _without("bottleneck.r0.conv1.weight"), "numbered from 0"),
        ("generator", _without("bottleneck.r1.conv1.weight"), "surplus: bottleneck.r1"),
        ("generator", _replaced("bottleneck.r99999999.conv1.weight", np.ones(1)), "numbered from"),
        ("discriminator", _replaced("discs.x.conv.weight", np.ones(1, np.float32)), "surplus"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, small, part, change, message):
    parts = {name: dict(tensors) for name, tensors in small[1].items()}
    change(parts[part])
    path = tmp_path / "vox.pth.tar"
    _save(path, parts)
    with pytest.raises(WeightsError, match=message) as raised:
        load_motion(path)
    assert str(path) in str(raised.value)


def test_another_models_checkpoint_is_refused(tmp_path):
    path = tmp_path / "resnet.pth"
    write_zip(path, *state_dict({"conv1.weight": np.zeros((4, 3, 7, 7), np.float32)}))
    with pytest.raises(WeightsError, match="no kp_detector and no generator"):
        load_motion(path)


@pytest.mark.parametrize(
    "settings, message",
    [
        (None, "no settings"),
        ("[" * 100_000, "can't be read"),
        ('{"frame_size": 64, "other": 1}', "can't be read"),
        ('{"antialias": "sinc"}', "can't be read"),
        ('{"frame_size": 1e9}', "out of range"),
        ('{"motion_scale": 0.0001}', "out of range"),
        ('{"temperature": "NaN"}', "out of range"),
        ('{"temperature": NaN}', "out of range"),
    ],
)
def test_settings_from_anywhere_are_checked(tmp_path, settings, message):
    path = tmp_path / "model.safetensors"
    metadata = {} if settings is None else {"aa_jax.motion": settings}
    write_safetensors(path, {"kp_detector.a": np.zeros(1, np.float32)}, metadata=metadata)
    with pytest.raises(WeightsError, match=message):
        load_motion(path)
