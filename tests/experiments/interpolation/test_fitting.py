"""A small fit, and what moving points does."""

import dataclasses

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.data.photograph_files import load_photograph
from experiments.interpolation import placement, relocation
from experiments.interpolation.fitting import FitOptions, fit, steps

OPTIONS = FitOptions(points=80, steps=60, relocations=2, relocated=0.1)


@pytest.fixture(scope="module")
def image():
    photograph = load_photograph("coffee.png", 600, 400, 1)
    return photograph[100:132, 200:240] / 255.0


@pytest.fixture(scope="module")
def fitted(image):
    return list(steps(image, OPTIONS))


def test_fit_improves_and_ends_where_it_says(image, fitted):
    assert [progress.step for progress in fitted] == list(range(1, 61))
    assert all(np.isfinite(progress.psnr) for progress in fitted)
    assert fitted[-1].psnr > fitted[0].psnr + 8
    rendered = np.asarray(fitted[-1].mixture()(image.shape[:2]).image)
    psnr = -10 * np.log10(np.mean((rendered - image) ** 2))
    assert psnr == pytest.approx(fitted[-1].psnr, abs=0.3)  # which is of the step before


def test_same_seed_same_mixture(image, fitted):
    short = dataclasses.replace(OPTIONS, steps=3, relocations=0)
    first, second = (fit(image, short).values[...] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_capacity_grows_when_widths_do(image, monkeypatch):
    monkeypatch.setattr(placement, "room", lambda model, size: OPTIONS.points)
    short = dataclasses.replace(OPTIONS, steps=3, relocations=0)
    assert fit(image, short).capacity > OPTIONS.points


def test_a_given_start_is_taken(image):
    start = placement.first_mixture(image, OPTIONS, np.random.default_rng(5))
    shown = start(image.shape[:2]).image
    short = dataclasses.replace(OPTIONS, steps=1, relocations=0)
    (progress,) = steps(image, short, start=start)
    np.testing.assert_allclose(progress.image, shown, atol=1e-5)


def test_points_begin_where_the_detail_is():
    picture = np.zeros((32, 64, 3))
    picture[:, 40:44] = 1
    density = placement.densities(picture, 0.8)
    assert density.sum() == pytest.approx(1)
    assert density[:, 38:46].sum() > 0.8
    assert density[:, :30].min() > 0
    np.testing.assert_allclose(placement.densities(np.ones((4, 5, 3)), 0.8), 1 / 20)


def test_relocation_takes_useless_points_to_the_error(image):
    """Twins at one place have no use; the error is in one corner."""
    rng = np.random.default_rng(0)
    model = placement.first_mixture(image, OPTIONS, rng)
    points = model.points[...]
    model.points[...] = points.at[:8].set(points[8]).at[9:12].set(points[8])
    model.values[...] = model.values[...].at[:8].set(model.values[8])
    graph, state = nnx.split(model, nnx.Param)
    params = nnx.to_pure_dict(state)
    shown = model(image.shape[:2]).image
    target = shown.at[:6, :6].set(1 - shown[:6, :6])
    moments = optax.adam(1.0).init(params)
    moments = jax.tree.map(lambda m: m + 1, moments)
    changed, reset = relocation.relocate(
        graph, params, moments, target, jax.random.key(0), share=0.1
    )
    moved = np.flatnonzero(np.any(changed["points"] != params["points"], -1))
    assert 8 <= len(moved) <= 12  # four fresh, four halves and the wholes they came from
    fresh = np.asarray(changed["points"])[moved]
    assert np.sum((fresh < 6).all(1)) >= 4
    means = np.asarray(reset[0].mu["values"])
    assert not means[moved].any()
    assert (np.delete(means, moved, 0) == 1).all()


def test_a_split_keeps_the_middle_and_the_covariance_narrows():
    covariance = jnp.asarray([[[4.0, 1.5], [1.5, 1.0]]])
    axis = np.asarray(relocation._longer_axis(covariance))[0]
    values, vectors = np.linalg.eigh(np.asarray(covariance[0]))
    np.testing.assert_allclose(np.abs(axis), np.abs(vectors[:, 1]) * np.sqrt(values[1]), rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": 0}, "points must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"relocated": 1.5}, r"relocated must be within \[0, 1\], got 1.5"),
    ],
)
def test_bad_options_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(OPTIONS, **change)


def test_too_many_points_for_the_image():
    with pytest.raises(ValueError, match="points must be at most the image's 12 pixels, got 80"):
        fit(np.zeros((3, 4, 3)), OPTIONS)
    with pytest.raises(ValueError, match="image must be at least 2 x 2"):
        fit(np.zeros((1, 400, 3)), OPTIONS)
