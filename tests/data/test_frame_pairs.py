"""Pairs of frames: order, flips and colours, and their way through the loader."""

import numpy as np
import pytest

from aa_jax.data import DataError, make_loader
from aa_jax.data.frame_pairs import ColourJitter, FramePairs, HeldVideos, magnify, rotate_hue

NUM_FRAMES = (5, 9, 1, 3)


class Marked:
    """Films whose pixels say what they are: (film, time, column)."""

    name = "marked"

    def __init__(self, groups=((0,), (1,), (2,), (3,))):
        self.groups = groups

    def __len__(self):
        return 4

    def __getitem__(self, index):
        frames = self.frames(index, range(NUM_FRAMES[index]))
        landmarks = np.zeros((len(frames), 0, 2), np.float32)
        return {"frames": frames, "landmarks": landmarks, "visible": landmarks[..., 0] > 0}

    def num_frames(self, index):
        return NUM_FRAMES[index]

    def frames(self, index, times):
        return np.stack(
            [[[(index, t, x) for x in range(4)] for _ in range(2)] for t in times]
        ).astype(np.uint8)


def test_pairs_are_sorted_then_flipped_in_time_or_space():
    pairs = FramePairs(Marked(), repeats=1500, jitter=None)
    seen = {"reversed": 0, "mirrored": 0, "same": 0}
    times = []
    for index in range(1, len(pairs), 4):  # the film of nine frames
        sample = pairs[index]
        image = sample["image"]
        assert image.shape == (2, 2, 4, 3) and image.dtype == np.uint8
        assert sample["label"] == 1 and np.all(image[..., 0] == 1)
        first, second = image[:, 0, 0, 1]
        mirrored = image[0, 0, 0, 2] == 3
        np.testing.assert_array_equal(
            image[..., 2], np.tile(np.arange(4)[:: -1 if mirrored else 1], (2, 2, 1))
        )
        seen["reversed"] += first > second
        seen["mirrored"] += mirrored
        seen["same"] += first == second
        assert not (mirrored and first > second)
        times += [first, second]
    # Of 1500: half are reversed, unless both frames are the same (1 in 9); a quarter is mirrored.
    assert seen["reversed"] == pytest.approx(1500 * 4 / 9, abs=80)
    assert seen["mirrored"] == pytest.approx(1500 / 4, abs=70)
    assert seen["same"] == pytest.approx(1500 / 9, abs=50)
    assert np.bincount(times, minlength=9) == pytest.approx(np.full(9, 3000 / 9), abs=75)


def test_without_flips_the_source_comes_first():
    pairs = FramePairs(Marked(), repeats=50, flips="none", jitter=None)
    images = np.stack([pairs[index]["image"] for index in range(len(pairs))])
    assert np.all(images[:, 0, 0, 0, 1] <= images[:, 1, 0, 0, 1])
    assert np.all(images[..., 2] == np.arange(4))
    assert np.all(images[2::4, ..., 1] == 0)  # a film of a single frame


def test_a_pair_depends_on_index_and_seed_only():
    one, two = (FramePairs(Marked(), repeats=20, seed=seed) for seed in (1, 2))
    again = FramePairs(HeldVideos(Marked()), repeats=20, seed=1)
    order = [17, 3, 41]
    for index in order:
        np.testing.assert_array_equal(one[index]["image"], again[index]["image"])
    assert any(np.any(one[i]["image"] != two[i]["image"]) for i in order)


def test_a_group_counts_once_and_all_of_its_films_come():
    pairs = FramePairs(Marked(groups=((0, 1, 3), (2,))), repeats=90, jitter=None)
    assert len(pairs) == 180
    labels = np.array([pairs[index]["label"] for index in range(180)])
    assert np.all(labels[1::2] == 2)
    counts = np.bincount(labels[0::2], minlength=4)
    assert counts[2] == 0 and counts[[0, 1, 3]].min() > 15


def test_through_the_loader():
    pairs = FramePairs(Marked(), repeats=3)
    batch = next(make_loader(pairs, batch_size=6, seed=0, num_threads=0, as_bytes=True))
    assert batch["image"].shape == (6, 2, 2, 4, 3) and batch["image"].dtype == np.uint8
    assert batch["label"].shape == (6,)


class Fixed:
    """Stands for a generator whose draws are known."""

    def __init__(self, *draws):
        self.draws = draws

    def uniform(self, low, high, size):
        assert (low, high, size) == (-1, 1, 4)
        return np.array(self.draws)


def test_jitter_is_brightness_contrast_saturation_and_hue():
    """Against each change on its own, one after the other, on colours that are not clipped."""
    frames = np.random.default_rng(0).integers(90, 150, (2, 5, 6, 3)).astype(np.uint8)
    jitter = ColourJitter(brightness=0.2, contrast=0.3, saturation=0.5, hue=0.25)
    got = jitter(frames, Fixed(0.5, -1.0, 0.4, 1 / 3))

    def luma(colours):
        return 0.299 * colours[..., :1] + 0.587 * colours[..., 1:2] + 0.114 * colours[..., 2:]

    x = frames * 1.1
    x = 0.7 * x + 0.3 * luma(x).mean()
    x = 1.2 * x - 0.2 * luma(x)
    axis, angle = np.ones(3) / np.sqrt(3), 2 * np.pi * 0.25 / 3
    x = (  # Rodrigues' formula
        x * np.cos(angle)
        + np.cross(axis, x) * np.sin(angle)
        + axis * (x @ axis)[..., None] * (1 - np.cos(angle))
    )
    assert np.abs(got - x).max() < 0.51


def test_a_third_of_a_turn_exchanges_the_channels():
    np.testing.assert_allclose(
        rotate_hue(2 * np.pi / 3) @ np.diag([1, 2, 3]),
        [[0, 0, 3], [1, 0, 0], [0, 2, 0]],
        atol=1e-12,
    )
    turned = rotate_hue(0.7)
    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(turned @ np.ones(3), np.ones(3), atol=1e-12)


def test_jitter_has_the_strength_it_says():
    frames = np.full((1, 4, 4, 3), 200, np.uint8)
    rng = np.random.default_rng(3)
    means = [ColourJitter()(frames, rng).mean() for _ in range(300)]  # grey: brightness alone
    assert 179 <= min(means) < 182 and 218 < max(means) <= 221
    np.testing.assert_array_equal(ColourJitter(0, 0, 0, 0)(frames - 7, rng), frames - 7)


def test_held_videos_are_the_same_films():
    held = HeldVideos(Marked())
    assert len(held) == 4 and held.groups == Marked().groups and held.num_frames(1) == 9
    np.testing.assert_array_equal(held[3]["frames"], Marked()[3]["frames"])
    np.testing.assert_array_equal(held.frames(1, [7, 2]), Marked().frames(1, [7, 2]))
    with pytest.raises(DataError, match="first 2 of 4 films take 336 bytes, more than max_bytes"):
        HeldVideos(Marked(), max_bytes=335)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="repeats must be"):
        FramePairs(Marked(), repeats=0)
    with pytest.raises(ValueError, match="flips must be one of time-or-horizontal, none"):
        FramePairs(Marked(), flips="vertical")
    with pytest.raises(ValueError, match=r"hue must lie in \[0, 0.5\], got 0.6"):
        ColourJitter(hue=0.6)
    with pytest.raises(IndexError, match=r"\[0, 4\)"):
        FramePairs(Marked())[4]


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.25, 2.0])
def test_magnification_is_that_of_a_ramp(factor):
    # Brightness tells the column, so that every pixel says where it comes from.
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None] * 4, (2, 32, 64, 3))
    place = np.array([0.3, 0.75])
    shown = magnify(ramp, factor, place)[0, 16, :, 0] / 4
    left = 0.75 * (64 - 64 / factor)
    expected = np.clip(left + (np.arange(64) + 0.5) / factor - 0.5, 0, 63)
    inside = (expected > 3) & (expected < 60)
    assert shown.shape == (64,) and inside.sum() > 20
    np.testing.assert_allclose(shown[inside], expected[inside], atol=0.3)


def test_magnification_is_checked():
    with pytest.raises(ValueError, match="resize must be"):
        FramePairs(None, resize=(1.1, 0.9))
