"""The study's numbers against hand-written ones, with a detector that is easy to follow."""

import math

import numpy as np
import pytest

from experiments.downsampling import study
from experiments.downsampling.detector import Detector, load_detector
from experiments.downsampling.reductions import shifted_baseline
from tests.experiments.downsampling import methods

SIZE = 64
SMALL = Detector("centroids", lambda small: centroids(np.asarray(small)), 16, 16)


def centroids(small: np.ndarray) -> np.ndarray:
    """Two keypoints: centres of red and of green, as coordinates from -1 to 1."""
    places = np.linspace(-1, 1, small.shape[1])
    weights = small[..., :2] / small[..., :2].sum((1, 2), keepdims=True)
    x = np.einsum("nhwk,w->nk", weights, places)
    return np.stack([x, np.einsum("nhwk,h->nk", weights, places)], -1)


@pytest.fixture(scope="module")
def images():
    """Five images of blobs, far from the border."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    made = [
        np.stack([np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 60) for x, y in centres], -1)
        for centres in rng.uniform(26, 38, (5, 3, 2))
    ]
    return np.stack(made).astype(np.float32)


@pytest.fixture(scope="module")
def measured(images):
    ways = [methods.BASELINE, methods.AREA, methods.SUBSAMPLE, shifted_baseline()]
    lines = []
    found = study.measure(images, ways, SMALL.detect, batch_size=2, progress=lines.append)
    assert lines == ["2 of 5 images", "4 of 5 images", "5 of 5 images"]
    return {way.key: (way, found[way.key]) for way in ways}


def outcome(measured, key) -> study.Outcome:
    way, found = measured[key]
    return study.outcome(way, found, measured["gaussian/native"][1].keypoints, SMALL)


def test_keypoints_of_all_images_in_order(images, measured):
    expected = centroids(methods.area(images))
    np.testing.assert_allclose(measured["area/native"][1].keypoints, expected, atol=1e-6)


def test_the_baseline_has_no_error(measured):
    baseline = outcome(measured, "gaussian/native")
    assert baseline.error == baseline.residual == baseline.jumps == 0


@pytest.mark.parametrize("key", ["area/native", "shifted baseline/shifted"])
def test_a_shift_is_all_that_differs(measured, key):
    """Content moves left and up by 1.5 pixels: by 1.5 / 4 of 2 / 15 along both axes, twice."""
    found = outcome(measured, key)
    expected = 2 * math.sqrt(2) * 1.5 / 4 * 2 / 15
    assert study.shift_error(SMALL, 2, 1.5) == pytest.approx(expected)
    assert found.error == pytest.approx(expected, rel=1e-3)
    assert found.error_median == pytest.approx(expected, rel=1e-3)
    assert found.shift == pytest.approx((-1.5, -1.5), rel=1e-3)
    assert found.distance == pytest.approx(1.5 / 4 * math.sqrt(2), rel=1e-3)
    assert found.residual < 0.01 * expected


def test_statistics_of_given_keypoints():
    """Three images of two keypoints; in the last, one jumps."""
    moved = np.array([[[3, 4], [0, 0]], [[0, 1], [0, 1]], [[0, 0], [100, 0]]]) * SMALL.pixel
    found = study.outcome(
        methods.SUBSAMPLE, study.Measured(moved, np.ones(3) / 4, np.arange(3.0)), 0 * moved, SMALL
    )
    errors = np.array([5, 2, 100]) * SMALL.pixel
    assert found.error == pytest.approx(errors.mean())
    assert found.error_standard_error == pytest.approx(errors.std(ddof=1) / math.sqrt(3))
    assert found.error_median == pytest.approx(errors[0])
    assert found.distance == pytest.approx(107 / 6)
    assert found.jumps == pytest.approx(2 / 6)
    # Of two keypoints the median is the mean: half of the movement is common.
    assert found.residual == pytest.approx(np.mean([5, 0, 100]) * SMALL.pixel)
    assert (found.aliased, found.psnr) == (0.25, 1.0)


def test_psnr_of_what_is_restored(images, measured):
    """Smooth blobs come back; were samples put in the wrong place, they would not."""
    assert measured["area/native"][1].psnr.min() > 38
    wrong = study.Reduction("area", "native", methods.AREA.apply, 0.0)
    displaced = study.measure(images[:1], [wrong], SMALL.detect, batch_size=1)
    assert displaced["area/native"].psnr[0] < 32


@pytest.mark.parametrize(
    "detect, message",
    [
        (lambda x: np.zeros((len(x), 2)), "shape"),
        (lambda x: np.full((len(x), 1, 2), np.nan), "fin"),
    ],
)
def test_detectors_are_checked(images, detect, message):
    with pytest.raises(ValueError, match=message):
        study.measure(images, [methods.BASELINE], detect)


def test_unknown_detectors_are_named():
    with pytest.raises(ValueError, match="'telepathy'"):
        load_detector("telepathy")
    assert load_detector("analytic").pixel == pytest.approx(2 / 63)
