"""The adaptive low-pass layer against the reference arrays, and its options' promises."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.nn import AdaptiveBlurPool
from tests.tolerances import OP, relative_error

CASES = range(8)
MODES = {"reflect": "reflect", "replicate": "edge", "zero": "zero"}
# Stored rounded to float32.
ROUNDED = 1e-6


def channels_last(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, 1, -1)


def layer_of(arrays, case: int, *, dtype, **options) -> AdaptiveBlurPool:
    """The layer of a reference case, weights set."""
    get = {key: arrays[f"c{case}_{key}"] for key in ("C", "G", "k", "s", "pad")}
    defaults = dict(
        filter_size=int(get["k"]),
        stride=int(get["s"]),
        groups=int(get["G"]),
        mode=MODES[str(get["pad"])],
    )
    layer = AdaptiveBlurPool(
        int(get["C"]), param_dtype=dtype, rngs=nnx.Rngs(0), **(defaults | options)
    )
    weight = arrays[f"c{case}_conv.weight"].transpose(2, 3, 1, 0)
    layer.predictor.kernel[...] = jnp.asarray(weight, dtype)
    for ours, theirs in {
        "scale": "weight",
        "bias": "bias",
        "mean": "running_mean",
        "var": "running_var",
    }.items():
        getattr(layer.norm, ours)[...] = jnp.asarray(arrays[f"c{case}_bn.{theirs}"], dtype)
    return layer


def gradients(layer, x, cotangent, *, train: bool):
    """Output, updated statistics, and gradients with respect to the signal and all parameters."""
    graphdef, params, stats = nnx.split(layer, nnx.Param, nnx.BatchStat)

    @jax.jit
    def both(params, x):
        def forward(params, x):
            model = nnx.merge(graphdef, params, stats, copy=True)
            y = model(x, train=train)
            return y, nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))

        y, pullback, after = jax.vjp(forward, params, x, has_aux=True)
        return y, after, *pullback(cotangent)

    y, after, grads, gx = both(params, x)
    return y, after, nnx.to_pure_dict(grads), gx


def as_oihw(kernel) -> np.ndarray:
    return np.asarray(kernel).transpose(3, 2, 0, 1)


def signal_and_cotangent(arrays, case: int, dtype):
    names = (f"c{case}_x", f"c{case}_ct")
    return (jnp.asarray(channels_last(arrays[name]), dtype) for name in names)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_evaluation_agrees_with_reference(golden, case, dtype):
    arrays = golden("anti_aliased/adaptive_layer_eval.npz")
    with jax.enable_x64(dtype == "float64"):
        layer = layer_of(arrays, case, dtype=jnp.dtype(dtype))
        x, cotangent = signal_and_cotangent(arrays, case, dtype)
        y, _, grads, gx = gradients(layer, x, cotangent, train=False)
        filters = layer.filters(x)
    tolerance, expected = OP[dtype], {k: arrays[f"c{case}_eval_{k}"] for k in ("y", "gx")}
    assert relative_error(y, channels_last(expected["y"])) <= tolerance
    assert relative_error(gx, channels_last(expected["gx"])) <= tolerance
    stride = int(arrays[f"c{case}_s"])
    kept = arrays[f"c{case}_eval_filters"][..., ::stride, ::stride].transpose(0, 3, 4, 1, 2)
    assert relative_error(filters, kept) <= tolerance
    kernel = as_oihw(grads["predictor"]["kernel"])
    assert relative_error(kernel, arrays[f"c{case}_eval_gconv"]) <= max(tolerance, ROUNDED)
    assert relative_error(grads["norm"]["scale"], arrays[f"c{case}_eval_gbnw"]) <= tolerance
    assert relative_error(grads["norm"]["bias"], arrays[f"c{case}_eval_gbnb"]) <= tolerance


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_training_agrees_with_reference(golden, case, dtype):
    arrays = golden("anti_aliased/adaptive_layer_eval.npz")
    expected = golden("anti_aliased/adaptive_layer_train_frozen.npz")
    expected = {
        key[len(f"c{case}_train_") :]: expected[key]
        for key in expected
        if key.startswith(f"c{case}_train_")
    }
    with jax.enable_x64(dtype == "float64"):
        layer = layer_of(arrays, case, dtype=jnp.dtype(dtype))
        x, cotangent = signal_and_cotangent(arrays, case, dtype)
        y, after, grads, gx = gradients(layer, x, cotangent, train=True)
    tolerance, rounded = OP[dtype], max(OP[dtype], ROUNDED)
    # The gradient of a predictor without bias through batch statistics nearly cancels.
    cancelling = 10 * rounded
    assert relative_error(y, channels_last(expected["y"])) <= tolerance
    assert relative_error(gx, channels_last(expected["gx"])) <= rounded
    kernel = as_oihw(grads["predictor"]["kernel"])
    assert relative_error(kernel, expected["gconv"]) <= cancelling
    assert relative_error(grads["norm"]["scale"], expected["gbnw"]) <= tolerance
    assert relative_error(grads["norm"]["bias"], expected["gbnb"]) <= tolerance
    stats = after["norm"]
    assert relative_error(stats["mean"], expected["running_mean_after"]) <= tolerance
    assert relative_error(stats["var"], expected["running_var_after"]) <= tolerance


@pytest.mark.parametrize("case", CASES)
def test_frozen_norm_agrees_with_reference(golden, case):
    arrays = golden("anti_aliased/adaptive_layer_eval.npz")
    expected = golden("anti_aliased/adaptive_layer_train_frozen.npz")
    with jax.enable_x64(True):
        layer = layer_of(arrays, case, dtype=jnp.float64, norm="frozen")
        x, cotangent = signal_and_cotangent(arrays, case, jnp.float64)
        y, after, grads, gx = gradients(layer, x, cotangent, train=True)
        filters = layer.filters(x)
    assert relative_error(y, channels_last(expected[f"c{case}_frozen_y"])) <= OP["float64"]
    assert relative_error(gx, channels_last(expected[f"c{case}_frozen_gx"])) <= ROUNDED
    kernel = as_oihw(grads["predictor"]["kernel"])
    assert relative_error(kernel, expected[f"c{case}_frozen_gconv"]) <= ROUNDED
    stride = int(arrays[f"c{case}_s"])
    kept = expected[f"c{case}_frozen_filters"][..., ::stride, ::stride].transpose(0, 3, 4, 1, 2)
    assert relative_error(filters, kept) <= ROUNDED
    assert set(grads) == {"predictor"}
    np.testing.assert_array_equal(after["norm"]["mean"], arrays[f"c{case}_bn.running_mean"])


@pytest.mark.parametrize("stride", [1, 2])
def test_has_derivatives_of_second_order(rng, stride):
    with jax.enable_x64(True):
        layer = AdaptiveBlurPool(
            4, stride=stride, groups=2, param_dtype=jnp.float64, rngs=nnx.Rngs(0)
        )
        graphdef, params, stats = nnx.split(layer, nnx.Param, nnx.BatchStat)
        x = jnp.asarray(rng.standard_normal((1, 4, 5, 4)))

        def forward(params, x):
            return nnx.merge(graphdef, params, stats)(x)

        check_grads(jax.jit(forward), (params, x), order=2, modes=("fwd", "rev"))


def test_kept_statistics_are_those_of_the_surviving_positions(rng):
    x = jnp.asarray(rng.standard_normal((2, 6, 8, 4)), jnp.float32)
    kept, full = (
        AdaptiveBlurPool(4, groups=2, statistics=statistics, rngs=nnx.Rngs(0))
        for statistics in ("kept", "all")
    )
    np.testing.assert_array_equal(kept(x), full(x))
    logits = np.asarray(kept.predictor(x, stride=1), np.float64)
    for layer, seen in ((kept, logits[:, ::2, ::2]), (full, logits)):
        layer(x, train=True)
        mean = 0.1 * seen.mean(axis=(0, 1, 2))
        var = 0.9 + 0.1 * seen.var(axis=(0, 1, 2), ddof=1)
        np.testing.assert_allclose(layer.norm.mean[...], mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(layer.norm.var[...], var, rtol=1e-5)


def test_spatial_adaptivity_shares_one_filter_among_channels(rng):
    x = jnp.asarray(rng.standard_normal((1, 6, 6, 4)), jnp.float32)
    layer = AdaptiveBlurPool(4, groups=2, adaptivity="spatial", stride=1, rngs=nnx.Rngs(0))
    filters = layer.filters(x)
    assert filters.shape == (1, 6, 6, 1, 9)
    np.testing.assert_allclose(filters.sum(-1), 1, rtol=1e-5)
    assert np.ptp(filters, axis=(1, 2)).min() > 1e-4
    # All channels see the same filter: equal channels stay equal.
    same = layer(jnp.repeat(x[..., :1], 4, axis=-1))
    np.testing.assert_allclose(same, jnp.repeat(same[..., :1], 4, axis=-1), rtol=1e-6)


def test_channel_adaptivity_filters_all_pixels_alike(rng):
    x = jnp.asarray(rng.standard_normal((2, 6, 6, 4)), jnp.float32)
    layer = AdaptiveBlurPool(
        4,
        groups=2,
        adaptivity="channel",
        normalization="per_group",
        mode="circular",
        rngs=nnx.Rngs(0),
    )
    filters = np.asarray(layer.filters(x))
    np.testing.assert_array_equal(filters, np.broadcast_to(filters[:, :1, :1], filters.shape))
    assert np.abs(filters[:, 0, 0, 0] - filters[:, 0, 0, 1]).min() > 1e-5
    assert np.abs(filters[0] - filters[1]).max() > 1e-5
    # So circular shifts by the stride pass through, and filters do not notice any shift.
    shifted = jnp.roll(x, (2, 4), axis=(1, 2))
    np.testing.assert_allclose(
        layer(shifted), jnp.roll(layer(x), (1, 2), axis=(1, 2)), rtol=1e-4, atol=1e-6
    )
    odd = layer.filters(jnp.roll(x, (1, 3), axis=(1, 2)))
    np.testing.assert_allclose(odd, filters, rtol=1e-4)


def test_filters_of_both_normalizations_sum_as_promised(rng):
    x = jnp.asarray(rng.standard_normal((1, 5, 5, 6)), jnp.float32)
    joint, single = (
        AdaptiveBlurPool(6, groups=3, normalization=way, rngs=nnx.Rngs(0)).filters(x)
        for way in ("joint", "per_group")
    )
    np.testing.assert_allclose(joint.sum((-1, -2)), 1, rtol=1e-5)
    np.testing.assert_allclose(single.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"groups": 4}, "groups must divide the channels, got 4 groups for 6 channels"),
        ({"groups": 2, "filter_size": 4}, "filter_size must be odd"),
        ({"groups": 2, "stride": 0}, "stride must be a positive integer"),
        ({"groups": 2, "adaptivity": "none"}, "adaptivity must be one of both, spatial, channel"),
        ({"groups": 2, "normalization": "l1"}, "normalization must be one of"),
        ({"groups": 2, "statistics": "some"}, "statistics must be one of all, kept"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        AdaptiveBlurPool(6, rngs=nnx.Rngs(0), **options)


def test_bad_signals_are_named():
    layer = AdaptiveBlurPool(4, groups=2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"\(N, H, W, C\)"):
        layer(jnp.zeros((8, 8, 4)))
    with pytest.raises(ValueError, match="6 channels"):
        layer(jnp.zeros((1, 8, 8, 6)))
    with pytest.raises(ValueError, match="reflect"):
        AdaptiveBlurPool(4, groups=2, filter_size=7, rngs=nnx.Rngs(0))(jnp.zeros((1, 3, 3, 4)))
