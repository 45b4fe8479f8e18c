"""Irregular samples: their positions, the methods, and a whole report."""

import argparse
import json

import numpy as np
import pytest
from PIL import Image
from scipy import spatial

from experiments.interpolation import irregular, peers_scipy

SIZE = (32, 32)


def test_blue_noise_keeps_its_distance():
    points = irregular.blue_noise_points(200, (33, 65), 3)
    assert points.shape == (200, 2)
    assert (points >= 0).all() and (points.max(0) <= [64, 32]).all()
    nearest = spatial.cKDTree(points).query(points, k=2)[0][:, 1]
    assert nearest.min() >= 0.7 * np.sqrt(64 * 32 / 200) - 1e-4
    assert len(np.unique(points // 16, axis=0)) > 6  # everywhere, not in a corner


def test_jittered_points_have_a_cell_each():
    points = irregular.jittered_points(64, SIZE, 0)
    cells = np.floor(points / 31 * 8)
    assert len(np.unique(cells, axis=0)) == len(points) == 64
    np.testing.assert_array_equal(points, irregular.jittered_points(64, SIZE, 0))


def test_colours_of_the_nearest_pixel():
    image = np.random.default_rng(0).random((5, 6, 3)).astype(np.float32)
    points = np.array([[1.4, 2.6], [4.6, 0.2]])
    np.testing.assert_array_equal(
        irregular.colours(image, points, "nearest"), image[[3, 0], [1, 5]]
    )


def test_scipys_methods_reproduce_a_plane():
    points = irregular.random_points(60, SIZE, 0)
    x, y = peers_scipy.pixels(SIZE).T.reshape(2, *SIZE)
    plane = (x + 2 * y)[..., None] / 100
    values = (points @ [1, 2])[:, None] / 100
    for method in (peers_scipy.linear, peers_scipy.clough_tocher, peers_scipy.radial_basis):
        made = method(points, values, SIZE)
        inside = ~np.isnan(made)
        np.testing.assert_allclose(made[inside], plane[inside], atol=1e-5)
        assert inside.mean() > 0.7
    assert peers_scipy.filled(np.array([np.nan, 2]), 7).tolist() == [7, 2]


@pytest.mark.slow
def test_a_report_from_start_to_end(tmp_path, monkeypatch):
    across, down = np.meshgrid(np.arange(32), np.arange(32))
    edge = np.where(across + 2 * down > 45, 0.9, 0.1)
    picture = np.stack([edge, across / 31, edge[::-1]], -1).astype(np.float32)
    monkeypatch.setattr(irregular, "astronaut", lambda: picture)
    (tmp_path / "images").mkdir()
    pixels = np.rint(255 * picture).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "images" / "edges.png")
    parser = argparse.ArgumentParser()
    irregular.add_arguments(parser)
    text = f"--images {tmp_path}/images --output {tmp_path}/out --crop-size 32 --densities 0.25"
    arguments = parser.parse_args([*text.split(), "--headline-points", "256"])
    table = irregular.run(arguments)
    assert (tmp_path / "out" / "table.md").read_text() == table + "\n"
    assert {"curves.png", "examples.png"} <= {p.name for p in (tmp_path / "out").iterdir()}
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(results["densities"]) == 3
    for methods in (results["headline"]["nearest"], results["densities"][0]["methods"]):
        errors = {name: outcome["l1"] for name, outcome in methods.items()}
        assert errors["local linear, steered, corrected"] < errors["SciPy nearest"]
        assert errors["local linear, steered, corrected"] < errors["mixture, one sigma"]
    points = irregular.random_points(256, SIZE, irregular.HEADLINE_SEED)
    values = irregular.colours(picture, points, "nearest")
    index = spatial.cKDTree(points).query(peers_scipy.pixels(SIZE))[1]
    expected = np.abs(values[index].reshape(picture.shape) - picture).mean()
    assert results["headline"]["nearest"]["SciPy nearest"]["l1"] == pytest.approx(expected, 1e-4)
    arguments.densities = [1.5]
    with pytest.raises(ValueError, match="densities"):
        irregular.run(arguments)
