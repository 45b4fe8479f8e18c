"""The resampling operator against reference arrays, a step-by-step oracle and its own laws."""

import functools
import json

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies as st
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.filters import binomial, factorize, firwin_jinc, firwin_sinc, setup_filter
from aa_jax.ops.resample import downsample2d, filter2d, upfirdn1d, upfirdn2d, upsample2d
from tests.ops import oracles
from tests.tolerances import OP, relative_error

CASES = range(9)


def options_of(arrays, case):
    """Reference options are (x, y)-ordered; ours follow the axes of the array."""
    get = lambda name: arrays[f"c{case}_{name}"]  # noqa: E731
    x0, x1, y0, y1 = (int(v) for v in get("pad"))
    return dict(
        up=tuple(int(v) for v in get("up")[::-1]),
        down=tuple(int(v) for v in get("down")[::-1]),
        padding=(y0, y1, x0, x1),
        flip_filter=bool(get("flip")),
        gain=float(get("gain")),
    )


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_reference(golden, case, dtype):
    arrays = golden("alias_free/upfirdn2d.npz")
    taps = arrays[f"c{case}_f"] if arrays[f"c{case}_f"].size else None
    # The reference holds gain * taps rounded to float32.
    tolerance = 2e-7 if dtype == "float64" else OP[dtype]
    with jax.enable_x64(True):
        x = jnp.asarray(np.moveaxis(arrays[f"c{case}_x"], 1, -1), dtype)
        operator = functools.partial(upfirdn2d, taps=taps, **options_of(arrays, case))
        y, vjp = jax.vjp(operator, x)
        (dx,) = vjp(jnp.asarray(np.moveaxis(arrays[f"c{case}_cot"], 1, -1), dtype))
        assert y.dtype == dx.dtype == x.dtype
        y, dx = (np.moveaxis(np.asarray(a, np.float64), -1, 1) for a in (y, dx))
    assert relative_error(y, arrays[f"c{case}_y64"]) <= tolerance
    assert relative_error(dx, arrays[f"c{case}_dx64"]) <= tolerance


@pytest.mark.parametrize("name", ["filter2d", "upsample2d", "downsample2d"])
def test_helpers_agree_with_reference(golden, name):
    arrays = golden("alias_free/upfirdn2d_helpers.npz")
    helper = {"filter2d": filter2d, "upsample2d": upsample2d, "downsample2d": downsample2d}[name]
    options = json.loads(str(arrays["opts"]))[name]
    if np.ndim(options["padding"]):
        x0, x1, y0, y1 = options["padding"]
        options["padding"] = (y0, y1, x0, x1)
    x = jnp.asarray(np.moveaxis(arrays["x"], 1, -1))
    y = np.moveaxis(np.asarray(helper(x, arrays["f"], **options)), -1, 1)
    assert relative_error(y, arrays[name]) <= OP["float32"]


@st.composite
def geometries(draw):
    size = st.tuples(st.integers(4, 9), st.integers(4, 9))
    factor = st.tuples(st.integers(1, 4), st.integers(1, 3))
    mode = draw(st.sampled_from(["zero", "zero", "reflect", "edge", "circular"]))
    pad = st.integers(-2, 3)
    return dict(
        sizes=draw(size),
        taps=draw(st.tuples(st.integers(1, 5), st.integers(1, 5))),
        up=draw(factor),
        down=draw(factor),
        padding=draw(st.tuples(pad, pad, pad, pad)),
        flip_filter=draw(st.booleans()),
        gain=draw(st.sampled_from([1.0, 0.7])),
        mode=mode,
    )


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.example(  # XLA on CPU computed a slice of interleaved phases wrongly
    dict(
        sizes=(4, 4),
        taps=(2, 1),
        up=(4, 2),
        down=(3, 1),
        padding=(0, 0, 0, 0),
        flip_filter=False,
        gain=1.0,
        mode="zero",
    )
)
@hypothesis.given(geometries())
def test_every_geometry_agrees_with_its_definition(geometry):
    rng = np.random.default_rng(1)
    sizes, taps = geometry.pop("sizes"), geometry.pop("taps")
    image, kernel = rng.normal(size=sizes), rng.normal(size=taps)
    padded = [
        size * up + sum(pads) - length
        for size, up, pads, length in zip(
            sizes,
            geometry["up"],
            (geometry["padding"][:2], geometry["padding"][2:]),
            taps,
            strict=True,
        )
    ]
    hypothesis.assume(min(padded) >= 0)
    expected = oracles.upfirdn2d(image, kernel, **geometry)
    with jax.enable_x64(True):
        x = jnp.asarray(image)[None, :, :, None]
        operator = functools.partial(upfirdn2d, taps=kernel, **geometry)
        y = operator(x)
        assert y.shape == (1, *expected.shape, 1)
        np.testing.assert_allclose(y[0, :, :, 0], expected, rtol=0, atol=1e-12)
        # <A x, v> == <x, A' v>
        v = jnp.asarray(rng.normal(size=y.shape))
        (back,) = jax.linear_transpose(operator, x)(v)
        np.testing.assert_allclose(jnp.vdot(y, v), jnp.vdot(x, back), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("mode", ["zero", "reflect", "edge", "circular"])
@pytest.mark.parametrize("up, down", [(1, 2), (2, 1), (3, 2)])
def test_gradients_of_second_order_in_both_modes(up, down, mode):
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 7, 6, 2)))
        taps = np.random.default_rng(1).normal(size=(3, 4))
        operator = functools.partial(
            upfirdn2d, taps=taps, up=up, down=down, padding=(2, 1, 1, 2), mode=mode
        )
        # A cube makes the second derivative of the composition non-trivial.
        check_grads(lambda x: operator(x) ** 3, (x,), order=2, modes=("fwd", "rev"))


def test_vmap_over_any_axis_equals_a_loop(rng):
    x = jnp.asarray(rng.normal(size=(2, 6, 7, 3, 2)), jnp.float32)
    operator = functools.partial(upfirdn2d, taps=binomial(4), up=2, padding=2)
    mapped = jax.jit(jax.vmap(operator, in_axes=3, out_axes=1))(x)
    looped = jnp.stack([operator(x[:, :, :, i]) for i in range(3)], 1)
    np.testing.assert_allclose(mapped, looped, atol=1e-6)


def test_all_forms_of_a_separable_filter_agree(rng):
    x = jnp.asarray(rng.normal(size=(2, 9, 8, 3)), jnp.float32)
    row = firwin_sinc(6, cutoff=1.0, width=1.5, rate=4.0)
    full = np.outer(row, row)
    results = [
        filter2d(x, taps) for taps in (row, (row, row), full, factorize(full), full.tolist())
    ]
    for result in results[1:]:
        assert relative_error(result, results[0]) <= OP["float32"]


def test_jinc_filters_are_applied_in_few_separable_terms():
    from aa_jax.ops.resample.terms import separated

    jinc = firwin_jinc(12, cutoff=4.0, width=8.0, rate=32.0)
    terms = {
        dtype: separated(jinc, 2, gain=1.0, dtype=np.dtype(dtype), flip=False)
        for dtype in ("float32", "float64")
    }
    assert len(terms["float32"]) <= 4
    dense = sum(np.outer(v, h) for v, h in terms["float64"])
    np.testing.assert_allclose(dense, jinc, atol=1e-14 * jinc.max())


def test_signals_agree_with_scipy(rng):
    from scipy import signal

    x, taps = rng.normal(size=23), rng.normal(size=9)
    with jax.enable_x64(True):
        y = upfirdn1d(jnp.asarray(x)[:, None], taps, up=3, down=2, padding=(8, 6))[:, 0]
    # SciPy pads by taps - 1 in front and ends with the last full overlap.
    np.testing.assert_allclose(y, signal.upfirdn(taps, x, up=3, down=2)[: len(y)], atol=1e-12)


def test_long_filters_as_matrix_products_agree_with_slices(rng, monkeypatch):
    from aa_jax.ops.resample import xla

    x = jnp.asarray(rng.normal(size=(1, 12, 10, 2)), jnp.float32)
    taps = rng.normal(size=17)
    results = []
    for product in (True, False):
        monkeypatch.setattr(xla, "prefers_product", lambda axis, product=product: product)
        jax.clear_caches()
        for up, down in ((1, 1), (2, 3), (1, 2)):
            results.append(upfirdn2d(x, taps, up=up, down=down, padding=(9, 4, 8, 8)))
    for product, slices in zip(results[:3], results[3:], strict=True):
        assert relative_error(product, slices) <= OP["float32"]


def test_samples_that_no_tap_meets_are_zero():
    x = jnp.arange(1.0, 5.0).reshape(1, 2, 2, 1)
    y = upfirdn2d(x, None, up=4, down=2, padding=(1, 0, 1, 0))
    assert y.shape == (1, 5, 5, 1)
    # Every second position of [0, 1, 0, 0, 0, 2, ...]: the zeros between the samples.
    np.testing.assert_array_equal(y, 0.0)


def test_constant_passes_an_upsampler_unchanged():
    x = jnp.full((1, 8, 8, 1), 3.0)
    y = upsample2d(x, setup_filter([1, 3, 3, 1]), mode="edge")
    np.testing.assert_allclose(y, 3.0, rtol=1e-6)


def test_sharded_batch_agrees_with_one_device(rng):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    x = jnp.asarray(rng.normal(size=(8, 6, 6, 2)), jnp.float32)
    operator = jax.jit(functools.partial(downsample2d, taps=binomial(4), mode="reflect"))
    y = operator(jax.device_put(x, sharding))
    np.testing.assert_allclose(y, operator(x), atol=1e-6)


IMAGE = np.zeros((1, 5, 5, 2), np.float32)


@pytest.mark.parametrize(
    "x, taps, options, message",
    [
        (np.zeros((5, 5), np.float32), None, {}, r"x must have shape .* got \(5, 5\)"),
        (np.zeros((1, 5, 5, 2), int), None, {}, "x must be a floating-point array"),
        (IMAGE, np.ones(9), {}, "taps must not be longer than the padded signal.*9 taps"),
        (IMAGE, np.ones((2, 2, 2)), {}, "taps must be a non-empty 1-D or 2-D array"),
        (IMAGE, np.array([np.nan]), {}, "taps must hold finite numbers"),
        (IMAGE, (np.ones(2),), {}, "taps as a tuple must be"),
        (IMAGE, None, {"up": 1.5}, "up must be a positive integer"),
        (IMAGE, None, {"down": 0}, "down must be a positive integer"),
        (IMAGE, None, {"down": (1, 2, 3)}, "down must be a positive integer"),
        (IMAGE, None, {"padding": (1, 2, 3)}, "padding must be"),
        (IMAGE, None, {"padding": 0.5}, "padding must be"),
        (IMAGE, None, {"mode": "mirror"}, "mode must be one of"),
        (IMAGE, np.ones(13), {"padding": 6, "mode": "reflect"}, "too large for an axis of 5"),
    ],
)
def test_bad_input_is_named(x, taps, options, message):
    with pytest.raises(ValueError, match=message):
        upfirdn2d(jnp.asarray(x), taps, **options)


def test_traced_taps_are_refused_with_the_reason():
    with pytest.raises(ValueError, match="taps must be a host array"):
        jax.jit(lambda taps: upfirdn2d(jnp.asarray(IMAGE), taps))(np.ones(3))
