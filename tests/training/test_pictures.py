"""aa_jax.training.pictures: grids of pictures, and PNG files."""

import os

import numpy as np
import pytest
from PIL import Image

from aa_jax.models.alias_free import to_uint8
from aa_jax.training.pictures import image_grid, save_png


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_grid_has_the_published_bytes_in_reading_order(channels, rng):
    images = rng.uniform(-1.3, 1.3, (6, 4, 5, channels)).astype(np.float32)
    grid = image_grid(images, 3, drange=(-1, 1))
    rows = [np.concatenate(list(to_uint8(images)[start : start + 3]), 1) for start in (0, 3)]
    np.testing.assert_array_equal(grid, np.concatenate(rows, 0))


def test_what_the_last_row_leaves_free_is_white(rng):
    grid = image_grid(rng.uniform(0, 0.5, (5, 2, 2, 3)), 4, drange=(0, 1))
    assert grid.shape == (4, 8, 3)
    assert (grid[2:, 2:] == 255).all() and (grid[2:, :2] <= 128).all()


def test_every_byte_stays_itself_and_halves_go_up():
    every = np.arange(256).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(image_grid(every.astype(np.uint8), 1, drange=(0, 255)), every[0])
    for levels in (every / 127.5 - 1, every / 255):
        low = float(levels.min())
        np.testing.assert_array_equal(image_grid(levels, 1, drange=(low, 1)), every[0])
    halves = np.array([0.5, 1.5, 254.5, 254.49]).reshape(1, 2, 2, 1)
    assert image_grid(halves, 1, drange=(0, 255)).ravel().tolist() == [1, 2, 255, 254]


def test_numbers_that_are_none_are_shown():
    image = np.array([np.nan, np.inf, -np.inf, 0.0]).reshape(1, 2, 2, 1)
    assert image_grid(image, 1, drange=(-1, 1)).ravel().tolist() == [0, 255, 0, 128]


@pytest.mark.parametrize(
    ("shape", "columns", "drange", "message"),
    [
        ((2, 4, 4), 1, (0, 1), r"images must be \(N, H, W, C\).*got shape \(2, 4, 4\)"),
        ((2, 4, 4, 2), 1, (0, 1), "with 1, 3 or 4 channels"),
        ((0, 4, 4, 3), 1, (0, 1), "none of them empty"),
        ((2, 4, 4, 3), 0, (0, 1), "columns must be at least 1, got 0"),
        ((2, 4, 4, 3), 1, (1, 1), r"drange must be \(black, white\)"),
        ((2, 4, 4, 3), 1, (0, np.inf), r"drange must be \(black, white\)"),
        ((2, 4, 4, 3), 5000, (0, 1), "images must give a picture of at most 16384 pixels"),
    ],
)
def test_grids_that_are_none(shape, columns, drange, message):
    with pytest.raises(ValueError, match=message):
        image_grid(np.zeros(shape), columns, drange=drange)


def test_images_that_are_no_numbers():
    with pytest.raises(ValueError, match="images must be real numbers, got complex128"):
        image_grid(np.zeros((1, 2, 2, 3), complex), 1, drange=(0, 1))


@pytest.mark.parametrize(
    ("shape", "mode"),
    [((5, 7), "L"), ((5, 7, 1), "L"), ((5, 7, 3), "RGB"), ((5, 7, 4), "RGBA")],
)
def test_a_png_is_exact(shape, mode, tmp_path, rng):
    picture = rng.integers(0, 256, shape, np.uint8)
    save_png(tmp_path / "a.png", picture)
    with Image.open(tmp_path / "a.png") as image:
        assert (image.format, image.mode) == ("PNG", mode)
        np.testing.assert_array_equal(np.asarray(image).reshape(shape), picture)
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2)), np.zeros((2, 2, 2), np.uint8), np.zeros((0, 2, 3), np.uint8)]
)
def test_arrays_that_are_no_picture(array, tmp_path):
    with pytest.raises(ValueError, match="array must be uint8"):
        save_png(tmp_path / "a.png", array)
    assert not os.listdir(tmp_path)
