"""aa_jax.training.report: one page that says everything and runs nothing."""

import html
import html.parser
import json
import os
import re

import numpy as np
import pytest

from aa_jax.training.pictures import save_png
from aa_jax.training.report import write_report
from tests.training import svg

VOID = {"meta", "img"}
SVG = {"svg", "g", "line", "text", "title", "rect", "circle", "polyline", "polygon"}
HTML = set(
    "html head meta title style body section h1 h2 h3 p div span b i figure figcaption table thead "
    "tbody tr th td details summary pre a img".split()
)


class Page(html.parser.HTMLParser):
    """Checks that every tag is closed, known and harmless, and collects the text."""

    def __init__(self, text):
        super().__init__()
        self.text, self.links, self.images, self._open = [], [], [], []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        assert tag in HTML | SVG, tag
        for name, value in attributes:
            assert not name.startswith("on") and name not in ("srcdoc", "style", "srcset"), name
            if name == "href":
                assert value.startswith("./"), value
                self.links.append(value)
            if name == "src":
                assert re.fullmatch(r"data:image/(png|jpeg);base64,[\w+/=]+", value)
                self.images.append(value)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in SVG
        self.handle_starttag(tag, attributes)
        self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def make_run(folder, *, rows=30, config=None, scale=1.0):
    """A small run of every kind of file."""
    (folder / "pictures").mkdir(parents=True)
    with open(folder / "metrics.jsonl", "w") as file:
        for step in range(1, rows + 1):
            row = {"step": step, "kimg": step / 2, "loss_generator": scale / step}
            row |= {"loss_discriminator": 1.0, "seconds_per_kimg": 4.0}
            file.write(json.dumps(row) + "\n")
        file.write(json.dumps({"step": rows, "kimg": rows / 2, "fid": 20 * scale}) + "\n")
    config = config or {"model": {"width": 64}, "total_kimg": 60}
    (folder / "config.json").write_text(json.dumps(config))
    versions = {"jax": "0.10.2", "command": "python train.py --a=1"}
    (folder / "versions.json").write_text(json.dumps(versions))
    layers = {"eqt_frac": {"L0": 60 * scale, "L1": 50 * scale}, "eqr": 33.5}
    (folder / "equivariance.json").write_text(json.dumps(layers))
    rng = np.random.default_rng(0)
    for name in ("reals", "fakes_init", "fakes_000004", "fakes_000015"):
        picture = rng.integers(0, 256, (4, 4, 3), np.uint8)
        save_png(folder / "pictures" / f"{name}.png", picture)
    return folder


def read(path):
    text = path.read_text(encoding="utf-8")
    svg.charts(text)  # every one is XML
    page = Page(text)
    return text, page, " ".join(page.text)


def test_a_report_says_what_a_folder_holds(tmp_path):
    folder = make_run(tmp_path / "mine")
    os.utime(folder / "metrics.jsonl", (1.7e9, 1.7e9))
    output = write_report(folder, tmp_path / "out.html")
    assert output == tmp_path / "out.html" and sorted(os.listdir(tmp_path)) == ["mine", "out.html"]
    text, page, said = read(output)
    assert "<h1>mine</h1>" in text and "2023-11-14 22:13 UTC" in said
    cards = dict(re.findall(r"<div><b>(.*?)</b><span>(.*?)</span></div>", text))
    # 15 kimg of 60 at 4 s each.
    assert cards["15"] == "kimg" and cards["30"] == "steps" and cards["25 %"] == "of the run"
    assert cards["≈ 1 min"] == "of training"
    headings = re.findall("<h2>(.*?)</h2>", text)
    assert headings == [
        "Summary",
        "Quality",
        "Training",
        "Speed",
        "Pictures",
        "Equivariance by layer",
        "Config",
        "Versions and command",
    ]
    assert len(svg.charts(text)) == 4 and len(page.images) == 2 + 3
    assert "python train.py --a=1" in said and "model.width" in said and "33.5" in said
    assert "Generated, 15 kimg" in said and "4 kimg" in said


def test_several_runs_are_compared(tmp_path):
    config = {"model": {"width": 32}, "total_kimg": 60, "seed": 1}
    folders = [make_run(tmp_path / "a"), make_run(tmp_path / "b", config=config, scale=2.0)]
    text, page, said = read(write_report(folders, tmp_path / "out.html"))
    assert "2 runs: a, b" in said and len(page.images) == 10
    differs = re.findall('<tr class="differs">(.*?)</tr>', text)
    expected = [["model.width", "64", "32"], ["seed", "absent", "1"]]
    assert [re.findall("<td[^>]*>(.*?)</td>", it) for it in differs] == expected * 2
    charts = svg.charts(text)
    assert len(charts) == 5  # fid, two losses, speed, one per layer
    assert len(svg.dots(charts[-1])) == 4
    same = [make_run(tmp_path / name / "seed_0") for name in ("x", "y")]
    text, _, said = read(write_report(same, tmp_path / "out.html"))
    assert "x/seed_0" in said and "The configs are the same." in said


def test_an_early_run_has_a_report(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text('{"steps": 100}')
    text, page, said = read(write_report([tmp_path / "run"], tmp_path / "out.html"))
    assert "No row of metrics yet." in said and not svg.charts(text)
    assert re.findall("<h2>(.*?)</h2>", text) == ["Config"]
    (tmp_path / "run" / "metrics.jsonl").write_text('{"step": 25, "loss": 1.5}\n{"step": 26, "lo')
    (tmp_path / "run" / "config.json").unlink()
    text, page, said = read(write_report([tmp_path / "run"], tmp_path / "out.html"))
    assert "The last line of metrics.jsonl is cut off" in said and len(svg.charts(text)) == 1


def test_time_from_images_per_second(tmp_path):
    (tmp_path / "run").mkdir()
    rows = [{"step": step, "images_per_second": 64.0} for step in (60, 120)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "run" / "metrics.jsonl").write_text(lines)
    (tmp_path / "run" / "config.json").write_text('{"batch_size": 32, "total_steps": 240}')
    _, _, said = read(write_report(tmp_path / "run", tmp_path / "out.html"))
    assert "≈ 1 min" in said and "50 %" in said  # 120 steps of 32 images


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></title></pre></svg><svg onload=alert(1)>",
    "&lt;b&gt; ]]> --> <!-- ${x} {{x}}",
    "nul\0 bell\a surrogate\ud800 turned\u202egnp.exe",
]


def test_hostile_folders_are_only_text(tmp_path):
    folders = []
    for index, name in enumerate(["<img src=x onerror=alert(1)>", '"onload="alert(1)']):
        folder = tmp_path / name
        (folder / "pictures").mkdir(parents=True)
        rows = [{"step": it, **{text: it * 10.0**index for text in HOSTILE}} for it in range(3)]
        lines = [json.dumps(row) + "\n" for row in rows]
        (folder / "metrics.jsonl").write_text("".join(lines))
        nested = {text: {text: text} for text in HOSTILE}
        (folder / "config.json").write_text(json.dumps({**nested, "index": index}))
        (folder / "versions.json").write_text(json.dumps({**nested, "command": HOSTILE[0]}))
        layers = {text: {text: 1.5, f"{text} 2": 2.5} for text in HOSTILE}
        (folder / "equivariance.json").write_text(json.dumps({**layers, HOSTILE[1]: 3}))
        for text in HOSTILE[:3] + ["javascript:alert(1)", "fakes_1.png<script>", "?#%"]:
            path = folder / "pictures" / f"{text.replace('/', '_')}.png"
            save_png(path, np.zeros((2, 2, 3), np.uint8))
        folders.append(folder)
    for runs in (folders[:1], folders):
        text, page, said = read(write_report(runs, tmp_path / "out.html"))
        assert len(page.links) == 6 * len(runs)
        for harmful in HOSTILE[:4]:
            assert harmful in said  # shown, and so taken for text
        assert "bell\ufffd" in said and "\u202e" not in text and "\0" not in text
        titles = [it for chart in svg.charts(text) for it in svg.titles(chart)]
        assert any("alert(1)" in it for it in titles)
        policy = re.search('http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
        assert policy.startswith("default-src 'none';") and "script" not in policy


def test_extreme_numbers_are_drawn(tmp_path):
    (tmp_path / "run").mkdir()
    values = [1e-320, 5e-324, 1e149, -1e149, 1e308, 10**400, 0, 1e-150]
    rows = [
        {"step": step, "kimg": step * 1e-12, "a": value, "seconds_per_kimg": value}
        for step, value in zip([0, 1, 2, 3, 4, 5, 6, 10**30], values, strict=True)
    ]
    rows += [{"step": 10**31, "tiny": 1e-320, "one": 1e149}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "run" / "metrics.jsonl").write_text(lines)
    config = '{"total_kimg": 1e-300, "batch_size": "nan", "kimg": "1e999"}'
    (tmp_path / "run" / "config.json").write_text(config)
    text, _, _ = read(write_report(tmp_path / "run", tmp_path / "out.html"))
    for chart in svg.charts(text):
        for points in svg.points(chart, "c0"):
            assert np.isfinite(points).all()


def test_long_runs_give_short_reports(tmp_path):
    folder = make_run(tmp_path / "run", rows=20_000)
    text, _, _ = read(write_report(folder, tmp_path / "out.html"))
    assert len(text) < 2e6
    assert max(len(it) for chart in svg.charts(text) for it in svg.points(chart, "line")) <= 2000


def test_outputs_that_are_none(tmp_path):
    folder = make_run(tmp_path / "run")
    for output in (tmp_path, tmp_path / "none" / "a.html"):
        with pytest.raises(ValueError, match="output must be a file in a folder that exists"):
            write_report(folder, output)


def test_an_error_leaves_the_earlier_report(tmp_path):
    folder = make_run(tmp_path / "run")
    output = tmp_path / "out.html"
    output.write_text("earlier")
    (folder / "metrics.jsonl").write_text('nonsense\n{"step": 1}\n')
    with pytest.raises(ValueError, match="line 1 is not JSON"):
        write_report(folder, output)
    assert output.read_text() == "earlier"
