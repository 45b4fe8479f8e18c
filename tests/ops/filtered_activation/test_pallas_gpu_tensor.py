"""The GPU kernel on tensor cores, interpreted, against the XLA implementation in float64."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.ops.filtered_activation import (
    pallas_gpu,
    pallas_gpu_tensor,
    pallas_gpu_tensor_plan,
    pallas_gpu_tiles,
    xla,
)
from aa_jax.ops.filtered_activation.pallas_gpu_tensor_taps import rounded
from aa_jax.ops.filtered_activation.piecewise import unpack
from aa_jax.ops.resample.xla import resample
from scripts.kernels.shape_classes import CLASSES, stage_of
from tests.ops.filtered_activation.test_pallas_gpu import (
    CLAMPED,
    STAGES,
    TOLERANCE,
    _assert_close,
    _exact,
    _normal,
    _sinc,
    _stage,
)

# Channels below 64 share a block's lanes with other strips: two for 18, four for 3.
CASES = [
    ("translation", "bfloat16", 3),
    pytest.param("growing, cropped", "float16", 18, marks=pytest.mark.slow),
    pytest.param("rotation", "bfloat16", 50, marks=pytest.mark.slow),
    pytest.param("growing, rotation", "bfloat16", 8, marks=pytest.mark.slow),
]
LAYERS = [name for name in CLASSES if name != "1/1"]


@functools.partial(jax.jit, static_argnames=("stage", "with_codes"))
def _filtered(x, stage, *, with_codes):
    return pallas_gpu.filtered(x, stage, with_codes=with_codes, interpret=True)


@functools.partial(jax.jit, static_argnames="stage")
def _gated(v, codes, stage):
    return pallas_gpu.gated(v, codes, stage, interpret=True)


def _assert_codes(codes, expected, x, stage, dtype):
    """Equal codes, but for samples whose side of a threshold rounding decides."""
    height = stage.temporary_size[0]
    differ = np.asarray(unpack(codes, height)) != np.asarray(unpack(expected, height))
    u = stage.activation.gain * np.asarray(resample(x.astype(jnp.float32), stage.up))
    v = np.abs(np.where(u < 0, stage.activation.slope * u, u))
    near = np.minimum(v, np.abs(v - stage.activation.clamp))
    assert not differ.any() or near[differ].max() <= TOLERANCE[dtype] * np.abs(u).max()
    assert differ.mean() < 1e-2
    # Bits below the grid are zero.
    assert height % 4 == 0 or not np.any(np.asarray(codes)[:, -1] >> (2 * (height % 4)))


@pytest.mark.parametrize("name, dtype, channels", CASES)
def test_forward_and_codes(name, dtype, channels):
    stage = STAGES[name]
    x = _normal(0, (2, *stage.size, channels), dtype)
    assert pallas_gpu_tensor.serves(stage, dtype, channels)
    y, codes = _filtered(x, stage, with_codes=True)
    expected, expected_codes = _exact(xla.filtered, x, stage, with_codes=True)
    _assert_close(y, expected, dtype)
    _assert_codes(codes, expected_codes, x, stage, dtype)


@pytest.mark.parametrize("name, dtype, channels", CASES)
def test_transposed_stage(name, dtype, channels):
    stage = STAGES[name].transpose
    v = _normal(1, (1, *stage.size, channels), dtype)
    codes = jax.random.randint(
        jax.random.key(2), STAGES[name].codes_shape(1, channels), 0, 256, jnp.int32
    ).astype(jnp.uint8)
    # Code 3 does not occur.
    codes = codes & ~((codes >> 1) & 0b01010101)
    assert pallas_gpu_tensor.serves(stage, dtype, channels)
    out = _gated(v, codes, stage)
    _assert_close(out, _exact(xla.gated, v, codes, stage), dtype)


@pytest.fixture
def small_blocks(monkeypatch):
    """Strips and segments far smaller than a GPU would get, so that a small image has many."""
    monkeypatch.setattr(pallas_gpu_tensor_plan, "_MOST_GROUPS", 1)
    monkeypatch.setattr(pallas_gpu_tiles, "_LEAST_LENGTH", 1)
    pallas_gpu_tensor_plan.strips_of.cache_clear()
    yield
    pallas_gpu_tensor_plan.strips_of.cache_clear()


@pytest.mark.slow
def test_many_blocks(small_blocks):
    stage = _stage((18, 43), 2, _sinc(12, 2), 2, _sinc(12, 2), (9, 8))
    x = _normal(5, (1, *stage.size, 20), "bfloat16")
    tiling = pallas_gpu.launch_of(stage, 1, 20, "bfloat16", "plain").tiling
    assert tiling.tiles > 2 and tiling.segments > 1 and tiling.strips > 1
    y = _filtered(x, stage, with_codes=False)
    _assert_close(y, _exact(xla.filtered, x, stage, with_codes=False), "bfloat16")


@pytest.mark.parametrize("name", LAYERS)
def test_serves_the_published_layers(name):
    for dtype in ("bfloat16", "float16"):
        stage = stage_of(CLASSES[name], dtype)
        for channels in (3, 81, 512):
            assert pallas_gpu_tensor.serves(stage, dtype, channels)
            assert pallas_gpu_tensor.serves(stage.transpose, dtype, channels)


def test_leaves_other_stages():
    assert not pallas_gpu_tensor.serves(STAGES["translation"], "float32", 64)
    for name in ("one row", "pointwise", "odd factors"):
        assert not pallas_gpu_tensor.serves(STAGES[name], "bfloat16", 64)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", LAYERS)
def test_rounded_taps_leak_less_than_70_db(name, dtype):
    stage = stage_of(CLASSES[name], dtype)
    exact, other = (stage.up, stage.down), rounded(stage, dtype)
    assert other.stage.activation.gain == 1.0
    for plan, approximate in zip(exact, (other.stage.up, other.stage.down), strict=True):
        expected, response = _response(plan), _response(approximate)
        # A common factor is undone; it is that of the mean.
        response = response * expected[0, 0] / response[0, 0]
        stop = np.abs(expected) < 1e-2 * np.abs(expected[0, 0])
        added = np.abs(response - expected)[stop].max() / np.abs(expected[0, 0])
        assert 20 * np.log10(added) < -70
        for terms in approximate.terms:
            for taps in terms:
                held = np.asarray(taps, np.float32).astype(jnp.dtype(dtype))
                np.testing.assert_array_equal(held.astype(np.float64), taps)


def _response(plan):
    """Response of a filter at (rows, columns) of frequencies."""
    taps = sum(np.outer(vertical, horizontal) for vertical, horizontal in plan.terms)
    return np.fft.fft2(taps, (256, 256))


def test_factor_undoes_the_scales():
    stage = STAGES["rotation"]
    other = rounded(stage, "float16")
    x = np.random.default_rng(6).normal(size=(1, *stage.size, 2))
    exact = _exact(xla.filtered, jnp.asarray(x), stage, with_codes=False)
    approximate = _exact(xla.filtered, jnp.asarray(x), other.stage, with_codes=False)
    error = np.abs(other.factor * approximate - exact).max() / np.abs(exact).max()
    assert error < 2e-3
    assert stage.activation == CLAMPED


def test_matrices_lie_as_the_instruction_wants_them():
    """As the PTX manual has it for `mma.m16n8k16`: registers b0 to b3, by lane."""
    from aa_jax.ops.filtered_activation.pallas_gpu_tensor_units import matrix_of, words_of

    matrix = np.random.default_rng(7).normal(size=(1, 16, 8)).astype(jnp.bfloat16)
    words, mask = words_of(matrix, jnp.dtype("bfloat16"))
    halves = words.view(np.uint16).view(jnp.bfloat16).reshape(128, 4)
    for thread in range(128):
        group, within = divmod(thread % 32, 4)
        for i in range(4):
            row = within * 2 + (i & 1) + (8 if i >= 2 else 0)
            assert halves[thread, i] == matrix[0, row, group]
            assert mask.view(np.uint16).reshape(128, 4)[thread, i] == 0xFFFF * (row % 8 == group)
    np.testing.assert_array_equal(matrix_of(jnp.asarray(words), jnp.bfloat16), matrix[0])
