"""Resizing weights against Pillow's own floats, and against closed forms."""

import numpy as np
import pytest
from PIL import Image

from aa_jax.filters.resampling import (
    centered_weights,
    resize_matrix,
    resize_weights,
    weights_matrix,
)

PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def pillow_matrix(in_size, out_size, method, box):
    """Row j is what becomes of the impulses: Pillow resizes the rows of an identity matrix."""
    impulses = Image.fromarray(np.eye(in_size, dtype=np.float32))
    area = None if box is None else (box[0], 0, box[1], in_size)
    return np.asarray(impulses.resize((out_size, in_size), PILLOW[method], box=area)).T


@pytest.mark.parametrize("method", PILLOW)
def test_equal_to_pillow(method):
    rng = np.random.default_rng(3)
    pairs = [(1, 1), (1, 7), (7, 1), (8, 16), (16, 8), (299, 64), (64, 299), (5, 64), (97, 13)]
    pairs += [tuple(rng.integers(1, 60, 2)) for _ in range(20)]
    for index, (before, after) in enumerate(pairs):
        box = None
        if index % 3 == 2:
            box = tuple(float(v) for v in np.sort(rng.uniform(0, before, 2)))
        ours = resize_matrix(before, after, method, box=box)
        theirs = pillow_matrix(before, after, method, box)
        np.testing.assert_allclose(ours, theirs, atol=6e-8, err_msg=f"{before} {after} {box}")


@pytest.mark.parametrize("method", PILLOW)
@pytest.mark.parametrize("antialias", [True, False])
def test_constants_stay(method, antialias):
    for before, after in [(9, 4), (4, 9), (100, 7), (1, 5)]:
        starts, taps = resize_weights(before, after, method, antialias=antialias)
        np.testing.assert_allclose(taps.sum(1), 1, atol=1e-14)
        assert starts.min() >= 0
        last = starts + np.array([np.flatnonzero(row)[-1] for row in taps])
        assert last.max() < before


def test_without_antialiasing_bilinear_is_linear_interpolation():
    signal = np.random.default_rng(0).normal(size=50)
    centers = (np.arange(13) + 0.5) * 50 / 13 - 0.5
    ours = resize_matrix(50, 13, "bilinear", antialias=False) @ signal
    np.testing.assert_allclose(ours, np.interp(centers, np.arange(50), signal), atol=1e-12)


def test_bicubic_reproduces_parabolas_inside():
    # Keys' kernel with a = -0.5 is the one that is exact for polynomials up to degree 2.
    places = np.arange(20.0)
    centers = (np.arange(70) + 0.5) * 20 / 70 - 0.5
    inside = (centers > 2) & (centers < 17)
    ours = resize_matrix(20, 70, "bicubic") @ (places**2 - 3 * places)
    np.testing.assert_allclose(ours[inside], (centers**2 - 3 * centers)[inside], atol=1e-11)


def test_reduction_removes_what_the_grid_cannot_hold():
    wave = np.cos(2 * np.pi * 0.3 * np.arange(256))  # a quarter of the samples hold 0.125
    aliased = resize_matrix(256, 64, "lanczos", antialias=False) @ wave
    filtered = resize_matrix(256, 64, "lanczos") @ wave
    assert np.abs(filtered[8:-8]).max() < 0.02 < 0.5 < np.abs(aliased).max()


def test_weights_cannot_be_overwritten():
    starts, taps = resize_weights(8, 4)
    with pytest.raises(ValueError, match="read-only"):
        taps[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        starts[0] = 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 4), "in_size must be a positive integer, got 0"),
        ((4, 2.5), "out_size must be a positive integer, got 2.5"),
        ((4, 2, "cubic"), "method must be one of nearest, box.* got 'cubic'"),
    ],
)
def test_mistakes_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        resize_weights(*arguments)


def test_bad_boxes_are_named():
    for box in [(2, 2), (-1, 3), (0, 5), (0.0, float("nan"))]:
        with pytest.raises(ValueError, match="box must be .begin, end. with 0 <= begin < end <= 4"):
            resize_weights(4, 2, box=box)


@pytest.mark.parametrize("method", ["box", "bilinear", "bicubic", "lanczos"])
def test_weights_around_places_of_ones_own(method):
    # At the places of resizing, they are its weights.
    ours = weights_matrix(*centered_weights(60, 15, method, first=1.5, step=4.0), 60)
    np.testing.assert_array_equal(ours, resize_matrix(60, 15, method))
    # On samples, the kernel is symmetric; at the borders, normalised.
    ours = weights_matrix(*centered_weights(61, 16, method, first=0.0, step=4.0), 61)
    np.testing.assert_allclose(ours.sum(1), 1, atol=1e-15)
    if method != "box":  # half open
        np.testing.assert_allclose(ours[8, 32 - 24 : 32], ours[8, 32 + 24 : 32 : -1], atol=1e-16)
        assert ours[8].argmax() == 32


def test_places_beyond_the_axis_are_named():
    for first, step in [(0.0, 5.0), (-1.0, 1.0), (0.0, 0.0), (float("nan"), 1.0)]:
        with pytest.raises(ValueError, match="first and step must place 3 outputs within"):
            centered_weights(8, 3, "bicubic", first=first, step=step)
    with pytest.raises(ValueError, match="method must have a kernel to centre, got 'nearest'"):
        centered_weights(8, 3, "nearest", first=0.0, step=1.0)
