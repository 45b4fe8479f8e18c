"""Bands of rows against the same stage in one piece."""

import functools

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies as st
from jax import numpy as jnp

from aa_jax.filters import factorize, firwin_sinc
from aa_jax.ops.filtered_activation import filtered_activation2d, xla
from aa_jax.ops.filtered_activation.bands import cut
from aa_jax.ops.filtered_activation.piecewise import ROWS_PER_BYTE
from aa_jax.ops.filtered_activation.stage import Stage
from aa_jax.ops.resample.geometry import Axis, Resample, output_size
from tests.tolerances import OP, relative_error

SINC = firwin_sinc(6, cutoff=1.0, width=1.2, rate=4.0)
RANK_TWO = factorize(np.outer(SINC, SINC) + np.outer(SINC**2, np.arange(6.0)))
# Sizes are odd, nine channels are not whole vectors, and no height is whole bands.
CASES = {
    "equal": dict(up=2, down=2, padding=5, clamp=1.0),
    "shrinks": dict(up=2, down=4, padding=(5, 2)),
    "grows": dict(up=4, down=2, padding=(-3, 6, 4, 1), activation="relu"),
    "odd factors": dict(up=3, down=2, padding=(4, 3), boundary="circular"),
    "transposed taps": dict(up=(2, 1), down=(2, 3), padding=7, flip_filter=True),
    "no factors": dict(padding=(9, 0, 3, 3), clamp=0.7, residuals="recompute"),
}


@pytest.fixture
def few_rows(monkeypatch):
    """Makes every stage run in bands; returns a list of those that did."""
    found = []

    def cut_and_note(stage, count):
        found.append(cut(stage, count))
        return found[-1]

    def activate(devices=8):
        monkeypatch.setattr(xla.jax, "device_count", lambda: devices)
        monkeypatch.setattr(xla, "_AT_ONCE_BYTES", {True: 300, False: 600})
        monkeypatch.setattr(xla, "_MOST_BANDS", 3)
        monkeypatch.setattr(xla, "cut", cut_and_note)
        # What has been compiled knows the old sizes.
        jax.clear_caches()
        return found

    yield activate
    monkeypatch.undo()
    jax.clear_caches()


def results(x, v, cotangent, options):
    """Value, tangent, gradient, and gradients of both with respect to x, v and the cotangent."""

    @jax.jit
    def run(x, v, cotangent):
        operator = functools.partial(
            filtered_activation2d,
            up_filter=SINC,
            down_filter=RANK_TWO,
            implementation="xla",
            **options,
        )

        def curved(x):
            return jnp.sin(operator(x))

        y, tangent = jax.jvp(operator, (x,), (v,))

        def gradient(x, cotangent):
            return jax.vjp(curved, x)[1](cotangent)[0]

        dx, second = jax.vjp(gradient, x, cotangent)
        return y, tangent, dx, *second(v)

    return run(x, v, cotangent)


@pytest.mark.parametrize(
    "name",
    [
        "equal",
        "grows",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("shrinks", "odd factors", "transposed taps", "no factors")
        ),
    ],
)
def test_bands_change_nothing_to_second_order(rng, few_rows, name):
    options = CASES[name]
    x, v = (jnp.asarray(rng.normal(size=(2, 23, 9, 9)), jnp.float32) for _ in range(2))
    y = jax.eval_shape(lambda x: filtered_activation2d(x, SINC, RANK_TWO, **options), x)
    cotangent = jnp.asarray(rng.normal(size=y.shape), jnp.float32)
    whole = results(x, v, cotangent, options)
    bands = few_rows(devices=1)  # which takes one image after another, too
    banded = results(x, v, cotangent, options)
    assert len(bands) >= 3 and all(len(cut_up) > 1 for cut_up in bands)
    for a, b in zip(banded, whole, strict=True):
        assert relative_error(a, b) <= OP["float32"]


def test_bands_of_half_precision(rng, few_rows):
    x = jnp.asarray(rng.normal(size=(1, 21, 8, 4)), jnp.bfloat16)
    run = functools.partial(
        filtered_activation2d, up_filter=SINC, down_filter=SINC, up=2, down=2, padding=5
    )

    def both(x):
        y, vjp = jax.vjp(run, x)
        return y, vjp(y)[0]

    whole = jax.jit(both)(x)
    bands = few_rows()
    banded = jax.jit(lambda x: both(x))(x)
    assert len(bands) == 2 and all(len(cut_up) > 1 for cut_up in bands)
    for a, b in zip(banded, whole, strict=True):
        assert a.dtype == x.dtype
        assert relative_error(a, b) <= 1e-2


def test_bands_share_their_memory(few_rows):
    x = jnp.ones((1, 96, 40, 8))

    def temporaries():
        program = jax.jit(lambda x: gradient(x)).lower(x).compile()
        return program.memory_analysis().temp_size_in_bytes

    whole = temporaries()
    few_rows()
    assert temporaries() <= 0.6 * whole


def test_images_in_groups_are_computed_once(few_rows):
    """A loop: the program of many images is hardly longer than that of one."""

    def size(images):
        x = jnp.ones((images, 24, 9, 8))
        return len(jax.jit(lambda x: gradient(x)).lower(x).as_text().splitlines())

    few_rows(devices=1)
    assert size(6) < 1.1 * size(1) + 40


SPEC = jax.sharding.PartitionSpec("data")


def gradient(x):
    return jax.grad(lambda x: filtered_activation2d(x, SINC, SINC, up=2, padding=5).sum())(x)


@pytest.fixture(scope="module")
def mesh():
    return jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))


def test_bands_under_shard_map(rng, few_rows, mesh):
    x = jnp.asarray(rng.normal(size=(8, 15, 4, 2)), jnp.float32)
    whole = jax.jit(gradient)(x)
    few_rows()
    mapped = jax.shard_map(gradient, mesh=mesh, in_specs=SPEC, out_specs=SPEC)
    assert relative_error(jax.jit(mapped)(x), whole) <= OP["float32"]


def test_bands_of_a_sharded_batch(rng, few_rows, mesh):
    x = jnp.asarray(rng.normal(size=(8, 15, 4, 2)), jnp.float32)
    whole = jax.jit(gradient)(x)
    few_rows()
    sharded = jax.jit(gradient)(jax.device_put(x, jax.sharding.NamedSharding(mesh, SPEC)))
    assert relative_error(sharded, whole) <= OP["float32"]


def test_groups_of_a_sharded_batch_stay_on_their_devices(rng, few_rows, mesh):
    x = jnp.asarray(rng.normal(size=(24, 15, 4, 2)), jnp.float32)
    whole = jax.jit(gradient)(x)
    few_rows()
    placed = jax.device_put(x, jax.sharding.NamedSharding(mesh, SPEC))
    program = jax.jit(gradient).lower(placed).compile()
    assert "while" in program.as_text() and "all-gather" not in program.as_text()
    assert relative_error(program(placed), whole) <= OP["float32"]


@pytest.mark.parametrize(
    "shape",
    [
        (0, 64, 64, 8),
        (2, 8, 8, 0),
        (0, 8, 8, 2),
    ],
)
def test_nothing_in_nothing_out(few_rows, shape):
    if shape[1] > 8:
        few_rows()
    y = filtered_activation2d(jnp.zeros(shape), SINC, SINC, up=2, down=2, padding=5)
    assert y.shape == shape[:1] + tuple(size for size in shape[1:3]) + shape[3:]


def matrix(axis: Axis, taps) -> np.ndarray:
    """An axis by its definition."""
    result = np.zeros((axis.size_out, axis.size_in))
    for o in range(axis.size_out):
        for k in range(axis.taps):
            position = o * axis.down + k - axis.offset
            if position % axis.up == 0 and 0 <= position // axis.up < axis.size_in:
                result[o, position // axis.up] += taps[k]
    return result


@st.composite
def stages(draw):
    up, down = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    up_taps, down_taps = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    size = draw(st.integers(1, 12))
    padding = draw(st.integers(-4, 9)), draw(st.integers(-4, 9))
    temporary = output_size(size, up, 1, padding, up_taps)
    hypothesis.assume(temporary >= 1)
    out = output_size(temporary, 1, down, (0, 0), down_taps)
    hypothesis.assume(out >= 1)
    rng = np.random.default_rng(0)

    def plan(axis):
        return Resample(
            (axis, Axis(1, 1, 1, 1, 0, 1)), ((tuple(rng.normal(size=axis.taps)), (1,)),)
        )

    stage = Stage(
        up=plan(Axis(size, temporary, up, 1, padding[0], up_taps)),
        down=plan(Axis(temporary, out, 1, down, 0, down_taps)),
        activation=None,
    )
    transposed = draw(st.booleans())
    stage = stage.transpose if transposed else stage
    return stage, transposed, draw(st.integers(1, min(stage.out_size[0], 5)))


def matrices(stage):
    return tuple(matrix(plan.axes[0], plan.terms[0][0]) for plan in (stage.up, stage.down))


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(stages())
def test_every_cut_computes_the_whole(drawn):
    stage, transposed, count = drawn
    rng = np.random.default_rng(1)
    up, down = matrices(stage)
    x = rng.normal(size=up.shape[1])
    gate = rng.normal(size=up.shape[0])
    # A forward stage is not linear, but zero of zero; a transposed one has a gate.
    pointwise = (lambda u, gate: gate * u) if transposed else (lambda u, gate: u**2)
    expected = down @ pointwise(up @ x, gate)

    found, codes = [], []
    packed = np.arange(-(-len(gate) // ROWS_PER_BYTE))[None]
    bands = cut(stage, count)
    assert len(bands) == count
    for band in bands:
        band_up, band_down = matrices(band.stage)
        opening = gate[band.start : band.start + len(band_up)]
        found.append(band_down @ pointwise(band_up @ x, opening))
        read = band.codes_of(packed)
        assert read[0, 0] * ROWS_PER_BYTE == band.start
        assert read.size == -(-len(band_up) // ROWS_PER_BYTE)
        codes.append(band.kept_of(read))
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(np.concatenate(codes, 1), packed)
