"""aa_jax.training.report_run: what is read of a run folder, and what is not."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from aa_jax.training import report_run
from aa_jax.training.pictures import save_png
from aa_jax.training.report_run import read_layers, read_run, read_runs


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run" / "pictures").mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text("{}")
    return tmp_path / "run"


def test_everything_in_a_folder(folder):
    (folder / "metrics.jsonl").write_text('{"step": 3, "kimg": 1.5, "fid": 7}\n{"step"')
    config = {"name": "mine", "model": {"width": 64, "betas": [0, 0.99], "none": None, "empty": {}}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "versions.json").write_text('{"jax": "0.10.2", "command": "python x.py"}')
    (folder / "equivariance.json").write_text('{"eqr": {"L0": 1, "L1": null}}')
    for name in ("reals", "fakes_init", "fakes_000200", "fakes_000004", "fakes_x", "strip"):
        save_png(folder / "pictures" / f"{name}.png", np.zeros((2, 3, 3), np.uint8))
    run = read_run(folder, "a")
    assert run.metrics.curves["fid"].last == 7 and len(run.notes) == 1
    assert run.modified == (folder / "metrics.jsonl").stat().st_mtime
    assert run.config == {
        "name": "mine",
        "model.width": "64",
        "model.betas": "[0, 0.99]",
        "model.none": "null",
        "model.empty": "{}",
    }
    assert run.versions == {"jax": "0.10.2", "command": "python x.py"}
    assert run.layers == {"eqr": {"L0": 1.0, "L1": None}}
    assert run.reals.path.name == "reals.png" and run.reals.size == (3, 2)
    assert run.first.path.name == "fakes_init.png"
    assert [kimg for kimg, _ in run.fakes] == [4, 200]
    assert [it.path.name for it in run.pictures] == ["fakes_x.png", "strip.png"]


def test_an_empty_run(folder):
    run = read_run(folder, "a")
    assert (run.metrics.rows, run.config, run.versions, run.layers, run.notes) == (
        0,
        {},
        {},
        {},
        [],
    )


def test_what_is_no_run_folder(tmp_path, folder):
    expected = "is not a run folder: expected a folder with metrics.jsonl or config.json, found"
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match=f"other {expected} an empty folder"):
        read_runs([folder, tmp_path / "other"])
    for index in range(10):
        (tmp_path / "other" / f"seed_{index}").mkdir()
    with pytest.raises(ValueError, match=f"other {expected} seed_0, .*seed_7 and 2 more"):
        read_runs([tmp_path / "other"])
    with pytest.raises(ValueError, match=f"missing {expected} nothing there"):
        read_runs([tmp_path / "missing"])
    with pytest.raises(ValueError, match=f"config.json {expected} a file there"):
        read_runs([folder / "config.json"])
    with pytest.raises(ValueError, match="folders must differ"):
        read_runs([folder, folder / ".." / "run"])
    with pytest.raises(ValueError, match="at least one run folder, got none"):
        read_runs([])


def test_names_tell_runs_apart(tmp_path):
    folders = [tmp_path / variant / "seed_0" for variant in ("blur", "plain")]
    for path in folders:
        path.mkdir(parents=True)
        (path / "config.json").touch()
    assert [run.name for run in read_runs(folders)] == ["blur/seed_0", "plain/seed_0"]
    assert [run.name for run in read_runs(folders[:1])] == ["seed_0"]


@pytest.mark.parametrize("text", ["", "{", "\udcff", "[" * 50_000, "1" * 5000])
def test_json_that_is_none_is_noted(folder, text):
    for name in ("config.json", "versions.json", "equivariance.json"):
        (folder / name).write_text(text, errors="surrogateescape")
    notes = read_run(folder, "a").notes
    assert len(notes) == 3 and all("is not JSON and was left out" in note for note in notes)


@pytest.mark.parametrize(
    ("content", "fields"),
    [([1, 2], {"value": "[1, 2]"}), ("text", {"": "text"}), (None, {}), ({"a": "é"}, {"a": "é"})],
)
def test_configs_of_other_kinds(folder, content, fields):
    (folder / "config.json").write_text(json.dumps(content))
    assert read_run(folder, "a").config == fields


def test_sizes_are_bounded(folder, monkeypatch):
    deep = leaf = {}
    for _ in range(40):
        leaf["a"] = leaf = {}
    (folder / "config.json").write_text(
        json.dumps({"deep": deep, **{f"f{i}": i for i in range(9)}})
    )
    for index in range(4):
        save_png(folder / "pictures" / f"{index}.png", np.zeros((1, 1), np.uint8))
    run = read_run(folder, "a")
    assert len(run.config) == 10 and max(name.count(".") for name in run.config) == 31
    monkeypatch.setattr(report_run, "MOST_FIELDS", 3)
    monkeypatch.setattr(report_run, "MOST_PICTURES", 2)
    run = read_run(folder, "a")
    assert len(run.config) == 3 and len(run.pictures) == 2
    assert run.notes == [
        "Only the first 3 fields of config.json are shown.",
        "Only 2 of 4 pictures were looked at.",
    ]
    monkeypatch.setattr(report_run, "LARGEST_JSON", 100)
    assert read_run(folder, "a").notes[0].startswith("config.json is larger than")


def test_pictures_that_are_none(folder):
    pictures = folder / "pictures"
    (pictures / "a.png").write_text("<svg onload=alert(1)>")
    (pictures / "b.png").mkdir()
    os.mkfifo(pictures / "c.png")  # reading it would never end
    (pictures / "d.png").symlink_to("missing")
    (pictures / "e.txt").touch()
    Image.new("RGB", (2, 2)).save(pictures / "f.png", format="JPEG")
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    (pictures / "g.png").write_bytes(header + b"\0" * 8)  # no width
    (pictures / "h.png").write_bytes(header + b"\xff" * 8)
    os.mkfifo(folder / "versions.json")
    run = read_run(folder, "a")
    assert run.pictures == [] and run.versions == {}
    left_out = [note.split()[0].removeprefix("pictures/") for note in run.notes]
    assert left_out == [f"{it}.png" for it in "abcdfgh"]


@pytest.mark.parametrize(
    ("content", "layers", "single"),
    [
        ({"eqt": {"L0": 1, "L1": 2.5}}, {"eqt": {"L0": 1.0, "L1": 2.5}}, {}),
        ({"eqt": {"L0": 1, "L1": None}, "eqr": 3}, {"eqt": {"L0": 1, "L1": None}}, {"eqr": 3}),
        ({"eqt": {"L0": float("inf"), "L1": 1}}, {"eqt": {"L0": None, "L1": 1}}, {}),
        ({"all": {"picture": 55}}, {}, {"all picture": 55}),
        (
            {"layers": {"rates": {"L0": 16, "L1": 32}, "decibels": {
                "L0": {"translation": 1}, "L1": {"translation": 2}, "L2": {"translation": None}}}},
            {"layers rates": {"L0": 16, "L1": 32},
             "layers decibels translation": {"L0": 1, "L1": 2}},
            {},
        ),
        ({"a": {"L0": "text", "L1": 1}}, {}, {"a L1": 1}),
        ({"a": {"L0": True, "L1": False}, "b": [1, 2], "c": {}}, {}, {}),
        ([1, 2], {}, {}),
        (None, {}, {}),
    ],
)  # fmt: skip
def test_layers_of_several_layouts(content, layers, single):
    assert read_layers(content) == (layers, single)


def test_layers_are_bounded():
    layers, single = read_layers(
        {"a": {str(it): it for it in range(999)}, **{f"s{it}": it for it in range(999)}}
    )
    assert len(layers["a"]) == len(single) == report_run.MOST_LAYERS
    deep = leaf = {}
    for _ in range(500):
        leaf["a"] = leaf = {}
    leaf["b"] = 1
    assert read_layers(deep) == ({}, {})
