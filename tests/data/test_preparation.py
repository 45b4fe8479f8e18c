"""Preparing data sets: both formats, interruptions, other arguments, and what is left out."""

import hashlib
import io
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from aa_jax.data import DataError
from aa_jax.data.preparation import Output, prepare
from aa_jax.data.preparation_pictures import Fit, Rejected, fit_picture
from aa_jax.data.preparation_progress import Progress
from aa_jax.data.prepared import prepared_source

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def picture(seed, height=20, width=26):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def huge_png():
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99)))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Fourteen good pictures in two classes, and seven that cannot be used."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(14):
        save(root / "ab"[number % 2] / f"{number:02d}.png", picture(number, 20 + number, 26))
    jpeg = io.BytesIO()
    Image.fromarray(picture(50, 64, 64)).save(jpeg, format="JPEG")
    (root / "a" / "03_cut_off.jpg").write_bytes(jpeg.getvalue()[: len(jpeg.getvalue()) // 2])
    (root / "a" / "05_text.png").write_text("no picture")
    (root / "b" / "00_empty.gif").write_bytes(b"")
    (root / "b" / "06_bomb.png").write_bytes(huge_png())
    Image.fromarray(np.ones((30, 30), np.float32)).save(root / "b" / "07_floats.tiff")
    save(root / "b" / "08_small.png", picture(51, 15, 40))
    (root / "b" / "09_gone.png").symlink_to(root / "nowhere.png")
    (root / "notes.txt").write_text("no picture by its name")
    (root / ".hidden.png").write_text("left aside")
    return root


REASONS = {
    "a/03_cut_off.jpg": "OSError: .*truncated",
    "a/05_text.png": "not a picture of any known format",
    "b/00_empty.gif": "not a picture of any known format",
    "b/06_bomb.png": "60000 x 60000 pixels|DecompressionBomb",
    "b/07_floats.tiff": "mode 'F'",
    "b/08_small.png": "40 x 15 pixels, smaller than min_size = 16",
    "b/09_gone.png": "FileNotFoundError",
}
FIT = Fit(resolution=(16, 12), min_size=16)
FORMATS = {
    "png": Output(shard_size=4),
    "raw": Output(shard_size=4, encoding="raw"),
    "folder": Output(shard_size=4, format="folder"),
}


def expected_pixels(path):
    """The same with Pillow alone: the largest centred 4:3 part, then Lanczos."""
    image = Image.open(path)
    width, height = image.size
    high, wide = min(height, round(width * 16 / 12)), min(width, round(height * 12 / 16))
    left, top = (width - wide) // 2, (height - high) // 2
    cut = image.crop((left, top, left + wide, top + high))
    return np.asarray(cut.resize((12, 16), Image.Resampling.LANCZOS))


def good_names():
    return [f"{letter}/{n:02d}.png" for k, letter in enumerate("ab") for n in range(k, 14, 2)]


def files(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def prepared(photos, tmp_path_factory):
    """Each format, prepared without an interruption."""
    root = tmp_path_factory.mktemp("prepared")
    reports = {
        name: prepare(photos, root / name, fit=FIT, output=output, labels="folders", num_threads=3)
        for name, output in FORMATS.items()
    }
    assert all((r.count, r.rejected, r.num_others) == (14, 7, 1) for r in reports.values())
    assert "14 pictures in" in str(reports["png"])
    assert "7 rejected (see" in str(reports["png"])
    return root


@pytest.mark.parametrize("name", FORMATS)
def test_pictures_and_labels_come_back(photos, prepared, name):
    source = prepared_source(prepared / name)
    assert len(source) == 14
    for index, file in enumerate(good_names()):
        sample = source[index]
        np.testing.assert_array_equal(sample["image"], expected_pixels(photos / file))
        assert sample["label"] == (index >= 7)
    assert source.class_names == ("a", "b")
    assert source.labels.tolist() == [0] * 7 + [1] * 7


def test_all_formats_are_the_same_data(prepared):
    assert len({prepared_source(prepared / name).digest for name in FORMATS}) == 1


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_left_out_is_listed_with_its_reason(prepared, name):
    lines = (prepared / name / "rejected.jsonl").read_text().splitlines()
    found = {entry["name"]: entry["reason"] for entry in map(json.loads, lines)}
    assert list(found) == sorted(REASONS)
    for file, words in REASONS.items():
        assert re.search(words, found[file]), found[file]


def test_the_folder_format_is_the_usual_one(prepared):
    listing = json.loads((prepared / "folder" / "dataset.json").read_text())
    assert listing["labels"][0] == ["00000/img00000000.png", 0]
    assert listing["labels"][13] == ["00000/img00000013.png", 1]
    assert len(list((prepared / "folder" / "00000").iterdir())) == 14


def test_threads_do_not_change_the_bytes(photos, prepared, tmp_path):
    prepare(photos, tmp_path / "x", fit=FIT, output=FORMATS["png"], labels="folders", num_threads=1)
    assert files(tmp_path / "x") == files(prepared / "png")


class Cut(BaseException):
    """Stands for the end of the process: nothing catches it."""


@pytest.mark.parametrize("name", FORMATS)
def test_cut_off_before_any_file_it_goes_on_to_the_same_bytes(
    photos, prepared, name, tmp_path, monkeypatch
):
    """Every file appears by os.replace; the run is cut off before each of them in turn."""
    options = dict(fit=FIT, output=FORMATS[name], labels="folders", num_threads=1)
    expected, real = files(prepared / name), os.replace
    for stop in range(1, 100):
        calls = iter(range(1, 1000))

        def replace(first, second, calls=calls, stop=stop):
            if next(calls) == stop:
                raise Cut
            real(first, second)

        monkeypatch.setattr(os, "replace", replace)
        destination = tmp_path / str(stop)
        try:
            prepare(photos, destination, **options)
            break
        except Cut:
            assert not (destination / "prepared.json").exists()
        monkeypatch.setattr(os, "replace", real)
        prepare(photos, destination, **options)
        assert files(destination) == expected
    assert stop > len(expected)


KILLED = """
import os, pathlib, signal, sys
left, real = int(sys.argv[1]), os.replace
def replace(first, second):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(first, second)
os.replace = replace
sys.path.insert(0, sys.argv[2])
from scripts import prepare_data
sys.exit(prepare_data.main(sys.argv[3:]))
"""


def test_killed_again_and_again_it_comes_to_the_same_bytes(photos, prepared, tmp_path):
    command = [sys.executable, "-c", KILLED, "9", str(ROOT), str(photos), str(tmp_path / "x")]
    command += ["--resolution", "16x12", "--min-size", "16", "--labels", "folders"]
    command += ["--format", "folder", "--shard-size", "4", "--threads", "2"]
    codes, output = [], ""
    while not codes or codes[-1] == -signal.SIGKILL:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
        codes.append(result.returncode)
        output = result.stdout + result.stderr
    assert codes[-1] == 0, output
    assert 2 < len(codes) < 9
    assert "14 pictures in" in output
    assert "7 rejected" in output
    assert files(tmp_path / "x") == files(prepared / "folder")


def test_started_once_more_there_is_nothing_to_do(photos, prepared):
    before = {p: p.stat().st_mtime_ns for p in prepared.rglob("*")}
    report = prepare(photos, prepared / "png", fit=FIT, output=FORMATS["png"], labels="folders")
    assert (report.made, report.count, report.rejected) == (0, 14, 7)
    assert "it was complete" in str(report)
    assert before == {p: p.stat().st_mtime_ns for p in prepared.rglob("*")}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            dict(fit=Fit(resolution=(8, 8), min_size=16)),
            r"resolution is \[16, 12\] there and \[8, 8",
        ),
        (dict(labels="none"), "labels is '.*' there and"),
        (dict(output=Output(shard_size=5)), "shard_size is 4 there and 5 now"),
        (dict(max_images=3), "max_images is None there and 3 now"),
    ],
)
def test_other_arguments_are_refused_by_name(
    photos, prepared, change, words, tmp_path, monkeypatch
):
    options = dict(fit=FIT, output=FORMATS["png"], labels="folders")
    with pytest.raises(DataError, match=f"other arguments: .*{words}"):
        prepare(photos, prepared / "png", **{**options, **change})
    # The same while it is not complete.
    real = os.replace
    seen = []
    monkeypatch.setattr(os, "replace", lambda a, b: seen.append(a) or (real(a, b), cut(seen)))
    with pytest.raises(Cut):
        prepare(photos, tmp_path / "x", **options)
    monkeypatch.setattr(os, "replace", real)
    with pytest.raises(DataError, match=f"other arguments: .*{words}"):
        prepare(photos, tmp_path / "x", **{**options, **change})
    with pytest.raises(DataError, match="is not complete; run prepare_data.py again"):
        prepared_source(tmp_path / "x")


def cut(seen):
    if len(seen) == 3:
        raise Cut


def test_a_changed_source_is_another_source(photos, tmp_path):
    save(tmp_path / "in" / "1.png", picture(1))
    prepare(tmp_path / "in", tmp_path / "out", fit=FIT)
    save(tmp_path / "in" / "2.png", picture(2))
    with pytest.raises(DataError, match="source is '.*' there and"):
        prepare(tmp_path / "in", tmp_path / "out", fit=FIT)


def test_places_that_will_not_do(photos, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(DataError, match="is not empty and was not begun by this program"):
        prepare(photos, tmp_path / "mine", fit=FIT)
    with pytest.raises(DataError, match="must not lie in each other"):
        prepare(photos, photos / "ready", fit=FIT)
    with pytest.raises(DataError, match="must not lie in each other"):
        prepare(tmp_path / "mine", tmp_path, fit=FIT)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_a_second_run_at_the_same_time_is_refused(photos, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    folder = tmp_path / "x" / ".preparing"
    folder.mkdir(parents=True)
    with open(folder / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another run is preparing it"):
            prepare(photos, tmp_path / "x", fit=FIT)


def test_nothing_usable_is_an_error_with_the_first_reason(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.png").write_text("no picture")
    with pytest.raises(DataError, match="none of the 1 pictures could be used: not a picture"):
        prepare(tmp_path / "in", tmp_path / "out", fit=FIT)
    assert "1.png" in (tmp_path / "out" / "rejected.jsonl").read_text()


def test_without_a_resolution_all_must_be_of_the_first_size(tmp_path):
    for number, size in enumerate([(5, 7), (5, 7), (7, 5), (5, 7)]):
        save(tmp_path / "in" / f"{number}.png", picture(number, *size))
    options = dict(fit=Fit(transform="none"), output=Output(shard_size=1))
    assert prepare(tmp_path / "in", tmp_path / "out", **options).count == 3
    source = prepared_source(tmp_path / "out")
    assert source.resolution == (5, 7)
    np.testing.assert_array_equal(source[2]["image"], picture(3, 5, 7))
    assert "5 x 7 pixels, but the first picture has 7 x 5" in (
        tmp_path / "out" / "rejected.jsonl"
    ).read_text().replace("\\", "")


def test_max_images_takes_the_first(photos, tmp_path):
    report = prepare(photos, tmp_path / "x", fit=FIT, max_images=5, output=Output(shard_size=2))
    assert (report.count, report.rejected) == (3, 2)  # of 00, 02, 03_cut_off, 04, 05_text


def test_center_crop_wide_lies_on_a_black_square():
    pixels = picture(0, 40, 90)
    out = fit_picture(pixels, Fit(resolution=(6, 12), transform="center-crop-wide"))
    assert out.shape == (12, 12, 3)
    assert not out[:3].any()
    assert not out[9:].any()
    cut = Image.fromarray(pixels).crop((5, 0, 85, 40)).resize((12, 6), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(out[3:9], np.asarray(cut))


def test_one_channel_is_luma_and_none_resizes_all_of_it():
    pixels = picture(0, 30, 50)
    out = fit_picture(pixels, Fit(resolution=(8, 8), channels=1, transform="none"))
    gray = Image.fromarray(pixels).convert("L").resize((8, 8), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(out[..., 0], np.asarray(gray))


def test_extreme_proportions_keep_at_least_a_pixel():
    assert fit_picture(picture(0, 1, 500), Fit(resolution=(64, 2))).shape == (64, 2, 3)
    with pytest.raises(Rejected, match="500 x 1 pixels"):
        fit_picture(picture(0, 1, 500), Fit(resolution=(64, 2), min_size=2))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Fit(transform="crop"), "transform must be one of center-crop.* got 'crop'"),
        (lambda: Fit(channels=4), "channels must be 1 or 3, got 4"),
        (lambda: Fit(resolution=(0, 4)), "resolution must be .height, width. from 1"),
        (lambda: Fit(resolution=64), "resolution must be .height, width. .* got 64"),
        (lambda: Fit(transform="center-crop-wide"), "resolution must be given"),
        (lambda: Fit(min_size=0), "min_size must be at least 1"),
        (lambda: Output(format="zip"), "format must be one of array_record, folder, got 'zip'"),
        (lambda: Output(encoding="jpg"), "encoding must be one of raw, png, got 'jpg'"),
        (lambda: Output(format="folder", encoding="raw"), 'encoding must be "png"'),
        (lambda: Output(shard_size=0), "shard_size must be at least 1"),
        (lambda: prepare("a", "b", fit=FIT, every=0), "every must be at least 1"),
        (lambda: prepare("/no/such", "b", fit=FIT), "'/no/such' does not exist"),
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(DataError, match=words):
        make()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere():
    for stream in (Terminal(), io.StringIO()):
        progress = Progress(4, done=1, stream=stream, seconds=0)
        progress.advance(0)
        progress.advance(1)
        progress.close(1)
        text = stream.getvalue()
        assert "2/4, " in text
        assert " a second, 0:00:0" in text
        assert "left, 1 rejected" in text
        assert ("\r[" in text) == stream.isatty()
        assert ("[############............]" in text) == stream.isatty()
    unknown = io.StringIO()
    Progress(None, stream=unknown).close(0)
    assert unknown.getvalue().startswith("0 pictures, ")


def test_the_command_says_what_is_wrong(photos, tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "prepare_data.py"), str(photos)]
    command += [str(tmp_path / "x"), "--resolution", "16", "--labels", "folder"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr.startswith(
        'error: labels must be "auto", "none", "folders" or an existing'
    )
    assert not (tmp_path / "x").exists()


def test_the_digest_is_that_of_pixels_and_labels(prepared):
    source = prepared_source(prepared / "raw")
    digests = []
    for index in range(14):
        image = source[index]["image"]
        digests.append(hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest())
    content = "".join(d[:32] for d in digests) + json.dumps([0] * 7 + [1] * 7)
    assert source.digest == hashlib.sha256(content.encode()).hexdigest()
