"""Films in: every kind gives back the frames that went in; hostile ones give a clear error."""

import io
import logging

import numpy as np
import pytest
from PIL import Image

from aa_jax.data import DataError, ffmpeg
from aa_jax.data.video import UnreadableVideoError, open_video, read_video
from tests.data.films import frame, write_film

FRAMES = np.stack([frame(number, 11, 9) for number in range(7)])


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("films") / "take 1:2 #a.mkv"
    write_film(path, FRAMES, rate="30000/1001")
    return path


def animation(path, **options):
    pictures = [Image.fromarray(picture) for picture in FRAMES]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], loop=0, **options)
    return path


def test_a_film(film):
    frames, fps = read_video(film)
    np.testing.assert_array_equal(frames, FRAMES)
    assert frames.dtype == np.uint8 and fps == pytest.approx(30000 / 1001)
    assert read_video(str(film))[1] == fps


@pytest.mark.parametrize("name", ["x.png", "x.apng", "x.webp"])
def test_animations_without_loss(tmp_path, name):
    options = dict(lossless=True) if name.endswith("webp") else {}
    kind = dict(format="PNG") if name == "x.apng" else {}
    frames, fps = read_video(animation(tmp_path / name, duration=40, **options, **kind))
    np.testing.assert_array_equal(frames, FRAMES)
    assert fps == 25


def test_gif(tmp_path):
    """Up to 256 colours a frame come back as they were."""
    frames, fps = read_video(animation(tmp_path / "x.GIF", duration=100))
    np.testing.assert_array_equal(frames, FRAMES)
    assert fps == 10
    assert read_video(animation(tmp_path / "y.gif"))[1] == 10  # without durations


def test_numbered_pictures_in_the_order_of_their_numbers(tmp_path):
    for number, picture in enumerate(FRAMES):
        Image.fromarray(picture).save(tmp_path / f"take2_{number + 5}.png")
    (tmp_path / ".hidden.png").write_text("")
    (tmp_path / "notes.txt").write_text("")
    frames, fps = read_video(tmp_path)
    np.testing.assert_array_equal(frames, FRAMES)
    assert fps == 25


def test_open_video_reads_as_it_goes(film):
    video = open_video(film)
    np.testing.assert_array_equal(next(video.frames), FRAMES[0])
    np.testing.assert_array_equal(next(video.frames), FRAMES[1])
    video.frames.close()


def test_one_picture_is_a_film_of_one_frame(tmp_path):
    Image.fromarray(FRAMES[0]).save(tmp_path / "one.png")
    assert read_video(tmp_path / "one.png")[0].shape == (1, 11, 9, 3)


@pytest.mark.parametrize("name", ["no.mp4", "no.gif", "no.unknown"])
def test_what_is_no_film(tmp_path, name):
    (tmp_path / name).write_text("no film")
    with pytest.raises(
        UnreadableVideoError, match=f"cannot read the film .*{name}: .*expected"
    ) as e:
        read_video(tmp_path / name)
    assert e.value.path == tmp_path / name and isinstance(e.value, DataError)


def test_missing_and_empty(tmp_path):
    with pytest.raises(UnreadableVideoError, match="no such file or folder"):
        read_video(tmp_path / "nowhere.mp4")
    with pytest.raises(UnreadableVideoError, match="holds no frame"):
        read_video(tmp_path)
    (tmp_path / "1.png").write_text("no picture")
    with pytest.raises(UnreadableVideoError, match="cannot read image .*1.png"):
        read_video(tmp_path)


def test_limits(film, tmp_path):
    gif = animation(tmp_path / "x.gif")
    for path in (film, gif):
        with pytest.raises(UnreadableVideoError, match="more than max_frames = 6 frames"):
            read_video(path, max_frames=6)
        assert len(read_video(path, max_frames=7, max_pixels=99, max_bytes=7 * 297)[0]) == 7
        with pytest.raises(UnreadableVideoError, match="first 7 frames take 2079 bytes, more than"):
            read_video(path, max_bytes=7 * 297 - 1)
        with pytest.raises(UnreadableVideoError, match="9 x 11 pixels, more than max_pixels = 98"):
            open_video(path, max_pixels=98)


def test_frames_much_too_large_are_not_decoded(tmp_path):
    write_film(tmp_path / "large.mkv", [np.zeros((300, 300, 3), np.uint8)])
    with pytest.raises(UnreadableVideoError, match="ffmpeg: .*300x300 exceeds"):
        open_video(tmp_path / "large.mkv", max_pixels=5000)


def test_an_early_look_at_a_long_film_is_allowed(film):
    assert len(next(open_video(film, max_frames=1).frames)) == 11


def test_pictures_of_different_sizes(tmp_path):
    Image.fromarray(frame(0, 5, 6)).save(tmp_path / "1.png")
    Image.fromarray(frame(0, 5, 7)).save(tmp_path / "2.png")
    with pytest.raises(UnreadableVideoError, match="frame 1 has 7 x 5 pixels, the first one 6 x 5"):
        read_video(tmp_path)


def test_a_film_that_breaks_off(film, tmp_path, caplog):
    content = film.read_bytes()
    (tmp_path / "broken.mkv").write_bytes(content[: len(content) * 6 // 10])
    with caplog.at_level(logging.WARNING, "aa_jax.data"):
        frames, _ = read_video(tmp_path / "broken.mkv")
    np.testing.assert_array_equal(frames, FRAMES[: len(frames)])
    assert 1 <= len(frames) < 7
    assert f"took the {len(frames)} frames that could be read; ffmpeg complained" in caplog.text


def test_a_broken_gif(tmp_path):
    content = animation(tmp_path / "x.gif").read_bytes()
    (tmp_path / "broken.gif").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableVideoError, match="broken.gif"):
        read_video(tmp_path / "broken.gif")


def test_playlists_open_no_other_file(film, tmp_path):
    secret = tmp_path / "secret.ts"
    secret.write_bytes(film.read_bytes())
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
    for name, target in (("a.mp4", secret), ("b.m3u8", f"file://{secret}"), ("c.mp4", "secret.ts")):
        (tmp_path / name).write_text(playlist.format(target))
        with pytest.raises(UnreadableVideoError, match="ffmpeg: "):
            read_video(tmp_path / name)
    listing = tmp_path / "d.mp4"
    listing.write_text(f"ffconcat version 1.0\nfile '{secret.name}'\n")
    with pytest.raises(UnreadableVideoError, match="ffmpeg: "):
        read_video(listing)


def test_without_ffmpeg(film, monkeypatch):
    def none():
        raise RuntimeError("No ffmpeg exe could be found")

    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", none)
    with pytest.raises(DataError, match="films need ffmpeg, which imageio.ffmpeg. brings"):
        read_video(film)


def test_a_frame_cut_off_in_the_pipe_is_no_frame():
    whole = b"P6\n2 1\n255\nabcdef"
    np.testing.assert_array_equal(
        ffmpeg._read_ppm(io.BytesIO(whole)), [[list(b"abc"), list(b"def")]]
    )
    assert ffmpeg._read_ppm(io.BytesIO(whole[:-1])) is None
    assert ffmpeg._read_ppm(io.BytesIO(b"")) is None
