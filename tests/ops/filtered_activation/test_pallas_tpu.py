"""The TPU kernel, interpreted on the CPU, against the XLA implementation in float64."""

import functools

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies as st
from jax import numpy as jnp

from aa_jax import filters
from aa_jax.ops.filtered_activation import pallas_tpu, xla
from aa_jax.ops.filtered_activation.pallas_tpu_plan import Rows, plan_of
from aa_jax.ops.filtered_activation.piecewise import PiecewiseLinear
from aa_jax.ops.filtered_activation.stage import Stage
from aa_jax.ops.resample.geometry import Axis, Resample, output_size
from aa_jax.ops.resample.terms import separated
from tests.tolerances import relative_error

TOLERANCE = {"float32": 2e-5, "bfloat16": 1e-2, "float16": 1e-2}
SINC = {
    taps: filters.firwin_sinc(taps, cutoff=1.0, width=1.2, rate=rate)
    for taps, rate in ((12, 4.0), (24, 8.0), (7, 3.0), (4, 3.0))
}
JINC = filters.firwin_jinc(12, cutoff=1.0, width=1.2, rate=4.0)
CLAMPED = PiecewiseLinear(slope=0.2, gain=2**0.5, clamp=0.8)


def resampling(size, taps, *, up=1, down=1, padding=(0, 0)) -> Resample:
    terms = separated(taps, 2, gain=float(up**2), dtype=jnp.float32, flip=True)
    axes = []
    for samples, length in zip(size, (len(row) for row in terms[0]), strict=True):
        # One row stays one row: a signal of one dimension.
        u, d, p = (1, 1, (0, 0)) if samples == 1 else (up, down, padding)
        out = output_size(samples, u, d, p, length)
        axes.append(Axis(samples, out, u, d, p[0], length))
    return Resample(tuple(axes), terms)


def stage_of(size, up_taps, up, down_taps, down, padding, activation=CLAMPED) -> Stage:
    growing = resampling(size, up_taps, up=up, padding=padding)
    grid = tuple(axis.size_out for axis in growing.axes)
    return Stage(growing, resampling(grid, down_taps, down=down), activation)


def along_rows(taps):
    return np.ones(1), taps


# Two or three steps of rows each, and an incomplete last one.
STAGES = {
    "up 2, down 2": stage_of((23, 7), SINC[12], 2, SINC[12], 2, (9, 8)),
    "up 4, down 2, cropped": stage_of((21, 14), SINC[24], 4, SINC[12], 2, (-6, -9)),
    "radial": stage_of((22, 9), SINC[12], 2, JINC, 2, (11, 10)),
    "up 4, down 2, radial": stage_of((20, 13), SINC[24], 4, JINC, 2, (-2, -5)),
    "one row": stage_of((1, 43), along_rows(SINC[12]), 2, along_rows(SINC[12]), 2, (11, 10)),
    "odd factors": stage_of((13, 8), SINC[7], 3, SINC[4], 1, (4, 3), PiecewiseLinear(0.0)),
    "pointwise": stage_of((5, 7), None, 1, None, 1, (0, 0), PiecewiseLinear(1.0, 1.5, 0.9)),
}
# Images side by side on the lanes, one image, and channels in an incomplete second block.
CASES = [
    ("up 2, down 2", "float32", (3, 5)),
    ("up 4, down 2, cropped", "bfloat16", (1, 3)),
    ("radial", "float32", (1, 2)),
    ("up 4, down 2, radial", "float32", (1, 2)),
    ("one row", "float16", (2, 130)),
    ("odd factors", "float32", (1, 4)),
    ("pointwise", "float32", (2, 2)),
]


def signal(seed, shape, dtype):
    return jax.random.normal(jax.random.key(seed), shape).astype(dtype)


def exact(function, x, *rest, **options):
    """The XLA implementation in float64, on the same, already rounded, signal."""
    with jax.enable_x64(True):
        compiled = jax.jit(functools.partial(function, **options))
        return jax.tree.map(np.asarray, compiled(x.astype(jnp.float64), *rest))


@pytest.mark.parametrize("name, dtype, lanes", CASES)
def test_forward_with_codes(name, dtype, lanes):
    stage = STAGES[name]
    x = signal(0, (lanes[0], *stage.size, lanes[1]), dtype)
    run = functools.partial(pallas_tpu.filtered, stage=stage, with_codes=True, interpret=True)
    y, codes = jax.jit(run)(x)
    expected, expected_codes = exact(xla.filtered, x, stage=stage, with_codes=True)
    assert y.dtype == dtype and codes.dtype == np.uint8
    assert relative_error(y, expected) <= TOLERANCE[dtype]
    # A sample within rounding of zero or of the clamp may fall on the other side.
    assert np.mean(np.asarray(codes) != expected_codes) <= (0.0 if dtype == "float32" else 5e-3)


@pytest.mark.parametrize("name, dtype, lanes", CASES)
def test_gated_transposed(name, dtype, lanes):
    forward = STAGES[name]
    stage = forward.transpose
    v = signal(1, (lanes[0], *stage.size, lanes[1]), dtype)
    shape = forward.codes_shape(*lanes)
    codes = jax.random.bits(jax.random.key(2), shape, "uint8")
    # The fourth code doesn't occur.
    codes = codes & ~((codes >> 1) & 0b01010101)
    run = functools.partial(pallas_tpu.gated, stage=stage, interpret=True)
    out = jax.jit(run)(v, codes)
    assert out.dtype == dtype
    assert relative_error(out, exact(xla.gated, v, codes, stage=stage)) <= TOLERANCE[dtype]


def test_forward_without_codes():
    stage = STAGES["radial"]
    x = signal(3, (1, *stage.size, 2), "bfloat16")
    y = pallas_tpu.filtered(x, stage, with_codes=False, interpret=True)
    expected = exact(xla.filtered, x, stage=stage, with_codes=False)
    assert relative_error(y, expected) <= TOLERANCE["bfloat16"]


def test_says_what_it_can_not_run():
    stage = STAGES["up 2, down 2"]
    assert pallas_tpu.unsupported(stage, "bfloat16", 3) is None
    assert "float64" in pallas_tpu.unsupported(stage, jnp.dtype("float64"), 3)
    wide = stage_of((64, 20_000), SINC[12], 2, SINC[12], 2, (9, 8))
    assert "20000 samples" in pallas_tpu.unsupported(wide, "float32", 3)


def test_halves_of_taps_keep_the_stop_band():
    plan = plan_of(STAGES["up 4, down 2, cropped"], itemsize=2, with_codes=False)
    matrix = plan.down_matrix.astype(np.float64)
    upper, lower = np.split(matrix, 2, axis=1 if plan.down.wide else 0)
    taps = (upper + lower)[0][: len(SINC[12])]
    np.testing.assert_allclose(taps, SINC[12][::-1], atol=2e-5 * SINC[12].max())
    # Leakage that rounding adds, relative to the pass band.
    added = filters.frequency_response(taps - SINC[12][::-1], np.linspace(0, 0.5, 65))
    assert np.abs(added).max() < 10 ** (-90 / 20)


@st.composite
def walks(draw):
    up, down = (draw(st.integers(1, 5)) for _ in range(2))
    up_taps, down_taps = (draw(st.integers(1, 14)) for _ in range(2))
    size, offset = draw(st.integers(1, 40)), draw(st.integers(-9, 15))
    grid, down_offset = draw(st.integers(1, 90)), draw(st.integers(0, 13))
    out = draw(st.integers(1, 60))
    rows = (
        Axis(size, grid, up, 1, offset, up_taps),
        Axis(grid, out, 1, down, down_offset, down_taps),
    )
    return Rows.of(*rows, Rows.unit(*rows) * draw(st.integers(1, 3)))


def held(ring, row, size) -> bool:
    """Whether the ring holds a row; for rows above the first, whether it still holds zeros."""
    return ring.get(row % size) == (row if row >= 0 else None)


@hypothesis.given(walks())
def test_rows_are_kept_until_they_are_read(rows):
    """Plays the walk with names of rows instead of rows."""
    inputs, temporaries = {}, {}
    first_output = {}
    for step in range(rows.steps(with_codes=True)):
        for row in range(step * rows.fresh, (step + 1) * rows.fresh):
            inputs[row % rows.input_ring] = row
        begin = step * rows.tall - rows.lag
        for start in range(begin, begin + rows.tall, rows.group):
            if 0 <= start < rows.up.size_out:
                for taps in rows.taps:
                    for _, sample in taps:
                        row = start // rows.up.up + sample
                        assert held(inputs, row, rows.input_ring)
            for row in range(start, start + rows.group):
                if row >= 0:
                    temporaries[row % rows.temporary_ring] = row
        for out in range((step - rows.out_lag) * rows.out, (step - rows.out_lag + 1) * rows.out):
            if step < rows.out_lag or out >= rows.down.size_out:
                continue
            first_output[out] = step
            for tap in range(rows.down.taps):
                row = out * rows.down.down - rows.down.offset + tap
                assert held(temporaries, row, rows.temporary_ring)
    assert sorted(first_output) == list(range(rows.down.size_out))
