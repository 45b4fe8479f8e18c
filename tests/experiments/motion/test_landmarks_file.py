"""Files of landmarks: what is read, and what is refused."""

import numpy as np
import pytest

from aa_jax.data.array_file import ArrayFileError
from experiments.motion.landmarks_file import read_found, read_poses


@pytest.fixture
def write(tmp_path):
    def save(**arrays):
        np.savez(tmp_path / "l.npz", **arrays)
        return tmp_path / "l.npz"

    return save


def test_poses_come_back(write, rng):
    source, driving = rng.normal(size=(5, 2)), rng.normal(size=(3, 5, 2))
    for expected, read in zip(
        (source, driving), read_poses(write(source=source, driving=driving)), strict=True
    ):
        np.testing.assert_array_equal(read, expected)


def test_landmarks_that_were_not_found_may_be_anything(write, rng):
    landmarks, found = rng.normal(size=(3, 5, 2)), rng.random((3, 5)) > 0.5
    landmarks[~found] = np.nan
    for kind in (bool, np.uint8):
        read, which = read_found(write(landmarks=landmarks, found=found.astype(kind)))
        np.testing.assert_array_equal(read, landmarks)
        np.testing.assert_array_equal(which, found)
        assert which.dtype == bool
    assert read_found(write(landmarks=np.zeros((2, 4, 2))))[1].all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"source": np.zeros((5, 2))}, "expected arrays source and driving, got source"),
        ({}, "got none"),
        ({"source": np.zeros((5, 3)), "driving": np.zeros((3, 5, 3))}, r"must be \(L, 2\)"),
        ({"source": np.zeros((5, 2)), "driving": np.zeros((3, 4, 2))}, r"got \(5, 2\) and \(3, 4"),
        ({"source": np.zeros((5, 2)), "driving": np.full((3, 5, 2), np.nan)}, "driving must be fi"),
    ],
)
def test_bad_poses(write, arrays, message):
    with pytest.raises(ArrayFileError, match=message):
        read_poses(write(**arrays))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"points": np.zeros((3, 5, 2))}, "expected arrays landmarks, got points"),
        ({"landmarks": np.zeros((3, 5))}, r"landmarks must be \(N, L, 2\), got \(3, 5\)"),
        ({"landmarks": np.zeros((0, 5, 2))}, "landmarks must be"),
        ({"landmarks": np.full((3, 5, 2), np.inf)}, "must be finite; some are not"),
        ({"landmarks": np.zeros((3, 5, 2)), "found": np.ones(3, bool)}, "found must be truth"),
        ({"landmarks": np.zeros((3, 5, 2)), "found": np.full((3, 5), 0.5)}, "found must be truth"),
    ],
)
def test_bad_landmarks(write, arrays, message):
    with pytest.raises(ArrayFileError, match=message):
        read_found(write(**arrays))
