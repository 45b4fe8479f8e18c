"""Study (d) on a small picture, from the command line to the report."""

import json

import numpy as np
import pytest
from PIL import Image

from experiments.interpolation import main


def test_budget_study(tmp_path):
    rows, columns = np.mgrid[:20, :30] / 30
    picture = np.stack([rows, columns, np.sin(9 * rows * columns)], -1)
    Image.fromarray((picture * 255).astype(np.uint8)).save(tmp_path / "small.png")
    arguments = ["budget", "--output", str(tmp_path / "out"), "--steps", "8"]
    main.main([*arguments, "--images", str(tmp_path / "small.png"), "--points", "20", "60"])
    results = json.loads((tmp_path / "out" / "budget.json").read_text())["fits"]
    assert [fit["points"] for fit in results] == [20, 60]
    assert results[1]["psnr"] > results[0]["psnr"]
    assert results[1]["bytes"] == 60 * 16
    assert results[0]["psnr_rounded"] == pytest.approx(results[0]["psnr"], abs=0.5)
    assert results[0]["curve"][-1][0] == 8
    table = (tmp_path / "out" / "budget.md").read_text()
    assert "| small | 60 |" in table
    for name in ("budget.png", "budget_strips.png"):
        with Image.open(tmp_path / "out" / name) as figure:
            assert figure.width > 400
