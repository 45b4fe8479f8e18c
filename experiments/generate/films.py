"""What changes from frame to frame: closed walks through latents, and movements of the picture."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline

from aa_jax.models.alias_free import picture_transform


def walk_latents(keyframes: np.ndarray) -> Callable[[ArrayLike], np.ndarray]:
    """The smoothest closed curve through latents: a periodic cubic spline.

    The published tool interpolates copies of the keyframes laid end to end; this is what that
    converges to with ever more copies.

    Args:
        keyframes: (K, ...), passed at times 0, 1, ..., K - 1; at time K it is back at the first.

    Returns:
        A function from times, (T,), to latents, (T, ...), of the keyframes' dtype.

    Raises:
        ValueError: there are fewer than two keyframes.
    """
    if len(keyframes) < 2:
        raise ValueError(f"keyframes must be at least two, got {len(keyframes)}")
    closed = np.concatenate([keyframes, keyframes[:1]]).astype(np.float64)
    spline = CubicSpline(np.arange(len(closed)), closed, bc_type="periodic")
    return lambda times: spline(np.asarray(times, np.float64)).astype(keyframes.dtype)


def sweep_transforms(
    frames: int,
    *,
    translate: tuple[float, float] = (0.0, 0.0),
    rotate: float = 0.0,
    there_and_back: bool = True,
) -> np.ndarray:
    """Transforms that move the picture from where it is to an end point, for a film or a strip.

    Args:
        frames: how many.
        translate: end point (right, down), in units of the picture's shorter side.
        rotate: angle at the end point, in degrees, counter-clockwise.
        there_and_back: for a film that can be repeated: the picture swings to the end point and
            back, slowing down at both; whole turns go round at constant speed instead. False: in
            equal steps from the start to the end point, both included.

    Returns:
        float64 (frames, 3, 3), as generators take them.

    Raises:
        ValueError: there are too few frames, or a number is not finite.
    """
    least = 1 if there_and_back else 2
    if frames < least:
        raise ValueError(f"frames must be at least {least}, got {frames}")
    if there_and_back:
        turns = np.arange(frames) / frames
        moved = (1 - np.cos(2 * np.pi * turns)) / 2
        turned = turns if np.isfinite(rotate) and rotate % 360 == 0 else moved
    else:
        moved = turned = np.linspace(0, 1, frames)
    right, down = translate
    return np.stack(
        [
            picture_transform(translate=(right * way, down * way), rotate=rotate * angle)
            for way, angle in zip(moved.tolist(), turned.tolist(), strict=True)
        ]
    )
