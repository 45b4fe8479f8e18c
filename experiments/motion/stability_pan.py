"""How smoothly generated frames move when their driving picture pans slowly.

What a pan should give is the first generated frame, moved. Detail that sticks to the grid of pixels
("texture sticking") or jumps from pixel to pixel is what aliasing in detector and generator adds.
"""

import dataclasses
from collections.abc import Iterable

import jax
import numpy as np
from flax import nnx
from jax import numpy as jnp
from scipy import ndimage

from aa_jax.metrics.decibels import pooled_decibels
from experiments.motion.animation import Animator
from experiments.motion.stability import REDUCTION, shifted_frames
from experiments.motion.stability_detectors import half_side, in_batches

# (right, down); the first is also shown as a strip.
DIRECTIONS = ((1, 0), (0, 1))
STEPS = 65  # frames of a pan, each one fine pixel further: a quarter of a frame's pixel
KINDS = {
    "detected": "source stands, keypoints found in the panning picture",
    "exact": "source stands, its own keypoints moved exactly",
    "all moved": "source and all keypoints move, in an animated pose",
}
_MARGIN = 6  # pixels at every border that are not compared
_ORDER = 5  # of the splines that move a frame by fractions


@dataclasses.dataclass(frozen=True)
class Pan:
    """Frames of one pan.

    Attributes:
        driving: float (T, H, W, 3) in [0, 1], the panning picture.
        made: by kind of `KINDS`, generated frames of the same shape.
    """

    driving: np.ndarray
    made: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Smoothness:
    """How far pans are from moving as they should, over pictures and directions.

    Attributes:
        shifts: (S,) whole pixels from 1 on.
        decibels: (S,) contrast of the frame without shift over the error of the shifted one, which
            is compared with the first moved by as much.
        psnr: (S,) the same with 1 for the contrast.
        acceleration: energy of second differences over time, as a multiple of what the moved first
            frame has; less than 1 lags behind, more flickers. Where frames are blocky, the
            multiple is one of a large number, so compare `flicker` of different models.
        flicker: root mean square second difference over time of what the frames are beyond the
            moved first one, as a share of its contrast; 0 is a smooth pan.
    """

    shifts: np.ndarray
    decibels: np.ndarray
    psnr: np.ndarray
    acceleration: float
    flicker: float


class Panner:
    """A model that generates the frames of pans.

    Args:
        model: has `kp_detector` and `generator`.
        frame_size: of frames.
        batch_size: frames at a time.
    """

    def __init__(self, model, frame_size: int, *, batch_size: int = 13):
        self._side, self._batch_size = frame_size, batch_size
        self._animator = Animator(model, batch_size=batch_size)
        self._half = half_side(model.kp_detector, frame_size)
        graph, self._state = nnx.split(model.generator)

        @jax.jit
        def generate(state, frames, source, driving):
            generator = nnx.merge(graph, state)
            return (generator(frames / jnp.float32(255), source, driving).prediction,)

        self._generate = generate

    def pan(
        self, fine: np.ndarray, pose: np.ndarray, direction: tuple[int, int], *, steps: int = STEPS
    ) -> Pan:
        """Pans over a fine picture (H, W, 3), and animates it to the pose of another, (H, W, 3)."""
        moved = np.arange(steps)[:, None] * np.asarray(direction)
        frames = shifted_frames(fine, moved, side=self._side)
        keypoints = self._animator.keypoints(frames)
        source = jax.tree.map(lambda x: x[:1], keypoints)
        still = shifted_frames(pose, moved[:1], side=self._side)
        exact = self._moved(source, moved)
        posed = self._moved(self._animator.keypoints(still), moved)
        made = {"detected": self._render(frames[0], source, keypoints)}
        made["exact"] = self._render(frames[0], source, exact)

        def generate(*arrays):
            points = jax.tree.unflatten(jax.tree.structure(exact), arrays[1 : 1 + leaves])
            other = jax.tree.unflatten(jax.tree.structure(exact), arrays[1 + leaves :])
            return self._generate(self._state, arrays[0], points, other)

        leaves = len(jax.tree.leaves(exact))
        arrays = (frames, *jax.tree.leaves(exact), *jax.tree.leaves(posed))
        (made["all moved"],) = in_batches(generate, self._batch_size, *arrays)
        return Pan(frames / 255, made)

    def _render(self, source, kp_source, kp_driving) -> np.ndarray:
        return np.concatenate(
            [part.frames for part in self._animator.render(source, kp_source, kp_driving)]
        )

    def _moved(self, keypoints, moved: np.ndarray):
        """Keypoints of one frame, moved by fine pixels (T, 2)."""
        offset = (moved / (REDUCTION * self._half)).astype(np.float32)
        repeated = jax.tree.map(lambda x: np.repeat(x, len(moved), 0), keypoints)
        return repeated.replace(value=repeated.value + offset[:, None])


def smoothness(pans: Iterable[tuple[np.ndarray, tuple[int, int]]]) -> Smoothness:
    """Measures pans, each float frames (T, H, W, 3) in [0, 1] and the direction they go.

    Raises:
        ValueError: frames are too small for how far they go.
    """
    signals, squares, counts = [], [], []
    made_energy = ideal_energy = rest_energy = contrast = 0.0
    for frames, direction in pans:
        frames = np.asarray(frames, np.float64)
        far = (len(frames) - 1) / REDUCTION
        ideal = moved_frames(frames[0], np.arange(len(frames)) / REDUCTION, direction)
        inner = _inner(frames.shape[1:3], int(np.ceil(far)), direction)
        made, ideal = frames[:, *inner], ideal[:, *inner]
        first = made[0] - made[0].mean((0, 1))
        signals.append(np.square(first).sum())
        counts.append(first.size)
        squares.append(np.square(made - ideal).sum((1, 2, 3))[REDUCTION::REDUCTION])
        made_energy += np.square(np.diff(made, 2, axis=0)).sum()
        ideal_energy += np.square(np.diff(ideal, 2, axis=0)).sum()
        rest_energy += np.square(np.diff(made - ideal, 2, axis=0)).sum()
        contrast += (len(made) - 2) * signals[-1]
    squares = np.stack(squares, 1)
    return Smoothness(
        np.arange(1, 1 + len(squares)),
        np.array([pooled_decibels(np.array(signals), s)[0] for s in squares]),
        np.array([pooled_decibels(np.array(counts, np.float64), s)[0] for s in squares]),
        float(made_energy / ideal_energy) if ideal_energy else float("nan"),
        float(np.sqrt(rest_energy / contrast)) if contrast else float("nan"),
    )


def moved_frames(frame: np.ndarray, amounts: np.ndarray, direction: tuple[int, int]) -> np.ndarray:
    """A frame (H, W, C), moved by so many pixels along (right, down): (T, H, W, C)."""
    moved = np.empty((len(amounts), *frame.shape))
    for channel in range(frame.shape[2]):
        coefficients = ndimage.spline_filter(frame[..., channel], _ORDER, mode="mirror")
        for amount, into in zip(amounts, moved[..., channel], strict=True):
            shift = direction[1] * amount, direction[0] * amount
            ndimage.shift(coefficients, shift, into, order=_ORDER, mode="mirror", prefilter=False)
    return moved


def _inner(size: tuple[int, int], far: int, direction: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns that show what the first frame showed, all along."""
    slices = []
    for length, along in zip(size, direction[::-1], strict=True):
        begin = _MARGIN + far * max(along, 0)
        end = length - _MARGIN - far * max(-along, 0)
        if end - begin < 2:
            raise ValueError(
                f"frames must have more than {2 * _MARGIN + far + 1} pixels along a pan of "
                f"{far} pixels, got {length}"
            )
        slices.append(slice(begin, end))
    return tuple(slices)
