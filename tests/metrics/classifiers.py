"""Tiny classifiers whose consistency is known, for the tests of this folder."""

import numpy as np


def two_classes(score: np.ndarray) -> np.ndarray:
    """Logits of class 1 where `score` is positive, of class 0 elsewhere."""
    return np.stack([-score, score], axis=-1)


def reads_one_pixel(images: np.ndarray) -> np.ndarray:
    """Class 1 where the upper left pixel is above one half: as shift-variant as can be."""
    return two_classes(np.asarray(images)[:, 0, 0, 0] - 0.5)


def reads_the_mean(images: np.ndarray) -> np.ndarray:
    """Exactly invariant to circular shifts of 0/1 images, whose sums are exact."""
    return two_classes(np.asarray(images, np.float64).sum((1, 2, 3)) - images[0].size / 2 - 0.25)


def constant(images: np.ndarray) -> np.ndarray:
    """Always class 1 of 3."""
    return np.tile([0.0, 1.0, 0.5], (len(images), 1))


def checkerboards(count: int, side: int) -> np.ndarray:
    """0/1 images (count, side, side, 1) that change with every odd step."""
    board = np.indices((side, side)).sum(0) % 2
    return np.tile(board[None, :, :, None], (count, 1, 1, 1)).astype(np.float32)
