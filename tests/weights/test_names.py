"""Names and layouts of published checkpoints, against lists that others have written."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx

from aa_jax.models import MODELS, create
from aa_jax.weights.names import module_at, namings, torch_names, variables
from tests.models.golden_networks import abstract_network
from tests.models.test_golden import FAST, SLOW

# Indices of torchvision's plain sequences.
VGG11_BN = {"conv": (0, 4, 8, 11, 15, 18, 22, 25), "norm": (1, 5, 9, 12, 16, 19, 23, 26)}
VGG16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
ALEXNET = (0, 3, 6, 8, 10)

# No other names than ResNet-50.
DEEP = {"resnet101", "resnet152"}


@functools.cache
def abstract(name: str, kind: str = "none", **options) -> nnx.Module:
    return nnx.eval_shape(lambda: create(name, antialias=kind, rngs=nnx.Rngs(0), **options))


@pytest.mark.parametrize("name", FAST + SLOW)
def test_names_and_shapes_are_the_published_ones(golden, name):
    reference = golden(f"anti_aliased/net_{name}.npz")
    model = abstract_network(reference)
    ours = {
        path: name
        for path, name in torch_names(model, naming=namings(model)[0]).items()
        if not path.endswith("temperature")
    }
    published = [str(name).removeprefix("core.") for name in reference["param_names"]]
    assert sorted(ours.values()) == sorted(published)
    shapes = {path: leaf.shape for path, leaf in variables(model).items()}
    expected = dict(zip(published, map(str, reference["param_shapes"]), strict=True))
    for path, theirs in ours.items():
        sides = tuple(int(side) for side in expected[theirs].split("x"))
        order = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[len(sides)]
        assert shapes[path] == tuple(sides[axis] for axis in order), path


@pytest.mark.parametrize("kind", ["none", "blur", "adaptive"])
@pytest.mark.parametrize("name", sorted(set(MODELS) - DEEP))
def test_no_two_entries_share_a_name(name, kind):
    model = abstract(name, kind, num_classes=10)
    for naming in namings(model):
        names = torch_names(model, naming=naming)
        assert set(names) == set(variables(model))
        assert len(set(names.values())) == len(names)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vgg11_bn", {f"features.{i}.weight" for i in VGG11_BN["conv"] + VGG11_BN["norm"]}),
        ("vgg16", {f"features.{i}.weight" for i in VGG16}),
        ("alexnet", {f"features.{i}.weight" for i in ALEXNET}),
    ],
)
@pytest.mark.parametrize("kind", ["none", "blur"])
def test_plain_sequences_have_torchvision_indices(name, expected, kind):
    names = torch_names(abstract(name, kind), naming="torchvision").values()
    found = {n for n in names if n.startswith("features.") and n.endswith(".weight")}
    assert found == expected
    dense = {n for n in names if n.startswith("classifier.") and n.endswith(".weight")}
    indices = (1, 4, 6) if name == "alexnet" else (0, 3, 6)
    assert dense == {f"classifier.{i}.weight" for i in indices}


def test_plain_mobilenet_has_torchvision_indices():
    names = set(torch_names(abstract("mobilenet_v2", "blur"), naming="torchvision").values())
    # A strided block: expand, depthwise, project, norm; the first block has no expansion.
    assert {"features.2.conv.2.weight", "features.2.conv.3.running_var"} <= names
    assert {"features.1.conv.0.0.weight", "features.1.conv.1.weight"} <= names
    assert {"features.18.0.weight", "classifier.1.weight"} <= names
    assert not any(name.startswith(("features.2.conv.4", "classifier.0")) for name in names)


@pytest.mark.parametrize(("naming", "index"), [("wrapped", 1), ("torchvision", 0)])
def test_slots_shift_the_names_of_what_follows(naming, index):
    names = torch_names(abstract("resnet50", "blur"), naming=naming)
    assert names["layer2.0.shortcut.conv.kernel"] == f"layer2.0.downsample.{index}.weight"
    assert names["layer2.0.shortcut.norm.mean"] == f"layer2.0.downsample.{index + 1}.running_mean"
    assert names["layer1.0.shortcut.conv.kernel"] == "layer1.0.downsample.0.weight"
    last = "conv3.1" if index else "conv3"
    assert names["layer2.0.conv3.kernel"] == f"layer2.0.{last}.weight"
    assert names["layer2.1.conv3.kernel"] == "layer2.1.conv3.weight"


def test_adaptive_resnet50_has_the_published_number_of_entries():
    model = abstract("resnet50", "adaptive")
    names = torch_names(model, naming="wrapped")
    counters = sum(name.endswith("running_mean") for name in names.values())
    assert len(names) + counters == 362
    assert names["maxpool.pool.predictor.kernel"] == "maxpool.1.conv.weight"
    assert names["layer2.0.pool.norm.scale"] == "layer2.0.conv3.0.bn.weight"
    assert names["layer2.0.shortcut.pool.predictor.kernel"] == "layer2.0.downsample.0.conv.weight"


def test_modules_are_found_by_path():
    model = abstract("resnet18")
    assert module_at(model, "layer2.0.conv1") is model.layer2[0].conv1


def test_a_foreign_module_is_an_error():
    class Other(nnx.Module):
        def __init__(self):
            self.weight = nnx.Param(jax.numpy.zeros(3))

    with pytest.raises(ValueError, match="network of aa_jax.models .* got Other"):
        torch_names(Other(), naming="torchvision")
    np.testing.assert_equal(list(variables(Other())), ["weight"])
