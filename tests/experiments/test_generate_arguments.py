"""What users write on the command line, and the canvas that pictures lie on."""

import numpy as np
import pytest

from experiments.generate import arguments
from experiments.generate.grid import canvas_size, tile


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("7", [7]),
        ("0,3,10-13", [0, 3, 10, 11, 12, 13]),
        (" 5 , 2 - 3", [5, 2, 3]),
        ("1,1,0-1", [1, 1, 0, 1]),
        ("4294967295", [2**32 - 1]),
        ("4-4", [4]),
    ],
)
def test_seeds(text, seeds):
    assert arguments.parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "seeds must be numbers"),
        ("a", "seeds must be numbers from 0 to 4294967295"),
        ("-1", "got '-1'"),
        ("1,,2", "seeds must be numbers"),
        ("1-", "seeds must be numbers"),
        ("1.5", "seeds must be numbers"),
        ("٣", "seeds must be numbers"),  # a digit, but not one of ours
        ("9" * 5000, "seeds must be numbers"),
        ("3-1", "seeds: a range must run upwards, got '3-1'"),
        ("4294967296", "seeds must lie from 0 to 4294967295"),
        ("0-4294967295", "seeds must be at most 100000 numbers"),
        (",".join(["0-99999", "5"]), "seeds must be at most 100000 numbers"),
    ],
)
def test_seeds_that_are_none(text, message):
    with pytest.raises(ValueError, match=message):
        arguments.parse_seeds(text)


def test_a_message_names_the_argument():
    with pytest.raises(ValueError, match="^rows must be"):
        arguments.parse_seeds("x", name="rows")
    with pytest.raises(ValueError, match="^layers must"):
        arguments.parse_layers("x")


def test_translation_and_grid():
    assert arguments.parse_translation("-0.1, 2e-1") == (-0.1, 0.2)
    assert arguments.parse_grid("3x2") == (2, 3)
    assert arguments.parse_layers("0-2,5") == [0, 1, 2, 5]


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "nan,0", "0,inf", "1;2"])
def test_translations_that_are_none(text):
    with pytest.raises(ValueError, match="^translate must be two finite numbers"):
        arguments.parse_translation(text)


@pytest.mark.parametrize("text", ["", "3", "0x2", "2x0", "2x-1", "x", "axb", "2x3x4", "1" * 99])
def test_grids_that_are_none(text):
    with pytest.raises(ValueError, match="^grid must be WIDTHxHEIGHT"):
        arguments.parse_grid(text)


def test_tiles_lie_in_reading_order(rng):
    pictures = rng.integers(0, 200, (5, 3, 4, 3), np.uint8)
    canvas = tile(iter(pictures), 2, 3, gap=2)
    assert canvas.shape == (3 + 2 + 3, 4 + 2 + 4 + 2 + 4, 3)
    free = np.ones(canvas.shape[:2], bool)
    for index, picture in enumerate(pictures):
        top, left = 5 * (index // 3), 6 * (index % 3)
        np.testing.assert_array_equal(canvas[top : top + 3, left : left + 4], picture)
        free[top : top + 3, left : left + 4] = False
    assert (canvas[free] == 255).all()


def test_a_tiling_takes_no_more_than_it_needs():
    pictures = iter(np.zeros((5, 2, 2, 1), np.uint8))
    tile(pictures, 1, 2)
    assert len(list(pictures)) == 3


def test_canvases_that_are_none():
    assert canvas_size(16, 1, (1024, 1024)) == (16384, 1024)
    with pytest.raises(ValueError, match="columns must give a picture of at most 16384 pixels"):
        canvas_size(1, 17, (1024, 1024), name="columns")
    with pytest.raises(ValueError, match="at most 16384 pixels"):
        canvas_size(16, 1, (1024, 1024), gap=1)
    with pytest.raises(ValueError, match="at least one cell"):
        canvas_size(0, 3, (4, 4))
    with pytest.raises(ValueError, match="must not be empty"):
        tile([], 1, 1)
    with pytest.raises(ValueError, match=r"all have the shape \(2, 2, 1\)"):
        tile([np.zeros((2, 2, 1), np.uint8), np.zeros((2, 3, 1), np.uint8)], 1, 2)
