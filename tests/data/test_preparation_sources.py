"""Where pictures come from: folders with traps, hostile zips, films, and TFDS."""

import io
import json
import os
import pathlib
import subprocess
import zipfile

import imageio_ffmpeg
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from aa_jax.data import DataError
from aa_jax.data.preparation import Output, prepare
from aa_jax.data.preparation_pictures import Fit, Rejected
from aa_jax.data.preparation_sources import FolderPictures, ZipPictures, open_pictures
from aa_jax.data.prepared import prepared_source

AS_IS = Fit(transform="none")


def picture(seed, height=9, width=8):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def open_source(path, **options):
    return open_pictures(path, max_pixels=10**6, **options)


def rejected(root):
    lines = (root / "rejected.jsonl").read_text().splitlines()
    return {entry["name"]: entry["reason"] for entry in map(json.loads, lines)}


def encrypted(archive: bytes, name: bytes) -> bytes:
    """Sets the flag that says so, in both headers of an entry."""
    content = bytearray(archive)
    for signature, flags, filename in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
        place = -1
        while (place := archive.find(signature, place + 1)) >= 0:
            if archive[place + filename :].startswith(name):
                content[place + flags] |= 1
    return bytes(content)


@pytest.fixture
def hostile_zip(tmp_path):
    path = tmp_path / "hostile.zip"
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good/2.png", png(picture(2)), zipfile.ZIP_DEFLATED)
        archive.writestr("good/1.png", png(picture(1)))
        archive.writestr("good/1.png", png(picture(3)))
        archive.writestr("../../etc/passwd", b"root")
        archive.writestr("/absolute.png", png(picture(1)))
        archive.writestr("C:\\windows.png", png(picture(1)))
        archive.writestr("bomb.png", bytes(300_000), zipfile.ZIP_DEFLATED)
        archive.writestr("damaged.png", png(picture(4)))
        archive.writestr("locked.png", png(picture(5)))
        archive.writestr("readme.txt", b"text")
        archive.writestr("__MACOSX/good/1.png", b"left aside")
        archive.writestr("folder.png/", b"")
    content = encrypted(path.read_bytes(), b"locked.png")
    place = content.index(png(picture(4)))
    path.write_bytes(content[: place + 60] + b"\xff\xff\xff" + content[place + 63 :])
    return path


def test_a_hostile_zip_is_read_without_harm(hostile_zip):
    pictures = ZipPictures(hostile_zip, 10**6, max_file_bytes=10**5)
    assert pictures.num_others == 1
    reasons = {}
    for index, name in enumerate(pictures.names):
        try:
            pixels, label = pictures.read(index)
            seed = 2 if name == "good/2.png" else 1
            np.testing.assert_array_equal(pixels, picture(seed))
            assert label is None
        except Rejected as error:
            reasons[name] = str(error)
    assert set(pictures.names) - set(reasons) == {"good/2.png"}  # 1.png is there twice
    for name, words in {
        "../../etc/passwd": "leads out of the zip",
        "/absolute.png": "absolute path",
        "C:\\windows.png": "absolute path",
        "bomb.png": "claims 300000 bytes, more than 100000",
        "damaged.png": "BadZipFile: Bad CRC-32",
        "locked.png": "is encrypted",
        "good/1.png": "another entry of the zip has the same name",
    }.items():
        assert words in reasons[name]


def test_nothing_of_a_zip_is_unpacked(hostile_zip, tmp_path):
    inside = tmp_path / "inside"
    report = prepare(hostile_zip, inside / "out", fit=AS_IS)
    assert (report.count, report.rejected, report.num_others) == (2, 7, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"hostile.zip", "inside"}
    assert {path.name for path in inside.iterdir()} == {"out"}
    assert "is encrypted" in rejected(inside / "out")["locked.png"]
    np.testing.assert_array_equal(prepared_source(inside / "out")[1]["image"], picture(2))


def test_a_zip_that_lies_about_sizes(tmp_path):
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(10**6))
    content = path.read_bytes()
    true, false = (10**6).to_bytes(4, "little"), (999).to_bytes(4, "little")
    path.write_bytes(content.replace(true, false))
    with pytest.raises(Rejected, match="BadZipFile"):
        ZipPictures(path, 10**6).read(0)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"PK\x05\x06"])
def test_files_that_are_no_zip(tmp_path, content):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(DataError, match="is not a readable zip"):
        open_source(tmp_path / "x.zip")


def test_folders_are_walked_in_order_and_not_in_circles(tmp_path):
    for name in ("b/2.png", "b/10.PNG", "a.png", ".cache/3.png", "b/.4.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(picture(0)))
    (tmp_path / "b" / "round").symlink_to(tmp_path)
    (tmp_path / "list.txt").write_text("")
    pictures = FolderPictures(tmp_path, 10**6)
    assert pictures.names == ("a.png", "b/10.PNG", "b/2.png")
    assert pictures.num_others == 1
    assert [name for name, _ in pictures.items(1)] == ["b/10.PNG", "b/2.png"]


def test_names_that_are_no_text(tmp_path):
    folder = bytes(tmp_path / "in")
    os.mkdir(folder)
    for name in (b"\xff.png", 'ü\n".png'.encode()):
        pathlib.Path(os.fsdecode(os.path.join(folder, name))).write_bytes(png(picture(1)))
    pathlib.Path(os.fsdecode(os.path.join(folder, b"bad\xfe.png"))).write_bytes(b"")
    report = prepare(tmp_path / "in", tmp_path / "out", fit=AS_IS)
    assert (report.count, report.rejected) == (2, 1)
    assert os.fsencode(next(iter(rejected(tmp_path / "out")))) == b"bad\xfe.png"


def test_folders_that_cannot_be_listed_stop_it(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "1.png").write_bytes(png(picture(1)))
    real = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match="cannot list .*closed: Permission denied"):
        open_source(tmp_path)


def test_sources_that_are_none(tmp_path):
    (tmp_path / "text.txt").write_text("")
    with pytest.raises(DataError, match="holds no pictures .*, but 1 other files"):
        open_source(tmp_path)
    with pytest.raises(DataError, match="is neither a folder nor a zip nor a film"):
        open_source(tmp_path / "text.txt")
    with pytest.raises(DataError, match="does not exist"):
        open_source(tmp_path / "nowhere")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Eleven frames, coded without loss."""
    path = tmp_path_factory.mktemp("film") / "a film.mkv"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo"]
    command += ["-pix_fmt", "rgb24", "-s", "8x10", "-r", "5", "-i", "-", "-c:v", "ffv1"]
    command += ["-pix_fmt", "bgr0", str(path)]
    frames = b"".join(picture(number, 10, 8).tobytes() for number in range(11))
    subprocess.run(command, input=frames, check=True, timeout=60)
    return path


def test_frames_of_a_film(film, tmp_path):
    report = prepare(film, tmp_path / "x", fit=AS_IS, every=3, output=Output(shard_size=3))
    assert (report.count, report.rejected) == (4, 0)
    source = prepared_source(tmp_path / "x")
    for index in range(4):
        np.testing.assert_array_equal(source[index]["image"], picture(3 * index, 10, 8))
    later = list(open_source(film, every=3).items(2))
    assert [name for name, _ in later] == ["frame00000006", "frame00000009"]
    np.testing.assert_array_equal(later[1][1]()[0], picture(9, 10, 8))


def test_max_images_of_a_film_stops_its_decoder(film, tmp_path):
    assert prepare(film, tmp_path / "x", fit=AS_IS, max_images=2).count == 2


def test_a_film_that_breaks_off_keeps_what_was_read_and_says_so(film, tmp_path):
    content = film.read_bytes()
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(content[: len(content) * 6 // 10])
    report = prepare(broken, tmp_path / "x", fit=AS_IS)
    assert 2 <= report.count < 11
    assert report.rejected == 1
    assert rejected(tmp_path / "x")["broken.mkv"].startswith("ffmpeg: ")
    prepare(broken, tmp_path / "y", fit=AS_IS)
    assert rejected(tmp_path / "y") == rejected(tmp_path / "x")


def test_a_film_that_is_none(tmp_path):
    (tmp_path / "no.mp4").write_text("no film")
    with pytest.raises(DataError, match="none of the 1 pictures could be used: ffmpeg: "):
        prepare(tmp_path / "no.mp4", tmp_path / "x", fit=AS_IS)


class TinyPrepared(tfds.core.GeneratorBasedBuilder):
    """Six images of type Tensor, because encoding Image needs TensorFlow."""

    VERSION = tfds.core.Version("1.0.0")
    url_infos = {}

    def _info(self):
        features = {
            "image": tfds.features.Tensor(shape=(6, 7, 3), dtype=np.uint8),
            "label": tfds.features.ClassLabel(names=["even", "odd"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, download_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for index in range(6):
            yield index, {"image": np.full((6, 7, 3), 20 * index, np.uint8), "label": index % 2}


def test_tfds_brings_its_labels(tmp_path):
    TinyPrepared(data_dir=tmp_path / "tfds", file_format="array_record").download_and_prepare()
    prepare("tfds:tiny_prepared", tmp_path / "x", fit=AS_IS, data_dir=str(tmp_path / "tfds"))
    source = prepared_source(tmp_path / "x")
    assert (len(source), source.class_names) == (6, ("even", "odd"))
    for sample in map(source.__getitem__, range(6)):
        assert sample["label"] == sample["image"][0, 0, 0] // 20 % 2
    assert rejected(tmp_path / "x") == {}
