"""The embedded set: disjoint regions, determinism, and crops that are what they say."""

import numpy as np
import pytest
from PIL import Image

from aa_jax.data import DataError, photographs
from aa_jax.data.photograph_files import CLASSES, load_photograph
from aa_jax.data.photographs import GUARD, split_bands


@pytest.fixture(scope="module")
def pictures():
    return [load_photograph(*row[1:]) for row in CLASSES]


@pytest.mark.parametrize("side", [(32, 0), (40, 8), (48, 16)])
def test_train_and_test_crops_keep_apart(side):
    size, margin = side
    corners = {}
    for split in ("train", "test"):
        source = photographs(split, size=size, crop_margin=margin, num_samples=4000)
        corners[split] = source.rectangles(np.arange(4000))
        assert np.all(corners[split][:, 3] == size + margin)
    for label in range(len(CLASSES)):
        train, test = (c[c[:, 0] == label] for c in (corners["train"], corners["test"]))
        # Signed horizontal gap between every pair of rectangles, margins included.
        right = train[:, None, 2] - (test[None, :, 2] + size + margin)
        left = test[None, :, 2] - (train[:, None, 2] + size + margin)
        assert np.maximum(left, right).min() >= GUARD


def test_bands_cover_the_photograph_but_for_the_guards():
    for width in (384, 470, 741):
        owner = np.zeros(width, int)
        for split in ("train", "test"):
            for left, right in split_bands(width, split):
                owner[left:right] += 1
        assert owner.max() == 1
        assert np.sum(owner == 0) == 4 * GUARD
        edges = np.flatnonzero(np.diff(owner))
        assert np.all(np.diff(edges)[1::2] == GUARD) or np.all(np.diff(edges)[::2] == GUARD)


def test_natural_color_crops_are_the_photographs_pixels(pictures):
    options = dict(size=36, color="rgb", contrast="natural", jitter=0.0)
    for split in ("train", "test"):
        source = photographs(split, **options)
        for index in (0, 1, 5, 500, len(source) - 1):
            label, row, column, side = source.rectangles([index])[0]
            expected = pictures[label][row : row + side, column : column + side]
            np.testing.assert_array_equal(source[index]["image"], expected)
            assert source[index]["label"] == label


def test_normalized_crops_match_a_direct_formula(pictures):
    source = photographs("train", size=40, jitter=0.0)
    for index in (3, 77, 4096):
        label, row, column, side = source.rectangles([index])[0]
        gray = np.asarray(Image.fromarray(pictures[label]).convert("L"), np.float64)
        crop = gray[row : row + side, column : column + side]
        expected = 127.5 + 48 * (crop - crop.mean()) / np.hypot(crop.std(), 4)
        image = source[index]["image"]
        assert np.ptp(image, axis=-1).max() == 0
        assert np.abs(image[..., 0] - np.clip(expected, 0, 255)).max() <= 0.51


def test_a_sample_depends_on_its_index_only():
    source = photographs("train", size=32, noise=0.05)
    images, labels = source.batch(np.arange(40)[::-1])
    for index in (0, 11, 39):
        np.testing.assert_array_equal(images[39 - index], source[index]["image"])
        assert labels[39 - index] == source[index]["label"]
    again = photographs("train", size=32, noise=0.05).batch(np.arange(40))[0]
    np.testing.assert_array_equal(again, images[::-1])
    other = photographs("train", size=32, noise=0.05, seed=1).batch(np.arange(40))[0]
    assert np.mean(np.any(other != again, axis=(1, 2, 3))) == 1


def test_jitter_and_noise_have_the_strength_they_say():
    plain = photographs("train", size=32, jitter=0.0).batch(np.arange(300))[0].astype(float)
    noisy = photographs("train", size=32, jitter=0.0, noise=0.04).batch(np.arange(300))[0]
    inside = (plain > 45) & (plain < 210)
    assert np.std((noisy - plain)[inside]) == pytest.approx(0.04 * 255, rel=0.02)
    means = photographs("train", size=32, jitter=0.5).batch(np.arange(3000))[0].mean((1, 2, 3))
    uniform_deviation = 64 * 0.5 / np.sqrt(3)
    assert means.mean() == pytest.approx(127.5, abs=2)
    assert means.std() == pytest.approx(uniform_deviation, rel=0.06)


def test_labels_are_balanced_and_test_positions_spread():
    source = photographs("test", size=32)
    assert len(source) == 2048
    rectangles = source.rectangles(np.arange(2048))
    counts = np.bincount(rectangles[:, 0], minlength=source.num_classes)
    assert counts.max() - counts.min() <= 1
    for label, (_, _, width, _, reduction) in enumerate(CLASSES):
        columns = rectangles[rectangles[:, 0] == label][:100, 2]
        for left, right in split_bands(width // reduction, "test"):
            assert np.sum((columns >= left) & (columns < right)) >= 10


def test_crops_have_detail_up_to_high_frequencies():
    """Natural, not smooth: a fair share of the contrast lies above half the Nyquist frequency."""
    images = photographs("test", size=40).batch(np.arange(1400))[0][..., 0] / 255
    spectrum = np.abs(np.fft.rfft2(images - images.mean((1, 2), keepdims=True))) ** 2
    frequency = np.hypot(np.fft.fftfreq(40)[:, None], np.fft.rfftfreq(40))
    share = spectrum[:, frequency > 0.25].sum() / spectrum.sum()
    assert 0.05 < share < 0.5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(size=80), "at most 70 pixels"),
        (dict(size=64, crop_margin=8), "smaller size or margin"),
        (dict(size=0), "size must be an integer"),
        (dict(size=32.0), "size must be an integer"),
        (dict(crop_margin=-1), "crop_margin must be"),
        (dict(num_samples=0), "num_samples must be"),
        (dict(color="gray"), "color must be one of grayscale, rgb"),
        (dict(contrast="high"), "contrast must be one of"),
        (dict(jitter=2.0), "jitter must lie"),
        (dict(noise=float("nan")), "noise must lie"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        photographs("train", **options)


def test_bad_split_and_index_are_named():
    with pytest.raises(ValueError, match="split must be one of train, test, got 'val'"):
        photographs("val")
    source = photographs("test", num_samples=5)
    for index in (5, -1):
        with pytest.raises(IndexError, match="5"):
            source[index]


def test_missing_scikit_image_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install scikit-image"):
        load_photograph("brick.png", 512, 512, 1)


def test_another_photograph_under_the_same_name_is_noticed():
    with pytest.raises(DataError, match="to be 100 by 512 pixels, got 512 by 512"):
        load_photograph("brick.png", 100, 512, 1)
    with pytest.raises(DataError, match="cannot read .*nothing.png"):
        load_photograph("nothing.png", 1, 1, 1)
