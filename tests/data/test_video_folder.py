"""Films of a folder: found, grouped, fitted, and drawn from."""

import numpy as np
import pytest
from PIL import Image

from aa_jax.data import DataError
from aa_jax.data.frame_pairs import FramePairs
from aa_jax.data.video_folder import VideoFolder
from tests.data.films import frame, write_film


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("films")
    train = root / "train"
    train.mkdir()
    (root / "test").mkdir()
    write_film(train / "ann#x#1.mkv", [frame(k, 8, 8) for k in range(4)])
    # As few colours as a GIF can hold.
    frames = [Image.fromarray(frame(k, 16, 24) // 64 * 64) for k in range(3)]
    frames[0].save(train / "bob#x#1.gif", save_all=True, append_images=frames[1:])
    (train / "ann#y#1").mkdir()
    for k in range(11):
        Image.fromarray(frame(100 + k, 8, 8)).save(train / "ann#y#1" / f"{k}.png")
    (train / "empty").mkdir()
    (train / ".hidden.gif").write_text("")
    (train / "notes.txt").write_text("")
    write_film(root / "test" / "cid#x#1.mkv", [frame(k, 8, 8) for k in range(2)])
    return root


def test_films_are_found_in_order(root):
    films = VideoFolder(root, size=8)
    assert [path.name for path in films.paths] == ["ann#x#1.mkv", "ann#y#1", "bob#x#1.gif"]
    assert films.groups == ((0,), (1,), (2,)) and len(films) == 3
    assert [films.num_frames(index) for index in range(3)] == [4, 11, 3]
    sample = films[1]
    np.testing.assert_array_equal(sample["frames"], [frame(100 + k, 8, 8) for k in range(11)])
    assert sample["landmarks"].shape == (11, 0, 2) and sample["visible"].shape == (11, 0)
    np.testing.assert_array_equal(films.frames(0, [3, 1]), [frame(3, 8, 8), frame(1, 8, 8)])
    assert [path.name for path in VideoFolder(root, "test", size=8).paths] == ["cid#x#1.mkv"]
    assert len(VideoFolder(root / "train", None, size=8)) == 3


def test_frames_are_cropped_and_resized(root):
    square = np.ascontiguousarray((frame(1, 16, 24) // 64 * 64)[:, 4:20])
    expected = np.asarray(Image.fromarray(square).resize((8, 8), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(VideoFolder(root, size=8).frames(2, [1])[0], expected)


def test_films_of_one_person_are_one_group(root):
    films = VideoFolder(root, size=8, grouping="identity")
    assert films.groups == ((0, 1), (2,))
    labels = [FramePairs(films, repeats=20)[index]["label"] for index in range(40)]
    assert set(labels[0::2]) == {0, 1} and set(labels[1::2]) == {2}


def test_films_read_last_are_held_within_bounds(root, monkeypatch):
    films = VideoFolder(root, size=8, held_bytes=12 * 192)
    reads = []
    real = VideoFolder.__init__.__globals__["open_video"]
    monkeypatch.setattr(
        "aa_jax.data.video_folder.open_video",
        lambda path, **options: reads.append(path.name[:5]) or real(path, **options),
    )
    for index in (0, 0, 2, 0, 1, 1, 0):  # 4, 3 and 11 frames: the last do not fit beside others
        films.frames(index, [0])
    assert reads == ["ann#x", "bob#x", "ann#y", "ann#x"]


def test_unreadable_films_are_named(tmp_path):
    (tmp_path / "bad.mp4").write_text("no film")
    with pytest.raises(DataError, match="cannot read the film .*bad.mp4"):
        VideoFolder(tmp_path, None, size=8)[0]
    (tmp_path / "bad.mp4").unlink()
    write_film(tmp_path / "long.mkv", [frame(k) for k in range(4)])
    with pytest.raises(DataError, match="more than max_frames = 3"):
        VideoFolder(tmp_path, None, size=8, max_frames=3)[0]


def test_bad_folders_and_options(root, tmp_path):
    with pytest.raises(DataError, match="train is no folder; expected .*test with films"):
        VideoFolder(tmp_path, size=8)
    with pytest.raises(DataError, match="holds no films; expected files"):
        VideoFolder(tmp_path, None, size=8)
    with pytest.raises(ValueError, match="grouping must be one of video, identity, got 'person'"):
        VideoFolder(root, size=8, grouping="person")
    with pytest.raises(DataError, match="resolution must be"):
        VideoFolder(root, size=0)
    with pytest.raises(IndexError, match=r"\[0, 3\)"):
        VideoFolder(root, size=8).frames(3, [0])
