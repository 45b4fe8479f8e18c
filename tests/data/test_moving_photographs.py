"""Films of moved photographs: deterministic, smooth, unaliased, and true about themselves."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from aa_jax.data import DataError
from aa_jax.data.moving_layers import REACH
from aa_jax.data.moving_photographs import NUM_LANDMARKS, MovingPhotographs

SMALL = dict(num_frames=8, size=32, render_size=64)


@pytest.fixture(scope="module")
def films():
    return MovingPhotographs(12, **SMALL)


@pytest.fixture(scope="module")
def samples(films):
    return [films[index] for index in range(len(films))]


def smooth_pictures():
    """Coloured waves of long period: a small error of place changes them measurably, not wildly."""
    x, y = np.meshgrid(*[np.linspace(0, 2 * np.pi, 300)] * 2)
    waves = [np.sin(x + k) * np.cos(1.5 * y + 2 * k) for k in range(5)]
    colours = [np.stack([w, -w, np.roll(w, 90, 0)], -1) for w in waves]
    return [np.rint(128 + 100 * c).astype(np.uint8) for c in colours]


def test_form_of_a_sample(films, samples):
    assert len(films) == 12 and films.num_frames(3) == 8
    for sample in samples:
        assert sample["frames"].shape == (8, 32, 32, 3) and sample["frames"].dtype == np.uint8
        assert sample["landmarks"].shape == (8, NUM_LANDMARKS, 2)
        assert sample["visible"].shape == (8, NUM_LANDMARKS) and sample["visible"].dtype == bool
        assert np.abs(sample["landmarks"][sample["visible"]]).max() <= 1


def test_a_film_depends_on_its_index_only(films, samples):
    again = MovingPhotographs(500, **SMALL)
    for index in (11, 4):
        for key, value in again[index].items():
            np.testing.assert_array_equal(value, samples[index][key])
        some = films.frames(index, [6, 1, 6])
        np.testing.assert_array_equal(some, samples[index]["frames"][[6, 1, 6]])
    other = MovingPhotographs(12, **SMALL, seed=1)[4]
    assert np.mean(other["frames"] != samples[4]["frames"]) > 0.5


def test_films_have_one_to_three_parts(films, samples):
    counts = {len(films._scene(index)[0].parts) for index in range(12)}
    assert counts == {1, 2, 3}
    for index, sample in enumerate(samples):
        known = 4 + 5 * len(films._scene(index)[0].parts)
        assert not sample["visible"][:, known:].any()
        assert sample["visible"][:, :known].mean() > 0.4


def test_parts_travel_as_far_as_said():
    """Seen from their rest pose, as shares of the frame's side; the swaying adds a few percent."""
    source = MovingPhotographs(30, num_frames=32, size=32, travel=(0.1, 0.2), num_parts=(1, 2))
    reached = []
    for index in range(30):
        scene, _ = source._scene(index)
        for part in scene.parts:
            centre = part.poses.centre
            reached.append(np.linalg.norm(centre - centre.mean(0), axis=1).max() / 2)
    assert 0.09 < min(reached) and max(reached) < 0.205
    assert max(reached) - min(reached) > 0.06


def test_motion_is_smooth_and_a_loop():
    landmarks = MovingPhotographs(6, num_frames=64, size=32, render_size=32)
    for index in range(6):
        places = landmarks[index]["landmarks"]
        steps = np.roll(places, -1, 0) - places  # the last one leads to the first frame
        jumps = np.roll(steps, -1, 0) - steps
        assert np.linalg.norm(steps, axis=-1).max() < 0.16
        assert np.linalg.norm(jumps, axis=-1).max() < 0.04


def test_frames_change_visibly(samples):
    for sample in samples:
        frames = sample["frames"].astype(float)
        change = np.abs(frames - frames[:1]).max((0, 3))
        assert np.mean(change > 20) > 0.1


def test_landmarks_stay_on_the_same_spot_of_a_part():
    """The colour under a landmark does not change while it moves."""
    films = MovingPhotographs(
        8, num_frames=6, size=64, photographs=smooth_pictures(), num_parts=(1, 1), seed=3
    )
    changes, blind = [], []
    for index in range(8):
        sample = films[index]
        frames, landmarks = sample["frames"].astype(float), sample["landmarks"]
        inner = sample["visible"][:, 4:9] & np.all(np.abs(landmarks[:, 4:9]) < 0.9, -1)
        colours = []
        for time in range(6):
            columns, rows = (landmarks[time, 4:9].T + 1) / 2 * 63
            planes = [
                ndimage.map_coordinates(
                    frames[time, ..., c], (rows, columns), order=1, mode="nearest"
                )
                for c in range(3)
            ]
            colours.append(np.stack(planes, -1))
        colours = np.stack(colours)
        together = inner[:1] & inner
        changes.append(np.abs(colours - colours[:1])[together].max(initial=0))
        stays = (landmarks[:1, 4:9].repeat(6, 0) + 1) / 2 * 63
        still = [
            frames[t][tuple(np.rint(stays[t, :, ::-1]).astype(int).clip(0, 63).T)] for t in range(6)
        ]
        blind.append(np.abs(np.stack(still) - still[0]).mean())
    assert max(changes) < 9
    assert np.mean(blind) > 20  # the places themselves do change colour


def test_nothing_is_read_more_coarsely_than_its_texture():
    """Places read by neighbouring pixels of the canvas are at most one texture pixel apart."""
    films = MovingPhotographs(10, num_frames=4, size=32, render_size=96)
    canvas, furthest = films._canvas, 0.0
    for index in range(10):
        scene, _ = films._scene(index)
        layers = [(scene.ground_poses, scene.ground_reach, scene.ground, 9.0)]
        layers += [(p.poses, REACH, p.texture, REACH) for p in scene.parts]
        for time in range(4):
            grid = np.stack(scene.sway.grid(time, canvas.axis, canvas.axis), -1)
            for poses, reach, texture, wanted in layers:
                local = poses.at(time).local(grid.reshape(1, -1, 2)).reshape(grid.shape)
                pixels = local * (texture.shape[-1] - 1) / (2 * reach)
                slopes = np.stack(np.gradient(pixels, axis=(0, 1)), -1)
                rates = np.linalg.svd(slopes, compute_uv=False)[..., 0]
                rates = rates[np.abs(local).max(-1) <= wanted]
                furthest = max(furthest, rates.max(initial=0.0))
            ground = scene.ground_poses.at(time).local(grid.reshape(1, -1, 2))
            assert np.abs(ground).max() <= scene.ground_reach  # the background has no visible end
    assert 0.7 < furthest <= 1.0


def test_white_photographs_have_no_dark_border():
    white = [np.full((40, 50, 3), 255, np.uint8)]
    films = MovingPhotographs(2, num_frames=2, size=16, photographs=white, num_parts=(1, 1))
    for index in range(2):
        frames = films[index]["frames"]
        for edge in (frames[:, 0], frames[:, -1], frames[:, :, 0], frames[:, :, -1]):
            assert np.mean(edge == 255) > 0.6
            assert edge.min() > 100  # tints at most


def test_photographs_of_a_folder(tmp_path):
    for number, picture in enumerate(smooth_pictures()):
        (tmp_path / "inner").mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "inner" / f"{number}.png")
    (tmp_path / "readme.txt").write_text("")
    folder = MovingPhotographs(3, **SMALL, photographs=tmp_path)
    arrays = MovingPhotographs(3, **SMALL, photographs=smooth_pictures())
    for index in range(3):
        np.testing.assert_array_equal(folder[index]["frames"], arrays[index]["frames"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(num_videos=0), "num_videos must be an integer of at least 1, got 0"),
        (dict(num_frames=1.5), "num_frames must be"),
        (dict(size=4), "size must be an integer of at least 8"),
        (
            dict(size=64, render_size=100),
            "render_size must be a multiple of size = 64, got 100; 256",
        ),
        (dict(size=64, render_size=32), "render_size must be"),
        (dict(num_parts=(0, 2)), "num_parts must be"),
        (dict(num_parts=(1, 4)), "from 1 to 3"),
        (dict(travel=(0.3, 0.2)), "travel must be"),
        (dict(photographs=[np.zeros((5, 5, 3))]), r"photographs must be uint8 .* got float64"),
        (dict(photographs=[]), "at least one picture"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        MovingPhotographs(**{"num_videos": 2, **options})


def test_bad_folders_and_indices_are_named(films, tmp_path):
    with pytest.raises(DataError, match="expected a folder of images"):
        MovingPhotographs(2, photographs=tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no images"):
        MovingPhotographs(2, photographs=tmp_path)
    for index in (-1, 12):
        with pytest.raises(IndexError, match=r"\[0, 12\)"):
            films[index]


def test_sizes_without_a_round_reduction():
    assert MovingPhotographs(1, size=96)._canvas.reduction == 3
    assert MovingPhotographs(1, size=300)._canvas.reduction == 1


def test_without_drift_only_the_parts_move():
    films = MovingPhotographs(2, num_frames=4, size=32, drift=0.0, num_parts=(1, 1))
    for index in range(2):
        film = films[index]
        ground = film["landmarks"][:, :4]
        np.testing.assert_allclose(ground, np.broadcast_to(ground[:1], ground.shape), atol=1e-6)
        moved = np.ptp(film["frames"].astype(int), axis=0).max(-1) > 2
        assert 0.05 < moved.mean() < 0.8
        assert np.ptp(film["landmarks"][:, 4], axis=0).max() > 0.1
    with pytest.raises(ValueError, match="drift must lie"):
        MovingPhotographs(1, drift=2.0)


def test_the_cast_plays_in_every_film():
    def colours(part):
        return part.texture[:3].sum((1, 2)) / part.texture[3].sum()

    films = MovingPhotographs(9, num_frames=2, size=32, seed=1, cast=True, num_parts=(3, 3))
    first, second = (films._scene(index)[0] for index in range(2))
    cast = np.array(sorted(colours(part).tolist() for part in first.parts))
    again = np.array(sorted(colours(part).tolist() for part in second.parts))
    np.testing.assert_allclose(again, cast, rtol=0.02)
    assert not np.allclose(first.ground.mean((1, 2)), second.ground.mean((1, 2)))

    films = MovingPhotographs(9, num_frames=2, size=32, seed=1, cast=True, num_parts=(1, 1))
    alone = [colours(films._scene(index)[0].parts[0]) for index in range(9)]
    players = [np.abs(cast - one).max(1).argmin() for one in alone]
    np.testing.assert_allclose(alone, cast[players], rtol=0.02)
    assert set(players) == {0, 1, 2}


def test_the_cast_before_pictures_of_mine():
    white = np.full((40, 50, 3), 255, np.uint8)
    films = MovingPhotographs(1, num_frames=2, size=32, photographs=[white], cast=True)
    corner = films[0]["frames"][:, :2, :2]
    assert corner.min() > 250
