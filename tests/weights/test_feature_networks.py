"""Files of feature networks: where they are looked for, what is read, what is refused."""

import zipfile

import jax
import numpy as np
import pytest
from flax import nnx

from aa_jax.weights import (
    FEATURE_FILES,
    UnsafePickleError,
    WeightsError,
    load_inception,
    load_lpips,
    load_vgg16,
    load_vgg19,
    write_safetensors,
)
from tests.models.feature_layouts import (
    inception_shapes,
    lpips_shapes,
    random_tensors,
    vgg16_shapes,
    vgg19_shapes,
)
from tests.weights.attacks import by_reduce
from tests.weights.torch_files import legacy_bytes, state_dict, write_zip

NARROW = {"width_divisor": 32}


@pytest.fixture(scope="module")
def vgg():
    return random_tensors(vgg16_shapes(32), seed=1)


@pytest.fixture(scope="module")
def linear():
    return random_tensors(lpips_shapes(32), seed=2)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AA_JAX_WEIGHTS", str(tmp_path))
    return tmp_path


def write(path, tensors):
    if path.suffix == ".safetensors":
        write_safetensors(path, tensors)
    elif path.suffix == ".pth":  # as the published files are
        path.write_bytes(legacy_bytes(*state_dict(tensors, legacy=True)))
    else:
        write_zip(path, *state_dict(tensors))


def state_of(network):
    return jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(network)))


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_formats_and_the_usual_place(suffix, folder, vgg, linear):
    write(folder / f"vgg16-397923af{suffix}", vgg)
    write(folder / f"lpips-v0.1-vgg{suffix}", linear)
    network = load_vgg16(**NARROW)
    for index, position in ((0, 0), (1, 3)):
        weight = vgg[f"classifier.{position}.weight"]
        np.testing.assert_array_equal(network.dense[index].kernel[...], weight.T)
        np.testing.assert_array_equal(
            network.dense[index].bias[...], vgg[f"classifier.{position}.bias"]
        )
    last = network.maps.stages[4][2]
    weight = vgg["features.28.weight"]
    np.testing.assert_array_equal(last.kernel[...], weight.transpose(2, 3, 1, 0))
    for index, weight in enumerate(load_lpips(**NARROW).weights):
        np.testing.assert_array_equal(weight[...], linear[f"lin{index}.model.1.weight"].ravel())


def test_vgg19_is_read_up_to_its_last_map(folder):
    tensors = random_tensors(vgg19_shapes(32), seed=5)
    write(folder / "vgg19-dcbb9e9d.pth", tensors)
    network = load_vgg19(**NARROW)
    positions = ((0, 2), (5, 7), (10, 12, 14, 16), (19, 21, 23, 25), (28,))
    for stage, places in zip(network.maps.stages, positions, strict=True):
        for layer, place in zip(stage, places, strict=True):
            weight = tensors[f"features.{place}.weight"]
            np.testing.assert_array_equal(layer.kernel[...], weight.transpose(2, 3, 1, 0))
            np.testing.assert_array_equal(layer.bias[...], tensors[f"features.{place}.bias"])


def test_vgg16_is_not_taken_for_vgg19(tmp_path, vgg):
    write(tmp_path / "vgg.safetensors", vgg)
    with pytest.raises(WeightsError) as caught:
        load_vgg19(tmp_path / "vgg.safetensors", **NARROW)
    message = str(caught.value)
    assert "vgg19-dcbb9e9d.pth" in message and "missing: features.16.weight" in message


def test_inception_folds_batch_normalisation(tmp_path):
    tensors = random_tensors(inception_shapes(16), seed=3)
    counters = {
        name.replace("running_mean", "num_batches_tracked"): np.array(7)
        for name in tensors
        if name.endswith("running_mean")
    }
    write(tmp_path / "a.pt", tensors | counters)
    layer = load_inception(tmp_path / "a.pt", width_divisor=16).blocks["Mixed_7a"]
    layer = layer.layers["branch7x7x3_2"]
    t = {
        k.rpartition(".")[2] if ".bn." in k else "kernel": v.astype(np.float64)
        for k, v in tensors.items()
        if k.startswith("Mixed_7a.branch7x7x3_2.")
    }
    deviation = np.sqrt(t["running_var"] + 0.001)
    kernel = t["kernel"].transpose(2, 3, 1, 0) * t["weight"] / deviation
    np.testing.assert_allclose(layer.kernel[...], kernel, rtol=1e-6)
    bias = t["bias"] - t["weight"] * t["running_mean"] / deviation
    np.testing.assert_allclose(layer.bias[...], bias, rtol=1e-5, atol=1e-7)


def test_everything_wrong_is_in_one_message(tmp_path):
    tensors = random_tensors(inception_shapes(16), seed=4)
    del tensors["Mixed_5b.branch1x1.conv.weight"]
    tensors["fc.weight"] = tensors["fc.weight"][:1000]
    tensors["Mixed_6a.branch3x3.bn.running_var"][1] = -1
    tensors["Mixed_7c.branch_pool.bn.bias"][0] = np.nan
    tensors["Conv2d_1a_3x3.bn.weight"] = tensors["Conv2d_1a_3x3.bn.weight"].astype(np.int32)
    tensors["AuxLogits.fc.weight"] = np.zeros((2, 3), np.float32)
    write(tmp_path / "a.safetensors", tensors)
    with pytest.raises(WeightsError) as caught:
        load_inception(tmp_path / "a.safetensors", width_divisor=16)
    message = str(caught.value)
    for line in (
        "6 entries do not fit",
        "a.safetensors",
        "missing: Mixed_5b.branch1x1.conv.weight of shape (4, 12, 1, 1)",
        "misshapen: fc.weight has shape (1000, 128), expected (1008, 128)",
        "negative: Mixed_6a.branch3x3.bn.running_var",
        "not finite: Mixed_7c.branch_pool.bn.bias has 1 NaN",
        "of another kind: Conv2d_1a_3x3.bn.weight has dtype int32",
        "surplus: AuxLogits.fc.weight of shape (2, 3)",
        FEATURE_FILES["inception"].address,
    ):
        assert line in message


def test_lpips_refuses_negative_weights_and_the_wrong_file(tmp_path, vgg, linear):
    write(tmp_path / "vgg.safetensors", vgg)
    bad = linear | {"lin3.model.1.weight": -linear["lin3.model.1.weight"]}
    write(tmp_path / "bad.safetensors", bad)
    with pytest.raises(WeightsError, match="negative: lin3.model.1.weight"):
        load_lpips(tmp_path / "vgg.safetensors", tmp_path / "bad.safetensors", **NARROW)
    with pytest.raises(WeightsError, match="missing: lin0.model.1.weight of shape"):
        load_lpips(tmp_path / "vgg.safetensors", tmp_path / "vgg.safetensors", **NARROW)


def test_torchscript_is_told_what_to_use_instead(tmp_path):
    path = tmp_path / "inception-2015-12-05.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"inception/{name}", b"\x80\x02}.")
    with pytest.raises(WeightsError) as caught:
        load_inception(path, **NARROW)
    for part in ("TorchScript", path.name, "pt_inception-2015-12-05-6726825d.pth", "https://"):
        assert part in str(caught.value)


def test_nothing_in_a_file_is_executed(tmp_path):
    marker = tmp_path / "marker"
    write_zip(tmp_path / "evil.pth", by_reduce(f"touch {marker}")[0], {})
    with pytest.raises(UnsafePickleError):
        load_vgg16(tmp_path / "evil.pth", **NARROW)
    assert not marker.exists()
