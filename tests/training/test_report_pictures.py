"""aa_jax.training.report_pictures: small pictures are in the report, large ones beside it."""

import base64
import io
import re
import urllib.parse

import numpy as np
import pytest
from PIL import Image

from aa_jax.training import report_pictures
from aa_jax.training.pictures import save_png
from aa_jax.training.report_pictures import Album
from aa_jax.training.report_run import read_run


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a run" / "pictures").mkdir(parents=True)
    (tmp_path / "a run" / "config.json").touch()
    return tmp_path / "a run"


def add(folder, name, size=8, seed=0):
    picture = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    save_png(folder / "pictures" / name, picture)
    return picture


def embedded(html):
    """(kind, pixels) of the pictures inside."""
    found = re.findall(r'<img src="data:image/(\w+);base64,([^"]*)"', html)
    assert len(found) == html.count("<img")
    files = [(kind, Image.open(io.BytesIO(base64.b64decode(data)))) for kind, data in found]
    return [(kind, np.asarray(image)) for kind, image in files]


def test_small_pictures_are_inside_as_they_are(folder, tmp_path):
    names = ["reals.png", "fakes_init.png", "fakes_000004.png", "fakes_000100.png", "strip.png"]
    pictures = {name: add(folder, name, seed=seed) for seed, name in enumerate(names)}
    html = Album(tmp_path).of_run(read_run(folder, "a"))
    order = ["reals.png", "fakes_000100.png", *names[1:4], "strip.png"]
    for (kind, found), name in zip(embedded(html), order, strict=True):
        assert kind == "png"
        np.testing.assert_array_equal(found, pictures[name])
    links = [urllib.parse.unquote(link) for link in re.findall('<a href="([^"]*)"', html)]
    assert links == [f"./a run/pictures/{name}" for name in order]
    assert all((tmp_path / link).is_file() for link in links)
    captions = re.findall("<figcaption>(.*?) <span", html)
    assert captions[:3] == ["Real", "Generated, 100 kimg", "before training"]


def test_large_pictures_are_reduced_and_linked(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(report_pictures, "LARGEST_EMBEDDED", 1000)
    monkeypatch.setattr(report_pictures, "LARGEST_THUMBNAIL", 1000)
    monkeypatch.setattr(report_pictures, "_WIDE", 40)
    monkeypatch.setattr(report_pictures, "_NARROW", 10)
    smooth = np.broadcast_to(np.arange(120, dtype=np.uint8)[:, None, None], (120, 60, 3)).copy()
    smooth[..., 1] += np.random.default_rng(0).integers(0, 9, (120, 60), np.uint8)
    for name in ("reals.png", "fakes_init.png", "fakes_4.png"):
        save_png(folder / "pictures" / name, smooth)
    html = Album(tmp_path).of_run(read_run(folder, "a"))
    found = embedded(html)
    assert [it.shape for _, it in found] == [(40, 20, 3)] * 2 + [(10, 5, 3)] * 2
    assert {kind for kind, _ in found} == {"jpeg"} and "60 × 120, " in html
    expected = smooth[..., 0].reshape(40, 3, 20, 3).mean((1, 3))
    assert np.abs(found[0][1][..., 0] - expected).max() < 6


def test_transparent_pictures_are_reduced_onto_white(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(report_pictures, "LARGEST_EMBEDDED", 10)
    save_png(folder / "pictures" / "a.png", np.zeros((8, 8, 4), np.uint8))
    ((_, found),) = embedded(Album(tmp_path).of_run(read_run(folder, "a")))
    assert found.min() >= 254


def test_broken_and_gigantic_pictures_are_only_linked(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(report_pictures, "LARGEST_EMBEDDED", 1000)
    monkeypatch.setattr(report_pictures, "LARGEST_PIXELS", 5000)
    add(folder, "broken.png", size=50)
    path = folder / "pictures" / "broken.png"
    path.write_bytes(path.read_bytes()[:3000])
    add(folder, "gigantic.png", size=80)
    html = Album(tmp_path).of_run(read_run(folder, "a"))
    assert not embedded(html) and html.count("<a href=") == 2
    # The reduced copy of the first can't be made; the second is not even opened.
    assert "50 × 50, 2 KiB, can&#x27;t be read" in html
    assert "too large to show" in html


def test_a_report_has_room_for_so_many(folder, tmp_path, monkeypatch):
    for index in range(6):
        add(folder, f"{index}.png", size=20, seed=index)
    monkeypatch.setattr(report_pictures, "LARGEST_REPORT", 5000)
    html = Album(tmp_path).of_run(read_run(folder, "a"))
    assert len(embedded(html)) == 2 and html.count("only linked") == 4
    monkeypatch.setattr(report_pictures, "MOST_OTHERS", 4)
    assert "2 more lie in the folder" in Album(tmp_path).of_run(read_run(folder, "a"))


def test_a_long_timeline_is_thinned_to_its_ends_and_even_steps(folder, tmp_path):
    for kimg in range(0, 101):
        add(folder, f"fakes_{kimg:06}.png", size=2)
    html = Album(tmp_path).of_run(read_run(folder, "a"))
    shown = [int(it) for it in re.findall(r"<figcaption>(\d+) kimg", html)]
    assert len(shown) == 24 and shown[0] == 0 and shown[-1] == 100
    assert set(np.diff(shown)) <= {4, 5} and "24 of 101" in html


def test_runs_without_pictures_say_nothing(folder, tmp_path):
    assert Album(tmp_path).of_run(read_run(folder, "a")) == ""
    add(folder, "fakes_init.png")
    html = Album(tmp_path).of_run(read_run(folder, "a"))
    assert "before training" in html and "Timeline" not in html
