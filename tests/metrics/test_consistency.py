"""The protocols: reference network, draws of shifts, classifiers with known answers."""

import numpy as np
import pytest

from aa_jax.metrics.consistency import (
    circular_consistency,
    classification_consistency,
    subpixel_consistency,
)
from tests.metrics.classifiers import (
    checkerboards,
    constant,
    reads_one_pixel,
    reads_the_mean,
    two_classes,
)

FILE = "anti_aliased/consistency_classification.npz"


def _reference_network(data):
    """conv 3x3 (stride 2, zero pad 1), ReLU, global mean, dense: float64 NumPy, NHWC."""

    def predict(images):
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        windows = windows[:, ::2, ::2]  # (N, h, w, in, 3, 3)
        maps = np.einsum("nhwiuv,oiuv->nhwo", windows, data["net_conv_w"]) + data["net_conv_b"]
        features = np.maximum(maps, 0).mean((1, 2))
        return features @ data["net_fc_w"].T + data["net_fc_b"]

    return predict


def _run_reference(data, calls=None):
    network = _reference_network(data)

    def predict(images):
        logits = network(images)
        if calls is not None:
            calls.append(logits)
        return logits

    return classification_consistency(
        predict,
        data["net_images"].transpose(0, 2, 3, 1),
        crop_size=32,
        max_offset=8,
        passes=int(data["net_epochs"]),
        batch_size=3,
        seed=int(data["net_seed"]),
    )


def test_reference_network_end_to_end(golden):
    data, calls = golden(FILE), []
    result = _run_reference(data, calls)
    np.testing.assert_array_equal(result.shifts.reshape(16, 2, 2), data["net_offsets"])
    logits = np.stack(calls).reshape(data["net_logits"].shape)
    np.testing.assert_allclose(logits, data["net_logits"], rtol=1e-12)
    np.testing.assert_allclose(
        result.batch_percent.ravel(), data["net_batch_agree_pct"], rtol=1e-13
    )
    np.testing.assert_array_equal(np.tile(result.batch_sizes, 8), data["net_batch_size"])
    np.testing.assert_allclose(result.percent, data["net_consistency_pct"], rtol=1e-13)


def test_offsets_are_the_published_stream(golden):
    stream = golden(FILE)["offset_stream_seed7_randint32"]
    images = checkerboards(10, 35)
    result = classification_consistency(
        constant, images, crop_size=4, max_offset=32, passes=20, batch_size=2, seed=7
    )
    np.testing.assert_array_equal(result.shifts.reshape(-1, 2), stream)


def test_crops_are_taken_at_the_drawn_offsets():
    # Every pixel holds its own coordinates, so that what the network sees names the position.
    coordinates = np.indices((12, 12)).transpose(1, 2, 0).astype(np.float32)
    seen = []

    def predict(images):
        seen.append(images[:, 0, 0])
        return np.zeros((len(images), 2))

    result = classification_consistency(
        predict,
        np.tile(coordinates, (5, 1, 1, 1)),
        crop_size=6,
        max_offset=7,
        views=3,
        passes=2,
        batch_size=4,
    )
    assert result.predicted.shape == (2, 3, 5)
    np.testing.assert_array_equal(result.batch_sizes, [4, 1])
    corners = np.stack(seen).reshape(2, 2, 3, 4, 2)
    np.testing.assert_array_equal(corners[:, :, :, 0], result.shifts)
    assert not corners[:, 1, :, 1:].any()  # the rows that fill up the last batch


@pytest.mark.parametrize(
    "measure",
    [
        lambda images: classification_consistency(constant, images, crop_size=8, max_offset=4),
        lambda images: circular_consistency(constant, images, max_shift=4),
        lambda images: subpixel_consistency(constant, images, crop_size=8, max_offset=4),
        lambda images: circular_consistency(reads_the_mean, images, max_shift=4, passes=5),
    ],
    ids=["crop", "circular", "subpixel", "circular-mean"],
)
def test_an_invariant_classifier_scores_100(rng, measure):
    images = (rng.random((9, 12, 12, 1)) > 0.5).astype(np.float32)
    assert measure(images).percent == 100


def test_one_pixel_reader_agrees_when_offsets_have_the_same_parity():
    result = classification_consistency(
        reads_one_pixel, checkerboards(7, 20), crop_size=8, max_offset=8, passes=6, batch_size=3
    )
    same_parity = np.ptp(result.shifts.sum(-1) % 2, axis=-1) == 0
    assert 0 < same_parity.mean() < 1
    np.testing.assert_array_equal(result.batch_percent, 100 * same_parity)


def test_circular_rolls_follow_the_drawn_shifts():
    result = circular_consistency(
        reads_one_pixel, checkerboards(6, 12), max_shift=6, passes=8, batch_size=2, seed=0
    )
    expected = np.random.RandomState(0).randint(-6, 6, (8, 3, 2, 2))
    np.testing.assert_array_equal(result.shifts, expected)
    same_parity = np.ptp(expected.sum(-1) % 2, axis=-1) == 0
    np.testing.assert_array_equal(result.batch_percent, 100 * same_parity)


def test_circular_crops_first_and_rolls_then():
    seen = []

    def predict(images):
        seen.append(images[0, ..., 0])
        return np.zeros((len(images), 2))

    image = np.arange(100, dtype=np.float32).reshape(1, 10, 10, 1)
    circular_consistency(predict, image, max_shift=3, crop_size=6, batch_size=1)
    center = image[0, 2:8, 2:8, 0]
    for view in seen:
        np.testing.assert_array_equal(np.sort(view, axis=None), np.sort(center, axis=None))


def test_subpixel_views_are_less_than_a_pixel_apart_and_interpolated():
    seen = []

    def predict(images):
        seen.append(np.array(images))
        return np.zeros((len(images), 2))

    # A cosine along the columns: where it is cut is known in closed form.
    phase = 2 * np.pi * 3 / 24
    image = np.tile(np.cos(phase * np.arange(24))[None, None, :, None], (2, 24, 1, 1))
    result = subpixel_consistency(
        predict, image, crop_size=8, max_offset=10, batch_size=1, seed=3, boundary="circular"
    )
    apart = result.shifts[:, :, 1] - result.shifts[:, :, 0]
    assert (0 <= apart).all() and (apart < 1).all() and (apart > 0).any()
    for views, batch in zip(result.shifts[0], np.array(seen).reshape(2, 2, 8, 8), strict=True):
        for (_, column), view in zip(views, batch, strict=True):
            wave = np.cos(phase * (column + np.arange(8)))
            np.testing.assert_allclose(view, np.tile(wave, (8, 1)), atol=1e-12)


def test_subpixel_tells_an_aliasing_reader_from_a_smoothing_one(rng):
    """On noise, every eighth pixel is another sample after half a pixel; a window's sum is not."""
    images = rng.standard_normal((32, 24, 24, 1)).astype(np.float32)
    window = np.outer(np.hanning(18)[1:-1], np.hanning(18)[1:-1])

    def aliasing(batch):
        return two_classes(batch[:, ::8, ::8, 0].sum((1, 2)))

    def smoothing(batch):
        return two_classes((batch[..., 0] * window).sum((1, 2)))

    options = {"crop_size": 16, "max_offset": 8, "passes": 4, "batch_size": 4}
    smooth = subpixel_consistency(smoothing, images, **options).percent
    aliased = subpixel_consistency(aliasing, images, **options).percent
    assert smooth > 90
    assert aliased < smooth - 15


def test_seed_decides_the_draws(rng):
    images = rng.random((4, 16, 16, 1))

    def shifts(seed):
        return classification_consistency(
            constant, images, crop_size=8, max_offset=8, seed=seed
        ).shifts

    np.testing.assert_array_equal(shifts(1), shifts(1))
    assert (shifts(1) != shifts(2)).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: classification_consistency(constant, x, crop_size=8, max_offset=10), "at least"),
        (lambda x: classification_consistency(constant, x[0], crop_size=8, max_offset=2), "batch"),
        (
            lambda x: classification_consistency(constant, x, crop_size=8, max_offset=2, views=1),
            "views",
        ),
        (
            lambda x: classification_consistency(
                constant, x, crop_size=8, max_offset=2, batch_size=0
            ),
            "batch_size",
        ),
        (lambda x: circular_consistency(constant, x, max_shift=0), "max_shift"),
        (lambda x: circular_consistency(constant, x, max_shift=2, crop_size=17), "17"),
        (lambda x: subpixel_consistency(constant, x, crop_size=8, max_offset=9), "17 pixels"),
        (
            lambda x: subpixel_consistency(constant, x, crop_size=8, max_offset=2, boundary="zero"),
            "boundary",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.zeros((3, 16, 16, 1), np.float32))
