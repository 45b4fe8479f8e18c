"""EQ-T and EQ-R: published arrays, a perfect generator, bad ones of known error, arguments."""

import functools
import json

import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.metrics.equivariance import METRICS, equivariance, measure_equivariance
from aa_jax.metrics.equivariance_result import Equivariance, EquivarianceDraws, random_draws
from tests.metrics.waves import draw_latents, waves_map
from tests.models.alias_free.official import below, channels_last
from tests.models.alias_free.test_generator import build

SIZE = 32
few_waves = functools.partial(draw_latents, highest=3.0)


def perfect(latents, transform):
    return waves_map(latents, transform, SIZE, SIZE)


@pytest.fixture(scope="module", params=["T64", "R64"])
def published(request, golden):
    return golden(f"alias_free/eq_gen_{request.param}.npz")


def given_draws(arrays, count: int) -> EquivarianceDraws:
    return EquivarianceDraws(
        arrays["t_int"][:count], arrays["t_frac"][:count], arrays["angles"][:count], 64
    )


def test_published_pictures_give_the_published_errors(published):
    """The generator is a look-up by transform, so this checks transforms, references and masks."""
    right, down = published["t_int"][0]
    x, y = published["t_frac"][0]
    cos, sin = np.cos(published["angles"][0]), np.sin(published["angles"][0])
    table = {
        "orig0": np.eye(3),
        "img_int0": [[1, 0, -right], [0, 1, -down], [0, 0, 1]],
        "img_frac0": [[1, 0, -x], [0, 1, -y], [0, 0, 1]],
        "img_rot0": [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]],
    }
    pictures = np.stack([channels_last(published[name]) for name in table])
    transforms = np.stack([np.asarray(matrix) for matrix in table.values()])

    def look_up(latents, transform):
        del latents
        distance = jnp.abs(transforms - transform).max((1, 2))
        found = jnp.asarray(pictures)[jnp.argmin(distance)]
        return jnp.where(distance.min() < 1e-5, found, jnp.nan)

    results = measure_equivariance(look_up, published["z"], given_draws(published, 1))
    for index, name in enumerate(METRICS):
        expected = published["sq_err_sum"][:1, index]
        np.testing.assert_allclose(results[name].squared_errors, expected, rtol=3e-4)
        assert results[name].counts.tolist() == [published["mask_count"][0, index, 0]]


@pytest.mark.slow
def test_published_figures(published):
    """The whole measurement, with the generator's weights and the published draws."""
    generator = build(json.loads(str(published["cfg"])), below(published, "p:"), "float32")
    results = measure_equivariance(
        lambda z, transform: generator(z, transform=transform),
        published["z"],
        given_draws(published, 3),
    )
    decibels = [results[name].decibels for name in METRICS]
    np.testing.assert_allclose(decibels, published["psnr"], atol=0.01)


@pytest.fixture(scope="module")
def measured():
    calls = []

    def synthesize(latents, transform):
        calls.append(transform)
        return perfect(latents, transform)

    results = equivariance(synthesize, few_waves, resolution=SIZE, samples=46, seed=3)
    return results, len(calls)


def test_a_perfect_generator_is_bounded_by_the_resamplers(measured):
    results, _ = measured
    assert results["eqt_int"].decibels > 110  # rounding
    assert results["eqt_frac"].decibels > 50
    assert results["eqr"].decibels > 45


def test_the_generator_is_compiled_once(measured):
    assert measured[1] == 1


def test_results_tell_how_they_were_made(measured):
    result = measured[0]["eqt_frac"]
    assert (result.draws, result.samples, result.seed) == (12, 48, 3)
    assert 0 < result.standard_error < 5
    assert str(result).startswith("eqt_frac: ") and "48 pictures, 12 motions, seed 3" in str(result)


def test_a_seed_names_the_numbers_and_metrics_do_not_depend_on_each_other(measured):
    options = {"resolution": SIZE, "samples": 46}
    again = equivariance(perfect, few_waves, metrics=["eqr"], seed=3, **options)
    assert list(again) == ["eqr"]
    np.testing.assert_array_equal(again["eqr"].squared_errors, measured[0]["eqr"].squared_errors)
    other = equivariance(perfect, few_waves, metrics=["eqr"], seed=4, **options)
    assert other["eqr"].decibels != again["eqr"].decibels


def test_texture_that_sticks_to_the_picture_costs_its_power():
    """White noise that does not move: the difference to itself elsewhere has twice its power."""
    deviation = 0.05
    noise = deviation * np.random.default_rng(0).standard_normal((SIZE, SIZE, 2))
    noise = jnp.asarray(noise, jnp.float32)
    results = equivariance(
        lambda latents, transform: perfect(latents, transform) + noise,
        few_waves,
        resolution=SIZE,
        metrics=["eqt_int"],
        samples=96,
    )
    expected = 10 * np.log10(4 / (2 * deviation**2))
    assert results["eqt_int"].decibels == pytest.approx(expected, abs=0.4)


def test_a_generator_that_moves_by_whole_pixels_fails_at_fractions():
    def stepwise(latents, transform):
        return perfect(latents, jnp.round(transform * SIZE) / SIZE)

    options = {"resolution": SIZE, "samples": 32, "metrics": METRICS[:2]}
    results = equivariance(stepwise, few_waves, **options)
    assert results["eqt_int"].decibels > 110
    # What is missing is uniform in half a pixel to either side; a wave of frequency f has the slope
    # 2 pi f, here 4.5 / 2 per axis on average of f^2, and a variance of 1/2 over its weight.
    waves = (6 * (1 / 6) ** 2 + 2 * (1 / 2) ** 2) / 2 / 2
    mse = waves * (2 * np.pi) ** 2 * 2.25 * 2 / 12 / SIZE**2
    assert results["eqt_frac"].decibels == pytest.approx(10 * np.log10(4 / mse), abs=1.0)


def test_draws():
    draws = random_draws(2000, resolution=64, seed=1)
    np.testing.assert_array_equal(draws.whole * 64, np.round(draws.whole * 64))
    for name, bound in (("whole", 0.125), ("fractional", 0.125), ("angles", np.pi)):
        values = getattr(draws, name)
        assert 0.98 * bound < np.abs(values).max() <= bound, name
        assert abs(values.mean()) < 0.05 * bound, name
    assert np.unique(draws.angles).size == 2000
    shorter = random_draws(7, resolution=64, seed=1)
    np.testing.assert_array_equal(shorter.fractional, draws.fractional[:7])
    np.testing.assert_array_equal(shorter.whole, draws.whole[:7])


def test_decibels_are_of_the_pooled_error():
    result = Equivariance("eqr", np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([100, 50]), None)
    assert result.mse == pytest.approx(6 / 300)
    assert result.decibels == pytest.approx(20 * np.log10(2) - 10 * np.log10(6 / 300))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["eqx"]}, "metrics must be some of eqt_int, eqt_frac, eqr"),
        ({"metrics": []}, "metrics must be some of"),
        ({"samples": 0}, "samples must be a positive integer"),
        ({"batch_size": 2.0}, "batch_size must be a positive integer"),
        ({"max_angle": -1.0}, "max_angle must be positive"),
        ({"resolution": 64}, "shorter side is the resolution, 64, got shape"),
    ],
)
def test_bad_options(options, message):
    options = {"resolution": SIZE, "samples": 4, **options}
    with pytest.raises(ValueError, match=message):
        equivariance(perfect, few_waves, **options)


def test_bad_generators_and_draws():
    draws = random_draws(2, resolution=8)
    latents = np.ones((2, 4, 1), np.float32)

    def pictures(value, dtype=jnp.float32):
        return lambda z, transform: jnp.full((4, 8, 8, 1), value, dtype)

    with pytest.raises(ValueError, match="pictures that are not finite"):
        measure_equivariance(pictures(np.nan), latents, draws, metrics=["eqt_int"])
    with pytest.raises(ValueError, match="must return float32 pictures"):
        measure_equivariance(pictures(0.5, jnp.bfloat16), latents, draws)
    with pytest.raises(ValueError, match="latents ended after 1 batches"):
        measure_equivariance(pictures(0.5), latents[:1], draws, metrics=["eqt_int"])
    with pytest.raises(ValueError, match="fractional must be finite and of shape"):
        EquivarianceDraws(draws.whole, draws.fractional[:1], draws.angles, 8)
