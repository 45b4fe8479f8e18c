"""The GPU kernel that sums in float32, interpreted, against the XLA implementation in float64."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax import filters
from aa_jax.ops.filtered_activation import pallas_gpu, pallas_gpu_tiles, xla
from aa_jax.ops.filtered_activation.piecewise import PiecewiseLinear
from aa_jax.ops.filtered_activation.stage import Stage
from aa_jax.ops.resample.geometry import Axis, Resample, output_size
from aa_jax.ops.resample.terms import separated

TOLERANCE = {"float32": 2e-5, "bfloat16": 1e-2, "float16": 1e-2}
CLAMPED = PiecewiseLinear(slope=0.2, gain=2**0.5, clamp=1.0)


def _resample(size, taps, *, up=1, down=1, padding=(0, 0), gain=1.0) -> Resample:
    terms = separated(taps, 2, gain=gain, dtype=jnp.float32, flip=True)
    axes = []
    for a, length in enumerate(len(row) for row in terms[0]):
        # One row stays one row: a signal of one dimension.
        u, d, p = (1, 1, (0, 0)) if size[a] == 1 else (up, down, padding)
        axes.append(Axis(size[a], output_size(size[a], u, d, p, length), u, d, p[0], length))
    return Resample(tuple(axes), terms)


def _stage(size, up, up_taps, down, down_taps, padding, activation=CLAMPED) -> Stage:
    grow = _resample(size, up_taps, up=up, padding=padding, gain=float(up * up))
    temporary = tuple(axis.size_out for axis in grow.axes)
    return Stage(grow, _resample(temporary, down_taps, down=down), activation)


def _sinc(taps, rate):
    return filters.firwin_sinc(taps, 0.45, 0.4, rate)


def _line(taps):
    return np.ones(1), taps


STAGES = {
    "translation": _stage((9, 12), 2, _sinc(12, 2), 2, _sinc(12, 2), (9, 8)),
    "growing, cropped": _stage((13, 11), 4, _sinc(24, 4), 2, _sinc(12, 2), (-3, -5)),
    "rotation": _stage((9, 11), 2, _sinc(12, 2), 2, filters.firwin_jinc(12, 0.45, 0.4, 2), (9, 8)),
    "growing, rotation": _stage(
        (13, 12), 4, _sinc(24, 4), 2, filters.firwin_jinc(12, 0.45, 0.4, 2), (-2, -5)
    ),
    "one row": _stage((1, 23), 2, _line(_sinc(12, 2)), 2, _line(_sinc(12, 2)), (11, 10)),
    "pointwise": _stage((5, 7), 1, None, 1, None, (0, 0), PiecewiseLinear(0.1, 1.5, None)),
    "odd factors": _stage((7, 9), 3, _sinc(9, 3), 2, _sinc(5, 2), (4, 3), PiecewiseLinear(0.0)),
}
# The transpose of the filter of several terms has several terms in front.
CASES = [
    ("translation", "float32"),
    pytest.param("growing, cropped", "float32", marks=pytest.mark.slow),
    pytest.param("rotation", "float32", marks=pytest.mark.slow),
    pytest.param("growing, rotation", "float32", marks=pytest.mark.slow),
    ("one row", "float16"),
    ("pointwise", "float32"),
    pytest.param("odd factors", "bfloat16", marks=pytest.mark.slow),
]


@functools.partial(jax.jit, static_argnames=("stage", "with_codes"))
def _filtered(x, stage, *, with_codes):
    return pallas_gpu.filtered(x, stage, with_codes=with_codes, interpret=True)


@functools.partial(jax.jit, static_argnames="stage")
def _gated(v, codes, stage):
    return pallas_gpu.gated(v, codes, stage, interpret=True)


def _normal(seed, shape, dtype):
    return jax.random.normal(jax.random.key(seed), shape).astype(dtype)


def _exact(function, signal, *rest, **options):
    """The XLA implementation in float64, of the same, already rounded, signal."""
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, function(signal.astype(jnp.float64), *rest, **options))


def _assert_close(actual, expected, dtype):
    assert actual.dtype == dtype and actual.shape == expected.shape
    error = np.abs(np.asarray(actual, np.float64) - expected).max() / np.abs(expected).max()
    assert error <= TOLERANCE[dtype]


@pytest.mark.parametrize("name, dtype", CASES)
def test_forward_and_codes(name, dtype):
    stage = STAGES[name]
    x = _normal(0, (2, *stage.size, 3), dtype)
    y, codes = _filtered(x, stage, with_codes=True)
    expected, expected_codes = _exact(xla.filtered, x, stage, with_codes=True)
    _assert_close(y, expected, dtype)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes, expected_codes)


@pytest.mark.parametrize("name, dtype", CASES)
def test_transposed_stage(name, dtype):
    stage = STAGES[name].transpose
    v = _normal(1, (1, *stage.size, 18), dtype)
    codes = jax.random.randint(
        jax.random.key(2), STAGES[name].codes_shape(1, 18), 0, 256, jnp.int32
    ).astype(jnp.uint8)
    # Code 3 does not occur.
    codes = codes & ~((codes >> 1) & 0b01010101)
    out = _gated(v, codes, stage)
    _assert_close(out, _exact(xla.gated, v, codes, stage), dtype)


@pytest.mark.slow
def test_tangent_is_linear_in_the_signal_alone():
    stage = STAGES["translation"]
    x, v = _normal(3, (1, *stage.size, 2), "float32"), _normal(4, (1, *stage.size, 2), "float32")
    _, codes = xla.filtered(x, stage, with_codes=True)
    out = _gated(v, codes, stage)
    _assert_close(out, _exact(xla.gated, v, codes, stage), "float32")


@pytest.fixture
def small_blocks(monkeypatch):
    """Tiles and segments far smaller than a GPU would get, so that a small image has many."""
    monkeypatch.setattr(pallas_gpu_tiles, "_MOST_UNITS", 8)
    monkeypatch.setattr(pallas_gpu_tiles, "_LEAST_LENGTH", 1)
    pallas_gpu_tiles.tiling_of.cache_clear()
    yield
    pallas_gpu_tiles.tiling_of.cache_clear()


@pytest.mark.slow
def test_many_blocks(small_blocks):
    stage = _stage((18, 23), 2, _sinc(12, 2), 2, _sinc(12, 2), (9, 8))
    x = _normal(5, (1, *stage.size, 33), "float32")
    tiling = pallas_gpu_tiles.tiling_of(stage, 1, 33, 4, "plain")
    assert tiling.tiles > 2 and tiling.segments > 1 and tiling.channels < 33
    y = _filtered(x, stage, with_codes=False)
    _assert_close(y, _exact(xla.filtered, x, stage, with_codes=False), "float32")


def test_empty_batch():
    stage = STAGES["translation"]
    y, codes = pallas_gpu.filtered(jnp.zeros((0, *stage.size, 3)), stage, with_codes=True)
    assert y.shape == (0, *stage.out_size, 3) and codes.shape == stage.codes_shape(0, 3)


def test_unsupported_says_why():
    stage = STAGES["translation"]
    assert pallas_gpu.unsupported(stage, "bfloat16", 512) is None
    assert pallas_gpu.unsupported(stage.transpose, "float32", 3) is None
    assert "float64" in pallas_gpu.unsupported(stage, "float64", 3)
    backwards = _stage((9, 9), 1, None, 1, None, (0, 0), PiecewiseLinear(gain=-1.0))
    assert "gain" in pallas_gpu.unsupported(backwards, "float32", 3)
    long = _stage((99, 99), 7, _sinc(63, 7), 5, _sinc(45, 5), (9, 8))
    assert pallas_gpu.unsupported(long, "float32", 3) is not None
    padded = Stage(
        _resample((9, 9), _sinc(12, 2), up=2, padding=(6, 5), gain=4.0),
        _resample((18, 18), _sinc(12, 2), down=2, padding=(6, 5)),
        CLAMPED,
    )
    assert "beyond the temporary grid" in pallas_gpu.unsupported(padded, "float32", 3)


@pytest.mark.parametrize("channels", [16, 32])
def test_results_have_channels_beside_those_of_a_block(channels):
    """Otherwise a copy of columns is one of bytes, which runs on into the next row."""
    stage = STAGES["translation"]
    block = pallas_gpu.launch_of(stage, 1, channels, "float32", "write").tiling.channels
    assert block == channels
    x = jnp.zeros((1, *stage.size, channels))
    run = jax.make_jaxpr(lambda x: pallas_gpu.filtered(x, stage, with_codes=True))(x)
    results = [out.aval.shape for eqn in run.eqns for out in eqn.outvars]
    for shape in ((1, *stage.out_size), stage.codes_shape(1, channels)[:3]):
        assert max(made[3] for made in results if made[:3] == shape) > block
