"""Animation by another's movements (Siarohin et al., NeurIPS 2019, section 3.3)."""

import numpy as np
from jax import Array

from aa_jax.models.motion.keypoints import Keypoints, inverse_2x2, product_2x2


def relative_motion(
    source: Keypoints,
    driving: Keypoints,
    initial: Keypoints,
    *,
    scale: Array | float = 1.0,
    jacobians: str = "relative",
) -> Keypoints:
    """Moves the source's keypoints as the driving frame's moved since the initial one.

    Args:
      source: keypoints of the picture to animate.
      driving: of the current driving frames.
      initial: of the driving frame whose pose resembles the source's; N or 1 of them, like
        `source`.
      scale: factor on translations, see `hull_scale`.
      jacobians: "relative" applies their change since the initial frame to the source's;
        "absolute" takes the driving frames' own.

    Returns:
      Keypoints of as many frames as `driving` has.

    Raises:
      ValueError: there is no such option.
    """
    if jacobians not in ("relative", "absolute"):
        raise ValueError(f'jacobians must be "relative" or "absolute", got {jacobians!r}')
    value = source.value + scale * (driving.value - initial.value)
    if driving.jacobian is None:
        return Keypoints(value)
    if jacobians == "absolute":
        return Keypoints(value, driving.jacobian)
    change = product_2x2(driving.jacobian, inverse_2x2(initial.jacobian))
    return Keypoints(value, product_2x2(change, source.jacobian))


def hull_scale(source: Keypoints, initial: Keypoints) -> float:
    """How much larger the source is than the driving subject: roots of the hulls' areas.

    Args:
      source, initial: keypoints of one frame each, (1, K, 2).

    Raises:
      ValueError: there are fewer than three keypoints, or they lie on a line.
    """
    areas = [_hull_area(np.asarray(k.value[0], np.float64)) for k in (source, initial)]
    return float(np.sqrt(areas[0] / areas[1]))


def best_frame(source: np.ndarray, driving: np.ndarray) -> int:
    """The driving frame whose pose is nearest to the source's, whatever place and size.

    Landmarks are compared after their mean is taken off and they are divided by the root of
    their hull's area.

    Args:
      source: (L, 2) landmarks (x, y) of the source.
      driving: (T, L, 2) of the driving frames.

    Returns:
      The index of the frame.

    Raises:
      ValueError: shapes do not fit together, or landmarks lie on a line.
    """
    source, driving = np.asarray(source, np.float64), np.asarray(driving, np.float64)
    if source.ndim != 2 or source.shape[1] != 2 or driving.shape[1:] != source.shape:
        raise ValueError(
            "source and driving must be landmarks (L, 2) and (T, L, 2), got shapes "
            f"{source.shape} and {driving.shape}"
        )
    if not len(driving):
        raise ValueError("driving must have at least one frame, got none")
    wanted = _normalized(source)
    distances = [np.sum(np.square(_normalized(frame) - wanted)) for frame in driving]
    return int(np.argmin(distances))


def _normalized(points: np.ndarray) -> np.ndarray:
    points = points - points.mean(0)
    return points / np.sqrt(_hull_area(points))


def _hull_area(points: np.ndarray) -> float:
    # Imported here: only animations need it.
    from scipy.spatial import ConvexHull, QhullError

    try:
        return float(ConvexHull(points).volume)  # of a planar hull that is its area
    except (QhullError, ValueError) as error:
        raise ValueError(
            f"the {len(points)} keypoints have no hull: three at least are needed, not on a line "
            "and finite"
        ) from error
