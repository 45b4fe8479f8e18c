"""The script's four commands on small files, and its likely mistakes."""

import importlib.util
import pathlib

import numpy as np
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def main():
    spec = importlib.util.spec_from_file_location("interpolate", ROOT / "scripts/interpolate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *arguments: module.main([str(argument) for argument in arguments])


@pytest.fixture
def photo(tmp_path):
    rows, columns = np.mgrid[:24, :32] / 32
    picture = np.stack([rows, columns, 0.5 + 0.5 * np.sin(20 * rows * columns)], -1)
    path = tmp_path / "photo.png"
    Image.fromarray((picture * 255).astype(np.uint8)).save(path)
    return path


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")) / 255


@pytest.mark.parametrize("planes", [True, False])
def test_samples(main, tmp_path, capsys, planes):
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(0, 1, (500, 2)) * [31, 23], [[31, 23]]])
    values = np.stack([points[:, 0] / 31, points[:, 1] / 23, 0 * points[:, 0] + 0.5], -1)
    np.savez(tmp_path / "s.npz", points=points, values=values)
    estimator = ("--estimator", "plane") if planes else ()
    main("samples", tmp_path / "s.npz", "--output", tmp_path / "s.png", *estimator)
    rows, columns = np.mgrid[:24, :32]
    expected = np.stack([columns / 31, rows / 23, 0 * rows + 0.5], -1)
    # A plane is what local planes show, borders included, where enough samples reach.
    error = np.abs(pixels(tmp_path / "s.png") - expected)
    assert np.quantile(error, 0.99) < 0.01
    assert error.max() < 0.08
    assert "501 samples became 24 x 32 pixels" in capsys.readouterr().out


def test_resize_averages(main, photo, tmp_path):
    main("resize", photo, "--scale", 0.5, "--output", tmp_path / "half.png")
    half = pixels(photo).reshape(12, 2, 16, 2, 3).mean((1, 3))
    np.testing.assert_allclose(pixels(tmp_path / "half.png"), half, atol=0.1)


def test_fit_film_and_render(main, photo, tmp_path, capsys):
    outputs = {name: tmp_path / name for name in ("fit.png", "fit.gif", "fit.npz", "large.png")}
    options = ("--points", 60, "--steps", 30, "--film", outputs["fit.gif"])
    main("fit", photo, "--output", outputs["fit.png"], "--mixture", outputs["fit.npz"], *options)
    captured = capsys.readouterr()
    assert "60 Gaussians show 24 x 32 pixels with" in captured.out
    assert "step 30/30" in captured.err
    assert np.abs(pixels(outputs["fit.png"]) - pixels(photo)).mean() < 0.05
    with Image.open(outputs["fit.gif"]) as film:
        assert film.size == (32, 24)
        assert film.n_frames > 10
    main("render", outputs["fit.npz"], "--scale", 2, "--output", outputs["large.png"])
    large = pixels(outputs["large.png"]).reshape(24, 2, 32, 2, 3).mean((1, 3))
    assert np.abs(large - pixels(outputs["fit.png"])).mean() < 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resize", "missing.png", "--scale", "0.5", "--output", "o.png"], "missing.png"),
        (["resize", "photo.png", "--scale", "-1", "--output", "o.png"], "--scale must be"),
        (["resize", "photo.png", "--scale", "1e9", "--output", "o.png"], "at most"),
        (["resize", "photo.png", "--scale", "0.5", "--output", "o.jpg"], "must end in .png"),
        (["fit", "photo.png", "--points", "5000", "--output", "o.png"], "points must be at most"),
        (["fit", "photo.png", "--output", "nowhere/o.png"], "there is no folder"),
        (["samples", "photo.png", "--output", "o.png"], ".csv or .npz"),
        (["render", "photo.png", "--output", "o.png"], "not a readable .npz"),
    ],
)
def test_mistakes_are_explained(main, photo, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        main(*arguments)
    assert not (tmp_path / "o.png").exists()


def test_far_samples_need_a_size(main, tmp_path):
    (tmp_path / "s.csv").write_text("1e12,5,.5\n")
    with pytest.raises(SystemExit, match="at most"):
        main("samples", tmp_path / "s.csv", "--output", tmp_path / "o.png")
    (tmp_path / "s.csv").write_text("-9,5,.5\n")
    with pytest.raises(SystemExit, match="size must be given"):
        main("samples", tmp_path / "s.csv", "--output", tmp_path / "o.png")
    with pytest.raises(SystemExit):
        main("samples", tmp_path / "s.csv", "--size", "9", "--output", tmp_path / "o.png")
