"""Landmarks of others' detectors, in `.npz` files that may come from anywhere."""

import os

import numpy as np

from aa_jax.data.array_file import ArrayFileError, read_arrays


def read_poses(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of a source picture and of a driving film, from arrays `source` and `driving`.

    Returns:
        (L, 2) and (T, L, 2): x and y, in any unit.

    Raises:
        ArrayFileError: the file or an array in it is not what is expected.
        OSError: it cannot be read.
    """
    arrays = _named(path, "source", "driving")
    source, driving = arrays["source"], arrays["driving"]
    if source.ndim != 2 or source.shape[1] != 2 or driving.shape[1:] != source.shape:
        raise ArrayFileError(
            f"{path}: source and driving must be (L, 2) and (T, L, 2), got {source.shape} and "
            f"{driving.shape}"
        )
    for name, landmarks in (("source", source), ("driving", driving)):
        if not np.isfinite(landmarks).all():
            raise ArrayFileError(f"{path}: {name} must be finite; some landmarks are not")
    return source, driving


def read_found(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of frames, and which of them were found, from `landmarks` and perhaps `found`.

    Returns:
        (N, L, 2) in pixels, and bool (N, L): all of them, where the file does not say.

    Raises:
        ArrayFileError, OSError: as `read_poses`.
    """
    arrays = _named(path, "landmarks")
    landmarks = arrays["landmarks"]
    if landmarks.ndim != 3 or landmarks.shape[-1] != 2 or 0 in landmarks.shape:
        raise ArrayFileError(f"{path}: landmarks must be (N, L, 2), got {landmarks.shape}")
    shape = landmarks.shape[:2]
    found = arrays.get("found", np.ones(shape, bool))
    if found.shape != shape or not np.isin(found, (0, 1)).all():
        raise ArrayFileError(
            f"{path}: found must be truth values {shape}, got {found.dtype} {found.shape}"
        )
    found = found.astype(bool)
    if not np.isfinite(landmarks[found]).all():
        raise ArrayFileError(f"{path}: landmarks that were found must be finite; some are not")
    return landmarks, found


def _named(path: str | os.PathLike, *names: str) -> dict[str, np.ndarray]:
    arrays = read_arrays(path)
    if not set(names) <= set(arrays):
        raise ArrayFileError(
            f"{path}: expected arrays {' and '.join(names)}, got "
            f"{' and '.join(sorted(arrays)) or 'none'}"
        )
    return arrays
