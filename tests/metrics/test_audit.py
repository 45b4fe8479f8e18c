"""The alias audit on networks whose equivariance is known by arithmetic."""

import dataclasses
import functools
import math

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.metrics.audit import audit_generator, audit_network
from aa_jax.metrics.audit_result import AliasAudit
from aa_jax.metrics.motion import Rotation, Translation
from tests.metrics.waves import draw_latents, waves_map

ONE, TWO, HALF, TURN = Translation(1, 1), Translation(2, 2), Translation(0.5, 0.5), Rotation(15)
VIEW, FRAME = 48, 72


def layers(x, record):
    """A linear filter, every second sample with and without a low-pass, and copies of that."""
    kernel = jnp.asarray([[0.0, 0.2, 0.1], [0.3, 0.5, -0.2], [0.0, 0.1, -0.4]])[:, :, None, None]
    apply = functools.partial(
        jax.lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    y = apply(x, kernel, (1, 1), "SAME")
    record("filtered", y)
    record("shape (N,)", y.mean((1, 2, 3)))
    record("kept", x[:, ::2, ::2])
    low = jnp.asarray(np.outer(*[np.convolve([1, 1], np.convolve([1, 1], [1, 2, 1]))] * 2) / 256)
    blurred = apply(y, low[:, :, None, None].astype(y.dtype), (1, 1), "SAME")
    record("blurred", blurred[:, ::2, ::2])
    record("scaled", 7 * x[:, ::2, ::2] - 100)
    record("copies", jnp.repeat(x[:, ::2, ::2], 2, 3))
    return y.mean((1, 2))


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(5).standard_normal((5, FRAME, FRAME, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def audit(noise):
    return audit_network(
        layers, noise, crop_size=VIEW, motions=(ONE, TWO, HALF, TURN), batch_size=2
    )


def entry(audit: AliasAudit, layer: str, motion) -> float:
    return audit.decibels[audit.layers.index(layer), audit.motions.index(motion)]


def test_layers_are_in_the_networks_order(audit):
    names = ("filtered", "kept", "blurred", "scaled", "copies")
    assert audit.layers == names
    assert audit.shapes[:2] == ((48, 48, 1), (24, 24, 1)) and audit.shapes[4] == (24, 24, 2)
    assert audit.rates == (1, 0.5, 0.5, 0.5, 0.5)
    assert audit.errors.shape == (5, 4, 5)


def test_a_filter_is_exact_and_so_are_whole_steps_of_a_stride(audit):
    assert entry(audit, "filtered", ONE) == math.inf
    assert entry(audit, "filtered", HALF) > 100  # a filter and an interpolation commute
    for layer in ("kept", "blurred", "scaled"):
        assert entry(audit, layer, TWO) == math.inf


def test_white_noise_without_a_low_pass_is_lost(audit):
    """Odd and even samples have nothing to do with each other: the errors are the sum of both."""
    distance = np.arange(-5, 7) - 0.5
    kernel = np.sinc(distance) * np.i0(8 * np.sqrt(1 - (distance / 6) ** 2))
    reference = np.sum((kernel / kernel.sum()) ** 2) ** 2  # of unit power, halfway interpolated
    expected = 10 * np.log10(reference / (1 + reference))
    assert entry(audit, "kept", ONE) == pytest.approx(expected, abs=0.7)


def test_a_low_pass_helps(audit):
    assert entry(audit, "blurred", ONE) > entry(audit, "kept", ONE) + 12
    assert entry(audit, "blurred", HALF) > entry(audit, "kept", HALF) + 10


def test_scale_offset_and_copies_change_nothing(audit):
    kept = audit.decibels[audit.layers.index("kept")]
    for layer in ("scaled", "copies"):
        row = audit.decibels[audit.layers.index(layer)]
        np.testing.assert_allclose(row, kept, atol=1e-3)


def test_batches_and_fill_do_not_matter(audit, noise):
    again = audit_network(
        layers, noise, crop_size=VIEW, motions=(ONE,), layers=["blurred", "kept"], batch_size=5
    )
    assert again.layers == ("blurred", "kept")
    np.testing.assert_allclose(again.errors[1, 0], audit.errors[1, 0], rtol=1e-4)
    np.testing.assert_allclose(again.powers[0, 0], audit.powers[2, 0], rtol=1e-4)


def test_a_border_leaves_out_what_padding_reaches(noise):
    options = {"crop_size": VIEW, "motions": (ONE,), "layers": ["filtered"]}
    assert audit_network(layers, noise, border=2, **options).decibels[0, 0] == math.inf
    assert 10 < audit_network(layers, noise, border=0, **options).decibels[0, 0] < 40


def waves_frame(size: int) -> np.ndarray:
    latents = draw_latents(jax.random.key(0), 3, highest=0.08)
    return np.asarray(waves_map(latents, np.eye(3), size, 1.0))


def test_a_strided_layer_turns_about_its_own_center():
    def strided(x, record):
        record("kept", x[:, ::2, ::2])

    options = {"crop_size": VIEW, "motions": (TURN,)}
    center = (2 - 1) / (2 * 2)  # (s - 1) / (2 s) for stride s
    right = audit_network(strided, waves_frame(80), centers={"kept": (center,) * 2}, **options)
    wrong = audit_network(strided, waves_frame(80), **options)
    assert right.decibels[0, 0] > 42
    assert wrong.decibels[0, 0] < right.decibels[0, 0] - 10


def test_rates_may_be_given(noise):
    def valid(x, record):
        record("inner", x[:, 1:-1, 1:-1])

    options = {"crop_size": VIEW, "motions": (ONE,)}
    with pytest.raises(ValueError, match=r"'inner' has 46 samples for 48 pixels, .*rates="):
        audit_network(valid, noise, **options)
    audit = audit_network(valid, noise, rates={"inner": 1.0}, **options)
    assert audit.decibels[0, 0] == math.inf


def test_generators_by_layer():
    """Maps with margins at a rate of their own; one layer forgets to move, one moves too far."""

    def apply(latents, transform, record):
        record("wide", waves_map(latents, transform, 44, 24.0))
        record("stuck", waves_map(latents, jnp.eye(3), 48, 48.0))
        twice = 2 * transform - jnp.eye(3)
        record("too far", waves_map(latents, twice, 48, 48.0))
        return waves_map(latents, transform, 48, 48.0)

    latents = draw_latents(jax.random.key(1), 3, highest=4.0)
    audit = audit_generator(apply, latents, motions=(ONE, HALF, TURN), rates={"wide": 24.0})
    assert audit.layers == ("wide", "stuck", "too far", "output")
    assert audit.rates == (0.5, 1, 1, 1)
    decibels = audit.decibels
    assert (decibels[0] > (60, 60, 40)).all() and (decibels[3] > (90, 60, 40)).all()
    assert (decibels[1] < 25).all() and (decibels[2, :2] < 25).all()
    # Standing still and moving twice as far are equally wrong to first order.
    np.testing.assert_allclose(decibels[1, :2], decibels[2, :2], atol=1.0)
    with pytest.raises(ValueError, match="'wide' has 44 samples for 48 pixels"):
        audit_generator(apply, latents)
    with pytest.raises(ValueError, match="apply must return pictures"):
        audit_generator(lambda z, transform, record: None, latents)


def test_table_and_losses():
    errors = np.array([[[0.0, 0.0]], [[1.0, 1.0]], [[2.0, 2.0]], [[1.0, 1.0]], [[1.0, 1.0]]])
    powers = np.full_like(errors, 100.0)
    powers[4] = 0
    audit = AliasAudit(
        ("a", "b", "c", "d", "e"), (ONE,), ((8, 8, 3),) * 5, (1.0,) * 5, errors, powers
    )
    np.testing.assert_allclose(
        audit.decibels[:, 0], [np.inf, 20, 10 * np.log10(50), 20, np.nan], atol=1e-9
    )
    np.testing.assert_allclose(
        audit.losses[:, 0], [0, np.inf, 10 * np.log10(2), 0, np.nan], atol=1e-9
    )
    lines = audit.table().splitlines()
    assert lines[0] == "| layer | map | shift (1, 1) px |"
    assert lines[2:4] == ["| a | 8 x 8 x 3 | exact |", "| b | 8 x 8 x 3 | **20.0 ± 0.0 dB** |"]
    assert lines[6] == "| e | 8 x 8 x 3 | - |"
    unmoved = dataclasses.replace(audit, errors=np.ones_like(errors), powers=powers * 0 + 9)
    assert "**" not in unmoved.table()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"motions": (Translation(13, 0),)}, r"too small for shift \(13, 0\) px: views of 48 need"),
        ({"motions": (Rotation(45),)}, "too small for rotation 45°"),
        ({"crop_size": 47}, "larger than crop_size by an even number"),
        ({"layers": ["nothing"]}, "layers must name maps that apply records, filtered, kept"),
        ({"rates": {"x": 1.0}}, "rates must name maps"),
        ({"rates": {"kept": -1.0}}, "rates must be positive"),
        ({"border": 24}, "border must lie between 0 and half"),
        ({"batch_size": 0}, "batch_size must be a positive integer"),
    ],
)
def test_bad_options(noise, options, message):
    with pytest.raises(ValueError, match=message):
        audit_network(layers, noise, **({"crop_size": VIEW, "motions": (ONE,)} | options))


def test_bad_networks(noise):
    def twice(x, record):
        record("a", x)
        record("a", x)

    options = {"crop_size": VIEW, "motions": (ONE,)}
    with pytest.raises(ValueError, match="recorded 'a' twice"):
        audit_network(twice, noise, **options)
    with pytest.raises(ValueError, match="apply records, none, got nothing"):
        audit_network(lambda x, record: x.mean((1, 2)), noise, **options)
    with pytest.raises(ValueError, match="'output' has values that are not finite"):
        audit_network(lambda x, record: x * jnp.nan, noise, **options)
