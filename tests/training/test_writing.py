"""Files that appear whole or not at all, read back by other libraries."""

import contextlib
import errno
import os
import resource
import stat

import imageio.v2 as imageio
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from aa_jax.training import writing

FILMS = [".mp4", ".gif"]


@pytest.fixture(autouse=True)
def no_fork_on_reading(monkeypatch):
    """imageio's reader otherwise forks the process in a way that JAX warns of."""
    monkeypatch.setenv("IMAGEIO_FFMPEG_NO_PREVENT_SIGINT", "1")


def read_mp4(path):
    with imageio.get_reader(path, format="FFMPEG") as reader:
        return np.stack(list(reader.iter_data())), reader.get_meta_data()["fps"]


def read_gif(path):
    with Image.open(path) as image:
        frames, durations = [], []
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
        return np.stack(frames), durations, image.info["loop"]


def gradients(count, height, width):
    """Smooth frames that differ."""
    y, x = np.mgrid[:height, :width]
    frames = [np.stack([5 * x + 9 * i, 5 * y, 200 - 3 * x + 0 * y], -1) % 256 for i in range(count)]
    return [frame.astype(np.uint8) for frame in frames]


@contextlib.contextmanager
def full_disk(size):
    """No file may grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_a_png_is_exact(channels, mode, tmp_path, rng):
    picture = rng.integers(0, 256, (5, 7, channels), np.uint8)
    writing.write_png(tmp_path / "a.png", picture)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == mode and image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image).reshape(picture.shape), picture)
    assert os.listdir(tmp_path) == ["a.png"]


def test_files_have_the_rights_that_new_files_have(tmp_path):
    (tmp_path / "plain").touch()
    writing.write_png(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint8))
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "a.png")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("size", [(33, 47), (32, 48), (2, 2), (1, 1)])
def test_an_mp4_has_all_frames_and_even_sides(size, tmp_path):
    height, width = size
    frames = gradients(7, height, width)
    writing.write_film(tmp_path / "a.mp4", iter(frames), 24)
    found, fps = read_mp4(tmp_path / "a.mp4")
    assert fps == 24
    assert found.shape == (7, height + height % 2, width + width % 2, 3)
    expected = np.stack(frames).astype(int)
    # The colours have half the resolution, so compare what is smooth.
    assert np.abs(found[:, :height, :width] - expected).mean() < 6
    if height % 2:  # The last row and column once more, rather than black.
        error = found[:, -1].astype(int) - found[:, -2]
        assert np.abs(error).mean() < 6


@pytest.mark.parametrize("colour", [(255, 0, 0), (30, 200, 120), (255, 255, 255), (128, 128, 128)])
def test_colours_survive(colour, tmp_path):
    frame = np.full((16, 16, 3), colour, np.uint8)
    writing.write_film(tmp_path / "a.mp4", [frame] * 2, 60)
    found, _ = read_mp4(tmp_path / "a.mp4")
    assert np.abs(found.astype(int) - frame).max() <= 3


def test_a_gif_has_all_frames_even_equal_ones(tmp_path):
    frames = gradients(4, 9, 13)
    frames += [frames[-1]] * 3
    writing.write_film(tmp_path / "a.gif", iter(frames), 30)
    found, durations, loop = read_gif(tmp_path / "a.gif")
    # Each frame has few enough colours here for its palette to hold them all.
    np.testing.assert_array_equal(found, np.stack(frames))
    assert durations == [30, 40, 30, 30, 40, 30, 30] and loop == 0


def test_a_gif_plays_no_faster_than_viewers(tmp_path):
    writing.write_film(tmp_path / "a.gif", gradients(3, 4, 4), 120)
    assert read_gif(tmp_path / "a.gif")[1] == [20, 20, 20]


@pytest.mark.parametrize("suffix", FILMS)
def test_greys_and_transparency(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    read = read_mp4 if suffix == ".mp4" else read_gif
    grey = np.tile(np.arange(0, 256, 8, dtype=np.uint8)[:, None, None], (1, 32, 1))
    writing.write_film(path, [grey, grey], 10)
    assert np.abs(read(path)[0].astype(int) - grey).max() <= 3
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:, 4:] = (10, 20, 30, 255)
    writing.write_film(path, [clear], 10)
    found = read(path)[0][0].astype(int)
    assert np.abs(found[:, :3] - 255).max() <= 8  # Away from the edge, which 4:2:0 softens.
    assert np.abs(found[:, 6:] - (10, 20, 30)).max() <= 8


@pytest.mark.parametrize("suffix", FILMS)
@pytest.mark.parametrize("earlier", [False, True])
def test_a_film_that_breaks_off_leaves_nothing(suffix, earlier, tmp_path):
    path = tmp_path / f"a{suffix}"
    if earlier:
        path.write_bytes(b"earlier")

    def frames():
        yield from gradients(5, 16, 16)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        writing.write_film(path, frames(), 30)
    assert os.listdir(tmp_path) == ([path.name] if earlier else [])
    assert not earlier or path.read_bytes() == b"earlier"


@pytest.mark.parametrize("suffix", [".png", *FILMS])
def test_a_full_disk_leaves_nothing(suffix, tmp_path, rng):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"earlier")
    noise = rng.integers(0, 256, (8, 128, 128, 3), np.uint8)
    with (
        full_disk(20_000),
        pytest.raises(OSError, match="could not write .*earlier file is intact"),
    ):
        if suffix == ".png":
            writing.write_png(path, noise[0])
        else:
            writing.write_film(path, noise, 30)
    assert os.listdir(tmp_path) == [path.name] and path.read_bytes() == b"earlier"


@pytest.mark.parametrize("suffix", FILMS)
def test_films_that_are_none(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(ValueError, match="frames must not be empty"):
        writing.write_film(path, [], 30)
    for fps in (0, 241, float("nan")):
        with pytest.raises(ValueError, match="fps must lie from 1 to 240"):
            writing.write_film(path, gradients(2, 4, 4), fps)
    uneven = [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 6, 3), np.uint8)]
    with pytest.raises(ValueError, match=r"all have the shape \(4, 4, 3\), got \(4, 6, 3\)"):
        writing.write_film(path, uneven, 30)
    assert not os.listdir(tmp_path)
    with pytest.raises(ValueError, match="path must end in .mp4 or .gif"):
        writing.write_film(tmp_path / "a.avi", gradients(2, 4, 4), 30)


def test_an_output_is_tried_without_leaving_traces(tmp_path):
    for name in ("a.png", "b.GIF", "c.mp4"):
        suffixes = (".png", ".gif", ".mp4")
        assert writing.check_output(f"{tmp_path}/{name}", suffixes) == tmp_path / name
    assert writing.check_output(f"{tmp_path}/new/", [".png"], folder=True) == tmp_path / "new"
    assert writing.check_output(str(tmp_path), [".png"], folder=True) == tmp_path
    assert not os.listdir(tmp_path)


def test_outputs_that_are_none(tmp_path, monkeypatch):
    def fails(name, message, **options):
        with pytest.raises(ValueError, match=f"^output.*{message}"):
            writing.check_output(f"{tmp_path}/{name}", [".mp4", ".gif"], **options)

    (tmp_path / "file").touch()
    fails("a.avi", "must end in .mp4 or .gif, got")
    fails("a", "must end in .mp4 or .gif, or in / for a folder, got", folder=True)
    fails("", "must end in .mp4 or .gif, got the folder")
    fails("missing/a.gif", "there is no folder .*missing; make it first")
    fails("missing/new/", "there is no folder", folder=True)
    fails("file/a.gif", "there is no folder")

    def no_encoder():
        raise RuntimeError("No ffmpeg exe could be found")

    with monkeypatch.context() as patch:
        patch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", no_encoder)
        fails("a.mp4", "mp4 needs ffmpeg, choose .gif or install it")

    def read_only(*arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:  # Rights alone would not stop an administrator.
        patch.setattr(writing.tempfile, "TemporaryDirectory", read_only)
        fails("a.gif", "can't write into .*: Read-only file system")
