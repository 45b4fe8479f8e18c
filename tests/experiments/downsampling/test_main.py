"""The whole study on small numbers, and its likely mistakes."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from experiments.downsampling import main


@pytest.fixture
def folder(tmp_path):
    """Two pictures of different sizes."""
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for index, shape in enumerate(((256, 256, 3), (300, 420, 3))):
        smooth = ndimage.gaussian_filter(rng.standard_normal(shape), (4, 4, 0))
        pixels = np.clip(127.5 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{index}.png")
    return tmp_path / "images"


@pytest.mark.slow
def test_a_report_from_start_to_end(folder, tmp_path, capsys):
    output = tmp_path / "made" / "report"
    command = f"--images {folder} --output {output} --rounds 0 --examples 1 --methods area nearest"
    main.main(command.split())
    data = json.loads((output / "report.json").read_text())
    keys = [(row["method"], row["phase"]) for row in data["rows"]]
    assert keys == [
        ("gaussian", "native"), ("area", "native"), ("area", "aligned"), ("nearest", "native"),
    ]  # fmt: skip
    assert data["images"] == 2
    baseline, area, aligned, _ = data["rows"]
    assert baseline["error"] == 0
    # Smooth images alias little: the block's mean differs by its place.
    assert aligned["error"] < 0.3 * area["error"]
    assert area["shift"] == pytest.approx([-1.5, -1.5], abs=0.3)
    assert {path.name for path in output.glob("*.png")} == {"phase.png", "methods.png"}
    assert "Average CPU Running time" in capsys.readouterr().out


def test_frames_are_drawn_like_those_of_films():
    images = main.read_images(main.MOVING_PHOTOGRAPHS, size=64, count=2)
    assert images.shape == (2, 64, 64, 3) and images.dtype == np.float32
    assert 0 <= images.min() and images.max() <= 1
    assert np.abs(images[0] - images[1]).mean() > 0.05


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("--images nowhere", "nowhere"),
        ("--images . --detector telepathy", "telepathy"),
        ("--images . --batch-size 0", "batch_size"),
        ("--images . --rounds -1", "rounds"),
        ("--images moving_photographs --count 0", "num_videos"),
    ],
)
def test_mistakes_are_explained(tmp_path, arguments, message):
    with pytest.raises(SystemExit, match=message):
        main.main([*arguments.split(), "--output", str(tmp_path / "out")])


def test_unknown_methods_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main.main(f"--images . --output {tmp_path} --methods telepathy".split())
    assert "bilateral" in capsys.readouterr().err
