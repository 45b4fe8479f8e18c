"""Folders of class folders: order, decoding, and every way a folder or a file can be broken."""

import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from aa_jax.data import CenterCrop, DataError, UnreadableImageError, image_folder, make_loader
from aa_jax.data.folder import read_image


def picture(seed, height=12, width=10):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def root(tmp_path):
    names = ["b/2.png", "b/10.PNG", "a/x/deep.bmp", "a/1.png", "c/only.tiff"]
    for seed, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(seed)).save(path)
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    (tmp_path / "a" / ".hidden.png").write_bytes(b"not an image")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "README").write_text("about")
    return tmp_path


def test_classes_and_files_are_sorted(root):
    source = image_folder(root)
    assert source.class_names == ("a", "b", "c")
    assert source.num_classes == 3
    files = [path.removeprefix(f"{root}/") for path in source.paths]
    assert files == ["a/1.png", "a/x/deep.bmp", "b/10.PNG", "b/2.png", "c/only.tiff"]
    assert [source[i]["label"] for i in range(5)] == [0, 0, 1, 1, 2]
    for index, seed in enumerate((3, 2, 1, 0, 4)):
        np.testing.assert_array_equal(source[index]["image"], picture(seed))


def test_class_names_fix_the_labels(root):
    source = image_folder(root, class_names=("z", "c", "b", "a"))
    assert source.labels.tolist() == [1, 2, 2, 3, 3]
    with pytest.raises(DataError, match="folders c are not among the 2 classes"):
        image_folder(root, class_names=("a", "b"))


def save(path, image, **options):
    image.save(path, **options)
    return read_image(path)


def test_every_mode_becomes_rgb(tmp_path):
    gray = np.arange(0, 240, dtype=np.uint8).reshape(15, 16)
    three = np.repeat(gray[..., None], 3, -1)
    image = Image.fromarray(gray)
    np.testing.assert_array_equal(save(tmp_path / "l.png", image), three)
    np.testing.assert_array_equal(save(tmp_path / "p.gif", image.convert("P")), three)
    alpha = Image.fromarray(np.concatenate([three, gray[..., None]], -1), "RGBA")
    np.testing.assert_array_equal(save(tmp_path / "a.png", alpha), three)
    deep = Image.fromarray(gray.astype(np.uint16) * 257)
    np.testing.assert_array_equal(save(tmp_path / "i.png", deep), three)
    cmyk = save(tmp_path / "c.jpg", Image.fromarray(three).convert("CMYK"), quality=100)
    assert np.abs(cmyk.astype(int) - three).max() < 12
    with pytest.raises(UnreadableImageError, match="f.tiff.*mode 'F'"):
        save(tmp_path / "f.tiff", Image.fromarray(gray.astype(np.float32)))


def test_exif_orientation_is_applied(tmp_path):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255  # left half white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise: white on top
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    image = read_image(tmp_path / "turned.jpg")
    assert image.shape == (32, 16, 3)
    assert image[:14].min() > 200 > 50 > image[18:].max()


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(width, height, data):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def broken_files(folder):
    """Files that look like images by name, each broken in another way."""
    Image.fromarray(picture(0, 64, 64)).save(folder / "whole.png")
    Image.fromarray(picture(0, 64, 64)).save(folder / "whole.jpg")
    whole_png, whole_jpg = ((folder / f"whole.{kind}").read_bytes() for kind in ("png", "jpg"))
    (folder / "whole.png").unlink()
    (folder / "whole.jpg").unlink()
    return {
        "empty.png": b"",
        "text.jpg": b"this is not a picture",
        "truncated.png": whole_png[: len(whole_png) // 2],
        "header_only.png": whole_png[:30],
        "truncated.jpg": whole_jpg[: len(whole_jpg) // 2],
        "garbled.png": whole_png[:60] + bytes(40) + whole_png[100:],
        "huge.png": png(60_000, 60_000, zlib.compress(b"\0" * 100)),
        "large.png": png(20_000, 5_000, zlib.compress(b"\0" * 100)),
        "short.png": png(64, 64, zlib.compress(b"\0" * 100)),
    }


BROKEN = ["empty.png", "text.jpg", "truncated.png", "header_only.png", "truncated.jpg",
          "garbled.png", "huge.png", "large.png", "short.png", "missing.png"]  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_broken_files_are_named(tmp_path, name):
    content = broken_files(tmp_path).get(name)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableImageError, match=f"{name}.*repair or remove") as caught:
        read_image(tmp_path / name)
    assert caught.value.path == tmp_path / name


def test_pixel_limit_is_checked_before_decoding(tmp_path):
    Image.fromarray(picture(0)).save(tmp_path / "small.png")
    assert read_image(tmp_path / "small.png", max_pixels=120).shape == (12, 10, 3)
    with pytest.raises(UnreadableImageError, match="10 x 12 pixels, more than max_pixels = 119"):
        read_image(tmp_path / "small.png", max_pixels=119)


def test_a_corrupt_image_stops_the_run(root):
    (root / "b" / "0.jpg").write_bytes(b"corrupt")
    loader = make_loader(image_folder(root), batch_size=6, seed=0)
    with pytest.raises(UnreadableImageError, match="b/0.jpg"):
        next(loader)


def test_a_corrupt_image_is_skipped_logged_and_counted(root, caplog):
    (root / "b" / "0.jpg").write_bytes(b"corrupt")
    source = image_folder(root, on_error="skip")
    options = dict(batch_size=3, seed=0, num_epochs=2, shuffle=False, transform=CenterCrop(8))
    with caplog.at_level(logging.WARNING, "aa_jax.data"):
        batches = list(make_loader(source, drop_remainder=False, **options))
    labels = np.concatenate([batch["label"] for batch in batches])
    assert labels.tolist() == [0, 0, 1, 1, 2] * 2
    assert source.num_skipped == 1
    assert [path.endswith("b/0.jpg") for path in source.skipped] == [True]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert "skipped image 1" in lines[0]
    assert "b/0.jpg" in lines[0]
    full = list(make_loader(source, **options))
    assert [len(batch["label"]) for batch in full] == [3, 3, 3, 3]


def test_empty_folder(tmp_path):
    with pytest.raises(DataError, match="holds no images .*expected .*<class>/<image>"):
        image_folder(tmp_path)
    Image.fromarray(picture(0)).save(tmp_path / "loose.png")  # not in a class folder
    with pytest.raises(DataError, match="holds no images"):
        image_folder(tmp_path)


def test_one_class_only(tmp_path):
    (tmp_path / "cats").mkdir()
    Image.fromarray(picture(0)).save(tmp_path / "cats" / "1.png")
    with pytest.raises(DataError, match="only one class, cats"):
        image_folder(tmp_path)


def test_an_empty_class(root):
    (root / "dogs").mkdir()
    with pytest.raises(DataError, match="in the class folders dogs; add images or remove"):
        image_folder(root)


def test_no_such_folder(tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist"):
        image_folder(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file is a file; expected a folder"):
        image_folder(tmp_path / "file")


def test_unknown_on_error(root):
    with pytest.raises(DataError, match='must be "raise" or "skip", got \'ignore\''):
        image_folder(root, on_error="ignore")
