"""Loading checkpoints: completely or not at all, with one error that lists everything."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.filters import binomial
from aa_jax.models import Bottleneck, ResNet, mobilenet_v2, small_resnet
from aa_jax.weights import WeightsError, export, export_torch, load_into


def small(kind: str, seed: int = 0, **options) -> ResNet:
    options = {"width": 4, "stage_sizes": (1, 1), "groups": 2, **options}
    return small_resnet(3, antialias=kind, rngs=nnx.Rngs(seed), **options)


def differing(first: nnx.Module, second: nnx.Module) -> list[str]:
    arrays = export(second)
    return [name for name, array in export(first).items() if not (array == arrays[name]).all()]


def stored_filter(size: int, channels: int = 4) -> np.ndarray:
    kernel = np.outer(binomial(size), binomial(size))
    return np.tile(kernel, (channels, 1, 1, 1)).astype(np.float32)


@pytest.mark.parametrize("kind", ["none", "blur", "adaptive", "aps", "lps"])
def test_own_and_torch_names_both_come_back(kind):
    model = small(kind, 1)
    for arrays, source in ((export(model), "aa_jax"), (export_torch(model), "torch")):
        target = small(kind, 2)
        assert differing(target, model)
        report = load_into(target, arrays, source=source)
        assert differing(target, model) == []
        assert len(report.entries) == len(arrays) and report.ignored == ()


def test_torch_layouts_are_transposed():
    model = small("none")
    arrays = export_torch(model)
    kernel = np.asarray(model.conv1.kernel[...])
    assert arrays["conv1.weight"][2, 1, 0, 2] == kernel[0, 2, 1, 2]
    np.testing.assert_array_equal(arrays["fc.weight"], np.asarray(model.fc.kernel[...]).T)


@pytest.mark.parametrize("kind", ["blur", "aps"])
def test_a_plain_checkpoint_fits_where_slots_learn_nothing(kind):
    plain, target = small("none", 1), small(kind, 2)
    report = load_into(target, export_torch(plain))
    assert report.naming == "torchvision"
    assert differing(target, plain) == []


def test_a_plain_checkpoint_does_not_fit_an_adaptive_network():
    with pytest.raises(WeightsError) as error:
        load_into(small("adaptive"), export_torch(small("none")))
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == 3 * 5 and all("missing: " in line for line in lines)
    assert "layer2.0.shortcut.pool.predictor.kernel" in str(error.value)


def test_wrappers_prefixes_counters_and_filters_are_understood():
    model = small("blur", 1)
    arrays = export_torch(model)
    arrays["maxpool.1.filt"] = stored_filter(4)
    arrays["layer2.0.conv2.0.filt"] = stored_filter(4)
    arrays["bn1.num_batches_tracked"] = np.asarray(7)
    target = small("blur", 2)
    report = load_into(target, {f"module.{name}": array for name, array in arrays.items()})
    assert differing(target, model) == [] and report.naming == "wrapped"
    assert set(report.ignored) == {
        "maxpool.1.filt",
        "layer2.0.conv2.0.filt",
        "bn1.num_batches_tracked",
    }
    lps = small("lps", 1)
    load_into(small("lps", 2), {f"core.{name}": a for name, a in export_torch(lps).items()})


def test_a_stored_filter_must_be_the_networks():
    arrays = export_torch(small("blur"))
    arrays["maxpool.1.filt"] = stored_filter(3)
    arrays["layer2.0.conv2.0.filt"] = stored_filter(4) * 2
    with pytest.raises(WeightsError) as error:
        load_into(small("blur"), arrays)
    assert "maxpool.1.filt has 3 taps, the network blurs with 4" in str(error.value)
    assert "filter_size=3" in str(error.value)
    assert "layer2.0.conv2.0.filt is not the binomial filter" in str(error.value)
    with pytest.raises(WeightsError, match="surplus: maxpool.1.filt"):
        load_into(small("none"), export_torch(small("none")) | {"maxpool.1.filt": stored_filter(4)})


def test_one_error_lists_everything_and_nothing_is_written():
    model = small("none", 1)
    before, arrays = export(model), export_torch(small("none", 2))
    del arrays["bn1.weight"]
    arrays["extra.weight"] = np.zeros((2, 2))
    arrays["fc.weight"] = arrays["fc.weight"][:2]
    arrays["conv1.weight"] = arrays["conv1.weight"].copy()
    arrays["conv1.weight"][0, 0, 0, :2] = np.nan, np.inf
    with pytest.raises(WeightsError) as error:
        load_into(model, arrays)
    message = str(error.value)
    assert message.startswith("4 entries of the checkpoint do not fit a ResNet with antialias")
    for line in (
        "missing: bn1.weight of shape (4,) (our bn1.scale)",
        "surplus: extra.weight of shape (2, 2)",
        "misshapen: fc.weight has shape (2, 8), expected (3, 8)",
        "not finite: conv1.weight has 2 NaN or infinite values",
    ):
        assert line in message
    for name, array in export(model).items():
        np.testing.assert_array_equal(array, before[name])


def test_a_transposed_kernel_of_another_rank_is_misshapen():
    arrays = export_torch(small("none"))
    arrays["conv1.weight"] = arrays["conv1.weight"].reshape(4, -1)
    arrays["fc.bias"] = np.zeros(())
    with pytest.raises(WeightsError, match=r"(?s)conv1.weight has shape \(4, 27\).*fc.bias has"):
        load_into(small("none"), arrays)


def test_values_take_the_networks_dtype():
    arrays = {name: array.astype(np.float64) for name, array in export(small("none", 1)).items()}
    target = small("none", 2, param_dtype=jnp.bfloat16)
    load_into(target, arrays, source="aa_jax")
    assert target.conv1.kernel.dtype == jnp.bfloat16
    assert target.bn1.mean.dtype == jnp.float32
    expected = jnp.asarray(arrays["conv1.kernel"], jnp.bfloat16)
    np.testing.assert_array_equal(target.conv1.kernel[...], expected)


def test_plain_weights_make_a_blurred_bottleneck_network_compute_the_same_before_a_slot():
    options = dict(num_classes=3, stem="small", width=4)
    plain, blurred = (
        ResNet((1, 1), Bottleneck, antialias=kind, rngs=nnx.Rngs(seed), **options)
        for seed, kind in enumerate(("none", "blur"))
    )
    load_into(blurred, export_torch(plain))
    x = jax.random.normal(jax.random.key(0), (1, 8, 8, 3))

    @jax.jit
    def recorded(model):
        arrays = {}
        model(x, record=arrays.__setitem__)
        return arrays

    first, second = recorded(plain), recorded(blurred)
    np.testing.assert_array_equal(first["conv1"], second["conv1"])
    assert first["layer2"].shape == second["layer2"].shape


def test_another_networks_checkpoint_is_refused():
    arrays = export_torch(small("none"))
    model = nnx.eval_shape(lambda: mobilenet_v2(3, rngs=nnx.Rngs(0)))
    with pytest.raises(WeightsError, match="do not fit a MobileNetV2"):
        load_into(model, arrays)


def test_an_unknown_source_is_named():
    with pytest.raises(ValueError, match='source must be "torch" or "aa_jax", got \'keras\''):
        load_into(small("none"), {}, source="keras")
