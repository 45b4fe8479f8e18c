"""The equivariance study: its networks, pictures, reports, and what it finds."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from aa_jax.weights import save_generator
from experiments.equivariance import main, networks, pictures, report

ROOT = pathlib.Path(__file__).resolve().parents[2]
FEW = main.Options(metrics=("eqt_int",), samples=16, layer_samples=0, spectrum_samples=0)


def small(config: str, variant: str = "complete"):
    return networks.untrained(config, 32, variant=variant, channel_max=8)


def test_the_meter_sees_what_is_taken_away():
    decibels = {}
    for variant in networks.VARIANTS:
        results = main._equivariance(small("T", variant), FEW)
        decibels[variant] = results["eqt_int"].decibels
    assert decibels["complete"] > 60
    assert decibels["plain activation"] < decibels["complete"] - 15
    assert decibels["no margins"] < decibels["complete"] - 15


def test_variants_take_away_what_they_say():
    plain = small("R", "plain activation").plan
    assert all(layer.down_filter is None for layer in plain.layers)
    assert all(layer.up_factor == 1 or layer.up_filter is not None for layer in plain.layers)
    bare = small("T", "no margins").plan
    assert all(layer.out_size == (layer.out_sampling_rate,) * 2 for layer in bare.layers)
    assert networks.layer_rates(bare)["input"] == 16
    with pytest.raises(ValueError, match="variant must be one of complete, plain activation, no"):
        networks.untrained("T", 32, variant="none")


def test_report_of_a_generator(tmp_path):
    options = main.Options(samples=4, layer_samples=2, spectrum_samples=8)
    text = main.measure_generator(small("R"), "mine", tmp_path, options)
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.md",
        "equivariance.json",
        "layers.png",
        "spectrum.png",
    }
    assert (tmp_path / "report.md").read_text() == text
    results = json.loads((tmp_path / "equivariance.json").read_text())["mine"]
    assert set(results) == {"eqt_int", "eqt_frac", "eqr"}
    assert f"{results['eqr']['decibels']:.2f} ±" in text
    # Every layer stands in the table, the input first.
    rows = [line.split(" | ")[0][2:] for line in text.splitlines() if " dB |" in line]
    names = [layer.name for layer in small("R").plan.layers]
    assert rows == ["input", *names, "output"]
    for name in ("layers.png", "spectrum.png"):
        with Image.open(tmp_path / name) as image:
            assert np.asarray(image).std() > 5


def test_audit_of_classifiers(tmp_path):
    text = main.audit_classifiers(tmp_path, crop_size=64, count=2)
    assert (tmp_path / "classifiers.png").exists()
    maxpool = [line.split(" | ")[2] for line in text.splitlines() if line.startswith("| maxpool")]
    plain, blurred = (float(cell.replace("*", "").split(" ±")[0]) for cell in maxpool)
    assert blurred > plain + 5


def test_views_of_photographs_and_folders(tmp_path):
    views = pictures.photograph_views(300, 3)
    assert views.shape == (3, 300, 300, 3) and views.dtype == np.float32
    assert views.min() >= 0 and views.max() <= 1 and views.std() > 0.1
    np.testing.assert_array_equal(views, pictures.photograph_views(300, 3))
    with pytest.raises(ValueError, match="size must be at most"):
        pictures.photograph_views(600, 1)
    with pytest.raises(ValueError, match="data must be a folder with pictures"):
        pictures.folder_views(tmp_path, 8, 1)
    ramp = np.linspace(0, 255, 40 * 20 * 3).reshape(20, 40, 3).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    views = pictures.folder_views(tmp_path, 20, 5)
    np.testing.assert_allclose(views, ramp[None, :, 10:30] / 255, atol=1e-6)


def evaluate(*arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "evaluate.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_from_the_command_line(tmp_path):
    save_generator(small("T"), tmp_path / "small.safetensors")
    amounts = ["--samples", "4", "--layer-samples", "0", "--spectrum-samples", "0"]
    network, output = str(tmp_path / "small.safetensors"), str(tmp_path / "out")
    result = evaluate("equivariance", "--network", network, "--output", output, *amounts)
    assert result.returncode == 0, result.stderr
    assert "| small.safetensors |" in result.stdout
    assert (tmp_path / "out" / "report.md").exists()


def test_mistakes_are_one_line(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    untrained = ["equivariance", "--untrained", "T", "--output"]
    for arguments, message in (
        ([*untrained, str(tmp_path / "file")], "output must be a folder that can be written to"),
        ([*untrained, str(tmp_path), "--resolution", "48"], "resolution must be a power of two"),
        ([*untrained, str(tmp_path), "--metrics", "eqx"], "metrics must be some of eqt_int"),
        (["equivariance", "--network", str(tmp_path / "file"), "--output", str(tmp_path)], "file"),
    ):
        result = evaluate(*arguments)
        assert result.returncode == 1
        assert result.stderr.startswith("error: ") and message in result.stderr
        assert "Traceback" not in result.stderr


def test_an_unwritable_folder_is_found_out_first(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="output must be a folder that can be written to"):
        report.prepare(tmp_path / "file" / "below")
    assert report.prepare(tmp_path / "new") == tmp_path / "new"
    assert not list((tmp_path / "new").iterdir())
