"""How far keypoints and landmarks are from where they should be."""

import numpy as np

# Each takes the differences (N, K, 2) to one number per sample.
_FORMS = {
    "sum_of_distances": lambda d: np.linalg.norm(d, axis=-1).sum(-1),
    "mean_distance": lambda d: np.linalg.norm(d, axis=-1).mean(-1),
    "sum_of_absolutes": lambda d: np.abs(d).sum((-2, -1)),
    "sum_of_squares": lambda d: (d**2).sum((-2, -1)),
    "root_sum_of_squares": lambda d: np.sqrt((d**2).sum((-2, -1))),
}
FORMS = tuple(_FORMS)


def keypoint_errors(
    baseline: np.ndarray, other: np.ndarray, *, form: str = "sum_of_distances"
) -> np.ndarray:
    """The keypoint error of every sample; see `keypoint_error`.

    Returns:
        float64 (N,).
    """
    if form not in _FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form!r}")
    return _FORMS[form](_differences(baseline, other, ("baseline", "other")))


def keypoint_error(
    baseline: np.ndarray, other: np.ndarray, *, form: str = "sum_of_distances"
) -> float:
    """How far keypoints move when the detector's input is downsampled otherwise.

    The study of downsampling methods for the First Order Motion model lost its formula; the mean
    over samples of the sum over keypoints of Euclidean distances, the default, is the one whose
    size fits its numbers. If all of ten keypoints move by 3/8 of a pixel of a 58-pixel map in x and
    y, the forms give .186 (sum_of_distances), .0186 (mean_distance), .263 (sum_of_absolutes), .0035
    (sum_of_squares) and .059 (root_sum_of_squares).

    Args:
        baseline: keypoints (N, K, 2), x and y, in units where the image spans [-1, 1].
        other: of the same images and shape.
        form: how the differences of one sample become a number: one of `FORMS`.

    Returns:
        The mean over samples.

    Raises:
        ValueError: the form is unknown, or arrays have other shapes.
    """
    return float(keypoint_errors(baseline, other, form=form).mean())


def average_keypoint_distance(
    target: np.ndarray,
    predicted: np.ndarray,
    *,
    target_found: np.ndarray | None = None,
    predicted_found: np.ndarray | None = None,
) -> float:
    """AKD as published: the mean absolute difference of coordinates, not a Euclidean distance.

    In the evaluation of the First Order Motion model (NeurIPS 2019, section 4.1), landmarks of real
    and generated frames come from another detector, in pixels. Of bodies only joints that were
    found in both frames count; here each of them has the same weight, whatever its frame.

    Args:
        target: landmarks of the real frames (N, L, 2).
        predicted: landmarks of the generated frames, of the same shape.
        target_found: bool (N, L), which ones were found; None for all.
        predicted_found: likewise.

    Returns:
        The mean over landmarks found in both, and over x and y; NaN if there are none.

    Raises:
        ValueError: arrays have other shapes.
    """
    differences, both = _compared(target, predicted, target_found, predicted_found)
    return float(np.abs(differences[both]).mean()) if both.any() else float("nan")


def mean_euclidean_distance(
    target: np.ndarray,
    predicted: np.ndarray,
    *,
    target_found: np.ndarray | None = None,
    predicted_found: np.ndarray | None = None,
) -> float:
    """The mean Euclidean distance of landmarks, as AKD's name says; arguments as there."""
    differences, both = _compared(target, predicted, target_found, predicted_found)
    return float(np.linalg.norm(differences[both], axis=-1).mean()) if both.any() else float("nan")


def missing_rate(target_found: np.ndarray, predicted_found: np.ndarray) -> float:
    """MKR: of the landmarks found in real frames, the share not found in generated ones.

    Args:
        target_found: bool (N, L).
        predicted_found: bool (N, L).

    Returns:
        0 to 1; NaN if no landmark was found in a real frame.

    Raises:
        ValueError: an array is not of truth values, or shapes differ.
    """
    shape = np.shape(target_found)
    target = _truth("target_found", target_found, shape)
    missed = target & ~_truth("predicted_found", predicted_found, shape)
    return float(missed.sum() / target.sum()) if target.any() else float("nan")


def _compared(target, predicted, target_found, predicted_found):
    """Differences (N, L, 2), and bool (N, L): which of them are of landmarks found in both."""
    differences = _differences(target, predicted, ("target", "predicted"))
    both = np.ones(differences.shape[:2], bool)
    for name, found in (("target_found", target_found), ("predicted_found", predicted_found)):
        if found is not None:
            both &= _truth(name, found, both.shape)
    return differences, both


def _differences(first, second, names: tuple[str, str]) -> np.ndarray:
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.ndim != 3 or first.shape[-1] != 2 or 0 in first.shape:
        raise ValueError(f"{names[0]} must be (N, keypoints, 2), got shape {first.shape}")
    if second.shape != first.shape:
        raise ValueError(
            f"{names[1]} must have the shape {first.shape} of {names[0]}, got {second.shape}"
        )
    return first - second


def _truth(name: str, values, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype != bool or values.shape != shape:
        raise ValueError(f"{name} must be bool {shape}, got {values.dtype} {values.shape}")
    return values
