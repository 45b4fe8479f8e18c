"""Transforms against Pillow, NumPy and closed-form distributions."""

import numpy as np
import pytest
from PIL import Image

from aa_jax.data import (
    CenterCrop,
    CircularShift,
    Compose,
    HorizontalFlip,
    Normalize,
    RandomCrop,
    RandomResizedCrop,
    ResizeShorterSide,
)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(3).integers(0, 256, (45, 70, 3), np.uint8)


def triangle_resize(image, size, axis):
    """Antialiased bilinear resize of one axis by its definition, in float64."""
    length = image.shape[axis]
    scale = length / size
    support = max(scale, 1.0)
    centers = (np.arange(size) + 0.5) * scale
    distance = np.abs(np.arange(length) + 0.5 - centers[:, None]) / support
    weights = np.maximum(1 - distance, 0)
    weights /= weights.sum(1, keepdims=True)
    return np.moveaxis(np.tensordot(weights, image.astype(np.float64), (1, axis)), 0, axis)


@pytest.mark.parametrize(("size", "shape"), [(20, (20, 31)), (45, (45, 70)), (60, (60, 93))])
def test_resize_is_antialiased_bilinear(image, size, shape):
    for picture, expected_shape in ((image, shape), (image.transpose(1, 0, 2), shape[::-1])):
        resized = ResizeShorterSide(size)(np.ascontiguousarray(picture))
        assert resized.shape[:2] == expected_shape
        oracle = triangle_resize(triangle_resize(picture, shape[0 if picture is image else 1], 0),
                                 expected_shape[1], 1)  # fmt: skip
        assert np.abs(resized - oracle).max() <= 1.01  # two roundings to 8 bits


def test_center_crop_offsets(image):
    rows, columns = np.indices(image.shape[:2])
    coded = np.stack([rows, columns, rows], -1).astype(np.uint8)
    assert tuple(CenterCrop(32)(coded)[0, 0, :2]) == (6, 19)  # round(6.5) = 6 (half to even), 19
    with pytest.raises(ValueError, match="CenterCrop.46. needs .* got 45 x 70"):
        CenterCrop(46)(image)


def test_random_resized_crop_is_pillows_box_resize(image):
    transform = RandomResizedCrop(24)
    for seed in range(5):
        top, left, height, width = transform.box(45, 70, np.random.default_rng(seed))
        box = (left, top, left + width, top + height)
        expected = Image.fromarray(image).resize((24, 24), Image.Resampling.BILINEAR, box=box)
        result = transform(image, np.random.default_rng(seed))
        np.testing.assert_array_equal(result, np.asarray(expected))


def test_random_resized_crop_boxes_have_the_stated_distribution():
    transform, rng = RandomResizedCrop(8, scale=(0.1, 0.4)), np.random.default_rng(0)
    boxes = np.array([transform.box(400, 400, rng) for _ in range(4000)])
    top, left, height, width = boxes.T
    assert np.all((top >= 0) & (left >= 0) & (top + height <= 400) & (left + width <= 400))
    area, ratio = height * width / 400**2, np.log(width / height)
    assert area.mean() == pytest.approx(0.25, abs=0.005)
    assert area.std() == pytest.approx(0.3 / np.sqrt(12), rel=0.03)
    assert ratio.mean() == pytest.approx(0, abs=0.01)
    assert ratio.std() == pytest.approx(2 * np.log(4 / 3) / np.sqrt(12), rel=0.03)


def test_random_resized_crop_falls_back_to_the_center():
    rng = np.random.default_rng(0)
    assert RandomResizedCrop(8, scale=(1.0, 1.0)).box(10, 100, rng) == (0, 43, 10, 13)
    assert RandomResizedCrop(8, scale=(1.0, 1.0)).box(100, 10, rng) == (43, 0, 13, 10)


def test_flip_mirrors_left_and_right_half_of_the_time(image):
    rng = np.random.default_rng(0)
    results = [HorizontalFlip()(image, rng) for _ in range(400)]
    mirrored = sum(np.array_equal(result, np.fliplr(image)) for result in results)
    same = sum(np.array_equal(result, image) for result in results)
    assert mirrored + same == 400
    assert abs(mirrored - 200) < 40  # four standard deviations
    np.testing.assert_array_equal(HorizontalFlip(1.0)(image, rng), np.fliplr(image))


@pytest.mark.parametrize(("mode", "name"), [("zero", "constant"), ("reflect", "reflect"),
                                            ("edge", "edge"), ("circular", "wrap")])  # fmt: skip
def test_random_crop_cuts_windows_of_the_padded_image(mode, name):
    image = np.random.default_rng(1).integers(0, 256, (6, 7, 3), np.uint8)
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode=name)
    windows = {padded[r : r + 6, c : c + 6].tobytes() for r in range(5) for c in range(6)}
    rng = np.random.default_rng(0)
    seen = {RandomCrop(6, padding=2, mode=mode)(image, rng).tobytes() for _ in range(600)}
    assert seen == windows  # every position, the last ones included, and nothing else


def test_circular_shift_reaches_every_roll():
    image = np.arange(5 * 5 * 3, dtype=np.uint8).reshape(5, 5, 3)
    steps = (-1, 0, 1)
    rolls = {np.roll(np.roll(image, r, 0), c, 1).tobytes() for r in steps for c in steps}
    rng = np.random.default_rng(0)
    assert {CircularShift(1)(image, rng).tobytes() for _ in range(200)} == rolls


def test_normalize(image):
    expected = (image / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    result = Normalize()(image)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="uint8 image, got float32"):
        Normalize()(result)


def test_compose_draws_from_one_generator(image):
    both = Compose(RandomCrop(20), HorizontalFlip())(image, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    np.testing.assert_array_equal(both, HorizontalFlip()(RandomCrop(20)(image, rng), rng))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ResizeShorterSide(0), "size must be a positive integer, got 0"),
        (lambda: CenterCrop(2.5), "size must be a positive integer, got 2.5"),
        (lambda: RandomResizedCrop(8, scale=(0.5, 0.1)), "scale must be"),
        (lambda: RandomResizedCrop(8, ratio=(0, 1)), "ratio must be"),
        (lambda: HorizontalFlip(1.5), "probability must lie"),
        (lambda: RandomCrop(8, padding=-1), "padding must not be negative"),
        (lambda: RandomCrop(8, mode="mirror"), "mode must be one of zero, reflect"),
        (lambda: CircularShift(0), "max_shift must be"),
        (lambda: Normalize(deviation=(1.0, 0.0, 1.0)), "deviation must be positive"),
    ],
)
def test_bad_options_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_random_crop_larger_than_the_image_is_named(image):
    with pytest.raises(ValueError, match="RandomCrop.50. needs .* got 47 x 72"):
        RandomCrop(50, padding=1)(image, np.random.default_rng(0))
