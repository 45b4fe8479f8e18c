"""How well films are made again from one frame and their motion."""

import itertools
from collections.abc import Iterable

import numpy as np


def reconstruction_l1(target: Iterable[np.ndarray], predicted: Iterable[np.ndarray]) -> float:
    """L1 as published for motion models: the mean absolute error over every frame of every film.

    In the evaluation of the First Order Motion model (NeurIPS 2019, section 4.1) a film is made
    again from its first frame, which counts as well. A long film counts more than a short one.

    Args:
        target: films (T, H, W, C), each of its own length: floats in [0, 1], or uint8, which are
            divided by 255. Read one at a time, so they may come from a generator.
        predicted: as many of the same shapes.

    Returns:
        The mean over frames.

    Raises:
        ValueError: numbers of films, shapes or dtypes do not fit.
    """
    total, count = 0.0, 0
    for number, pair in enumerate(itertools.zip_longest(target, predicted)):
        if any(film is None for film in pair):
            raise ValueError(
                f"target and predicted must be as many films, got only {number} of "
                f"{'target' if pair[0] is None else 'predicted'}"
            )
        film = _unit_range(f"target[{number}]", pair[0])
        other = _unit_range(f"predicted[{number}]", pair[1])
        if film.shape != other.shape:
            raise ValueError(
                f"predicted[{number}] must have the shape {film.shape} of target[{number}], got "
                f"{other.shape}"
            )
        total += float(np.abs(film - other).mean((1, 2, 3), dtype=np.float64).sum())
        count += len(film)
    if not count:
        raise ValueError("target must hold at least one film, got none")
    return total / count


def _unit_range(name: str, film: np.ndarray) -> np.ndarray:
    film = np.asarray(film)
    if film.ndim != 4 or 0 in film.shape:
        raise ValueError(f"{name} must be (T, H, W, C), got shape {film.shape}")
    if film.dtype == np.uint8:
        return film / np.float32(255)
    if film.dtype.kind != "f":
        raise ValueError(f"{name} must be floats in [0, 1] or uint8, got {film.dtype}")
    return film


def average_euclidean_distance(target: np.ndarray, predicted: np.ndarray) -> float:
    """AED as published: the mean over frames of the *squared* distance of identity features.

    In spite of its name no root is taken in the evaluation of the First Order Motion model; see
    `mean_feature_distance` for the one with it.

    Args:
        target: features of the real frames (N, D), from a network that recognises identities.
        predicted: features of the generated frames, of the same shape.

    Raises:
        ValueError: arrays have other shapes.
    """
    return float(_squared_distances(target, predicted).mean())


def mean_feature_distance(target: np.ndarray, predicted: np.ndarray) -> float:
    """The mean over frames of the Euclidean distance of features; arguments as of AED."""
    return float(np.sqrt(_squared_distances(target, predicted)).mean())


def _squared_distances(target, predicted) -> np.ndarray:
    target, predicted = np.asarray(target, np.float64), np.asarray(predicted, np.float64)
    if target.ndim != 2 or 0 in target.shape:
        raise ValueError(f"target must be features (N, D), got shape {target.shape}")
    if predicted.shape != target.shape:
        raise ValueError(
            f"predicted must have the shape {target.shape} of target, got {predicted.shape}"
        )
    return ((target - predicted) ** 2).sum(1)
