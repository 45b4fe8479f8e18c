"""How exactly keypoints follow a picture that moves by fractions of a pixel, or by whole ones.

A detector that is equivariant to shifts moves its keypoints by exactly what the picture moved.
Subsampling without a low-pass makes them wobble instead, with the periods of the strides.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from aa_jax.data.moving_layers import Canvas
from experiments.motion.stability_detectors import Detect

REDUCTION = 4  # pixels of a fine picture per pixel of a frame
# In pixels of the fine picture; the largest is the stride of five halvings.
SHIFTS = {"fine": np.arange(9), "whole": REDUCTION * np.arange(33)}
DIRECTIONS = ((1, 0), (0, 1), (1, 1), (1, -1))  # (right, down)
PERIODS = (32, 16, 8, 4, 2)

_POLYNOMIAL = 3  # degree of what `Tracks.wobble` takes for a smooth drift


def shifted_frames(fine: np.ndarray, shifts: np.ndarray, *, side: int) -> np.ndarray:
    """Frames of a picture that moves, without any border.

    The picture goes on beyond its own borders as its mirror image, so that content of the same kind
    enters. It is moved first and then reduced, by the motion model's own Gaussian.

    Args:
        fine: (H, W, 3), whose centre is that of the frame for shift 0.
        shifts: whole numbers (S, 2), (right, down) in fine pixels.
        side: of the frames in their own pixels.

    Returns:
        float32 (S, side, side, 3), on the scale of `fine`.
    """
    shifts = np.asarray(shifts)
    reach = -(-int(np.abs(shifts).max()) // REDUCTION)  # frame pixels
    # Reduced once for each fraction of a pixel, with room for whole pixels around.
    canvas = Canvas(side + 2 * reach + 2, REDUCTION)
    length = len(canvas.axis)
    begins = [(size - length) // 2 for size in fine.shape[:2]]
    margin = max(0, REDUCTION - min(begins))
    planes = np.asarray(fine, np.float32).transpose(2, 0, 1)
    planes = np.pad(planes, ((0, 0), (margin, margin), (margin, margin)), mode="symmetric")
    wholes, fractions = np.divmod(shifts, REDUCTION)
    reduced = {}
    for right, down in {tuple(fraction) for fraction in fractions.tolist()}:
        top, left = begins[0] + margin - down, begins[1] + margin - right
        crop = planes[:, top : top + length, left : left + length]
        reduced[right, down] = canvas.reduce(crop)
    frames = []
    for (right, down), fraction in zip(wholes.tolist(), fractions.tolist(), strict=True):
        top, left = reach + 1 - down, reach + 1 - right
        frames.append(reduced[tuple(fraction)][:, top : top + side, left : left + side])
    return np.ascontiguousarray(np.stack(frames).transpose(0, 2, 3, 1))


@dataclasses.dataclass(frozen=True)
class Tracks:
    """How keypoints followed pictures that moved; a track is a picture in a direction.

    Attributes:
        shifts: (S,) pixels of the frame along each moving axis, equally spaced from 0.
        deviation: (tracks, S, K, 2) pixels: how much further than its picture a keypoint moved.
        jacobian_change: (tracks, S, K) relative to the norm without shift, or None.
    """

    shifts: np.ndarray
    deviation: np.ndarray
    jacobian_change: np.ndarray | None = None

    def mean_by_shift(self) -> np.ndarray:
        """Mean distance (S,), in pixels."""
        return np.linalg.norm(self.deviation, axis=-1).mean((0, 2))

    def largest_by_shift(self) -> np.ndarray:
        """Largest distance (S,), in pixels."""
        return np.linalg.norm(self.deviation, axis=-1).max((0, 2))

    def jacobian_by_shift(self) -> np.ndarray | None:
        """Mean relative change (S,)."""
        return None if self.jacobian_change is None else self.jacobian_change.mean((0, 2))

    def wobble(self) -> float:
        """Root mean square distance from each track's best polynomial of degree 3, in pixels."""
        tracks = self.deviation.swapaxes(0, 1).reshape(len(self.shifts), -1)
        basis = np.polynomial.legendre.legvander(np.linspace(-1, 1, len(tracks)), _POLYNOMIAL)
        rest = tracks - basis @ np.linalg.lstsq(basis, tracks, rcond=None)[0]
        return float(np.sqrt(2 * np.mean(rest**2)))

    def by_period(self) -> dict[int, float]:
        """Root mean square deviation, in pixels, by the stride that explains it.

        A network that halves resolution n times is equivariant to shifts by multiples of 2^n, so
        what deviates repeats after 2^n pixels. Its harmonics that already repeat after a half of
        that are counted there. Empty unless shifts are whole and go through the longest period.
        """
        longest = PERIODS[0]
        if len(self.shifts) < longest or not np.allclose(self.shifts, np.arange(len(self.shifts))):
            return {}
        power = np.abs(np.fft.fft(self.deviation[:, :longest], axis=1) / longest) ** 2
        power = power.sum(-1).mean((0, 2))
        harmonics = np.arange(longest)
        parts = np.gcd(harmonics, longest)
        return {p: float(np.sqrt(power[parts == longest // p].sum())) for p in PERIODS}


def keypoint_tracks(
    detect: Detect,
    pictures: Iterable[np.ndarray],
    shifts: Sequence[int],
    *,
    side: int,
    directions: Sequence[tuple[int, int]] = DIRECTIONS,
) -> Tracks:
    """Moves pictures and compares how far keypoints move.

    Every motion is centred: its middle is the picture where it is.

    Args:
        detect: keypoints of frames.
        pictures: fine ones, (H, W, 3) from 0 to 255.
        shifts: in fine pixels, rising from 0.
        side: of the frames that `detect` takes.
        directions: (right, down), each -1, 0 or 1.
    """
    shifts = np.asarray(shifts)
    deviations, changes = [], []
    for fine in pictures:
        for direction in directions:
            steps = (shifts - shifts[-1] // 2)[:, None] * np.asarray(direction)
            found = detect(shifted_frames(fine, steps, side=side), steps / REDUCTION)
            moved = (steps - steps[0]) / REDUCTION
            deviations.append(found.value - found.value[0] - moved[:, None])
            if found.jacobian is not None:
                change = np.linalg.norm(found.jacobian - found.jacobian[0], axis=(-2, -1))
                changes.append(change / np.linalg.norm(found.jacobian[0], axis=(-2, -1)))
    return Tracks(shifts / REDUCTION, np.stack(deviations), np.stack(changes) if changes else None)


def joined(several: Sequence[Tracks]) -> Tracks:
    """All tracks of several measurements with the same shifts."""
    changes = [tracks.jacobian_change for tracks in several]
    return Tracks(
        several[0].shifts,
        np.concatenate([tracks.deviation for tracks in several]),
        None if any(change is None for change in changes) else np.concatenate(changes),
    )
