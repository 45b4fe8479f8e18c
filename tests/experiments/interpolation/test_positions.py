"""Positions by gradient descent: what is rendered, its gradient, and the study in small."""

import json

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from PIL import Image
from scipy import ndimage

from experiments.interpolation import positions
from tests import tolerances


def test_read_is_bilinear_and_differentiable(rng):
    picture = rng.uniform(size=(7, 9, 2))
    points = rng.uniform(0.1, [7.9, 5.9], (20, 2))
    with jax.enable_x64(True):
        read = positions.read(jnp.asarray(picture), jnp.asarray(points))
        slope = jax.jacfwd(lambda p: positions.read(jnp.asarray(picture), p).sum(1))(points)
    slope = np.asarray(slope)

    def expected(at):
        rows = at[:, ::-1].T
        return np.stack([ndimage.map_coordinates(c, rows, order=1) for c in picture.T.mT], -1)

    np.testing.assert_allclose(read, expected(points), atol=1e-12)
    for axis in range(2):
        step = np.eye(2)[axis] * 1e-6
        numeric = (expected(points + step) - expected(points - step)).sum(1) / 2e-6
        np.testing.assert_allclose(slope.sum(1)[:, axis], numeric, atol=1e-7)


def test_gradient_is_the_golden_exact_one(golden):
    reference = golden("motion_splat_face/gmm_imagecolors_exact_vs_official.npz")
    picture = jnp.asarray(reference["image_u8"] / 255, jnp.float32)
    start = {
        "points": jnp.asarray(reference["means"], jnp.float32),
        "widths": jnp.asarray(reference["stds"], jnp.float32),
    }
    loss, gradient, wrong = positions._gradient(start, picture, 2.0, ("square", 10.0))
    np.testing.assert_allclose(loss, reference["l1"], rtol=1e-6)
    assert wrong == 0
    for ours, key in (("points", "means"), ("widths", "stds")):
        assert tolerances.relative_error(gradient[ours], reference[f"d_{key}_exact"]) < 1e-4


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("positions")
    small = ["--steps", "15", "--pixels", "900", "--sigmas", "0.25", "--photographs", "coffee"]
    positions.main(["--output", str(folder), *small])
    return folder


@pytest.mark.slow
def test_the_study_tells_the_two_gradients_apart(study):
    rows = json.loads((study / "positions.json").read_text())["runs"]
    by = {(row["gradient"], row["trained"]): row for row in rows}
    theirs, ours = by["published", "points"], by["exact", "points"]
    assert theirs["wrong"][0] > 0 and theirs["overflowing"][0] > 0
    assert theirs["after"] > theirs["before"] and theirs["border"] > 0
    calm = by["published, no overflow", "points"]
    assert sum(calm["wrong"]) == 0 and calm["border"] == 0
    assert calm["moved"] < 0.01 * theirs["moved"]
    np.testing.assert_allclose(calm["after"], calm["before"], rtol=0.01)
    assert all(sum(row["wrong"]) == 0 for row in rows if row["gradient"] == "exact")
    assert ours["after"] < 0.95 * ours["before"]
    free = by["exact", "points, covariances, colours"]
    assert free["sigma"] == 2 and free["after"] < 0.8 * free["before"]
    assert all(len(row["curve"]) == row["steps"] + 1 == 16 for row in rows)


@pytest.mark.slow
def test_the_study_writes_tables_and_figures(study):
    text = (study / "positions.md").read_text()
    assert "| coffee | 0.25 | published |" in text
    assert "| points, widths, colours | 2 | square |" in text
    names = {path.name for path in study.iterdir()}
    figures = {f"positions_{name}.png" for name in ("curves", "sweep", "points", "strips")}
    assert names == figures | {"positions.json", "positions.md"}
    for name in figures:
        with Image.open(study / name) as image:
            assert np.asarray(image).std() > 5


def test_the_window_of_wide_mixtures_fades(rng):
    picture = jnp.asarray(rng.uniform(size=(24, 30, 3)), jnp.float32)
    points = jnp.array([[3.0, 12.0], [26.0, 12.0]])
    image = np.asarray(positions.render({"points": points}, picture, 10.0, ("smooth", 1.0)))
    # Nothing reaches further than ten pixels, and the columns halfway see neither point.
    assert (image[:, 14:16] == 0).all() and (image[12, [3, 12, 17, 26]] > 0).all()


def test_too_little_is_refused(tmp_path):
    for option, message in (
        ("--steps", "steps must be at least 1, got 0"),
        ("--pixels", "pixels must be at least 400, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            positions.main(["--output", str(tmp_path), option, "0"])
