"""Regular grids: the fast mixture against the op, the protocols, and a whole report."""

import argparse
import json

import numpy as np
import pytest
from PIL import Image

from aa_jax.ops.splat import interpolate
from experiments.interpolation import estimators, learned, reconstruction, separable

SIZE = (20, 23)
ROWS, COLUMNS = np.linspace(0, 19, 6), np.linspace(0, 22, 7)


@pytest.fixture(scope="module")
def grid():
    values = np.random.default_rng(0).random((1, 6, 7, 3)).astype(np.float32)
    points = np.stack(np.meshgrid(COLUMNS, ROWS), -1).reshape(-1, 2).astype(np.float32)
    return values, points, values.reshape(-1, 3)


@pytest.mark.parametrize(
    "options, fast",
    [
        ({"support": None}, {}),
        ({"support": 1, "window": "square", "fallback": 0.0}, {"radius": 1}),
    ],
)
def test_products_of_matrices_are_the_mixture(grid, options, fast):
    values, points, colours = grid
    expected = interpolate(points, colours, np.float32(1.4), size=SIZE, **options).image
    made = separable.smooth(values, ROWS, COLUMNS, 1.4, size=SIZE, **fast)[0]
    np.testing.assert_allclose(made, expected, atol=2e-5)


def test_products_of_matrices_are_the_planes(grid):
    values, points, colours = grid
    options = {"support": None, "regression": "linear"}
    expected = interpolate(points, colours, np.float32(1.4), size=SIZE, **options).image
    made = separable.local_linear(values, ROWS, COLUMNS, 1.4, size=SIZE)[0]
    np.testing.assert_allclose(made, expected, atol=2e-4)


def test_corrections_return_the_samples(grid):
    values, _, _ = grid

    def at_samples(c):
        return separable.smooth_at_samples(c, ROWS, COLUMNS, 1.6)

    changed = separable.corrected(values, at_samples, rounds=30)
    np.testing.assert_allclose(at_samples(changed), values, atol=1e-3)
    # Interpolated at whole pixels, of which the corners are samples.
    made = separable.smooth(changed, ROWS, COLUMNS, 1.6, size=SIZE)
    np.testing.assert_allclose(made[:, 0, 0], values[:, 0, 0], atol=1e-3)


def test_the_official_protocol_takes_the_best_for_each_image():
    generator = np.random.default_rng(1)
    noise = generator.random((16, 16, 3))
    images = np.stack([noise, np.full_like(noise, 0.5)]).astype(np.float32)
    grid = reconstruction.sampled(images, reconstruction.corner_positions(16, 8))
    made, choices = reconstruction.official(grid, images)
    assert sum(choices.values()) == 2
    axes = [grid.positions] * 2
    errors = [
        np.abs(separable.smooth(grid.values, *axes, s, size=(16, 16), radius=r) - images).mean(
            (1, 2, 3)
        )
        for r in (1, 2, 3, 5, 10)
        for s in (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 5)
    ]
    np.testing.assert_allclose(np.abs(made - images).mean((1, 2, 3)), np.min(errors, 0), rtol=1e-5)


def test_steering_lies_along_an_edge():
    pilot = np.zeros((24, 40, 1), np.float32)
    pilot[:, 30:] = 1  # a vertical edge
    points = np.array([[30, 12], [2, 12]], np.float32)
    steering = estimators.Steering(width=0.5, most=4.0)
    found = estimators.steering_covariances(pilot, points, np.full(2, 2, np.float32), steering)
    np.testing.assert_allclose(found[0], [[1 / 4, 0], [0, 4]], atol=1e-4)
    np.testing.assert_allclose(found[1], np.eye(2), atol=1e-4)  # flat: round, (0.5 x 2)²
    # Turned by 90 degrees, the picture's axes change places.
    turned = estimators.steering_covariances(
        pilot.transpose(1, 0, 2), points[:, ::-1], np.full(2, 2, np.float32), steering
    )
    np.testing.assert_allclose(turned, found[:, ::-1, ::-1], atol=1e-4)


def test_covariances_from_cholesky_factors():
    shapes = np.array([[0.3, -0.2, 0.7], [0, 0, 0]], np.float32)
    a, b = np.exp([0.3, -0.2])
    factor = np.array([[a, 0], [0.7 * b, b]])
    found = learned.covariances(shapes)
    np.testing.assert_allclose(found[0], factor @ factor.T, rtol=1e-5)
    np.testing.assert_allclose(found[1], np.eye(2), atol=1e-7)


@pytest.mark.slow
def test_a_report_from_start_to_end(tmp_path):
    ramp = np.add.outer(np.arange(32), np.arange(32)) * 4
    picture = np.stack([ramp, ramp[::-1], np.where(ramp > 124, 200, 30)], -1).astype(np.uint8)
    (tmp_path / "images").mkdir()
    Image.fromarray(picture).save(tmp_path / "images" / "ramp.png")
    parser = argparse.ArgumentParser()
    reconstruction.add_arguments(parser)
    text = f"--images {tmp_path}/images --output {tmp_path}/out --crop-size 32 --steps 12"
    text += " --factors 4 --ratios --tuning-images 1 --fitted-images 1"
    table = reconstruction.run(parser.parse_args(text.split()))
    assert (tmp_path / "out" / "table.md").read_text() == table + "\n"
    results = json.loads((tmp_path / "out" / "results.json").read_text())["results"]["1/4"]
    assert {"curves.png", "examples.png"} <= {p.name for p in (tmp_path / "out").iterdir()}
    reduced = Image.fromarray(picture).resize((8, 8), Image.Resampling.BILINEAR)
    enlarged = np.asarray(reduced.resize((32, 32), Image.Resampling.LANCZOS), float)
    error = np.abs(enlarged - picture).mean() / 255
    assert results["lanczos, reduced"]["l1"] == pytest.approx(error, rel=1e-4)
    fitted = results["fitted covariances and values, cells"]["l1"]
    assert fitted < results["mixture, one sigma, cells"]["l1"]
    arguments = parser.parse_args([*text.split(), "--factors", "32"])
    with pytest.raises(ValueError, match="factors"):
        reconstruction.run(arguments)
