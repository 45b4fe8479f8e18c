"""Detectors that say where keypoints are in pixels, for pictures that move.

In the frame, content that leaves and enters moves keypoints too, and so does the padding of
convolutions. `FieldDetector` takes both away: it looks at a field far larger than the frame,
through a soft window that moves along with the content.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np
from flax import nnx
from jax import numpy as jnp

from aa_jax.ops.downsample import antialias_interpolate

# Sides of the frame in a side of the field: with the quickstart's detectors the field's border then
# moves keypoints by a thousandth of a pixel; with 4 it would be half a pixel.
_FIELD = 6


@dataclasses.dataclass(frozen=True)
class Found:
    """Keypoints in pixels of the frame.

    Attributes:
        value: (N, K, 2), (x, y) from the frame's centre.
        jacobian: (N, K, 2, 2), or None.
    """

    value: np.ndarray
    jacobian: np.ndarray | None = None


# (frames (N, side, side, 3) from 0 to 255, shifts (N, 2) of their content in pixels) -> Found
Detect = Callable[[np.ndarray, np.ndarray], Found]


class FrameDetector:
    """A model's detector as an animation uses it, on frames of the size it knows.

    Args:
        detector: a `KeypointDetector`, or what has its `predictor`, `kp` and numbers.
        frame_size: of the frames.
        batch_size: frames at a time.
    """

    def __init__(self, detector, frame_size: int, *, batch_size: int = 11):
        self.side, self._batch_size = frame_size, batch_size
        self._pixels = half_side(detector, frame_size)
        graph, self._state = nnx.split(detector)

        @jax.jit
        def detect(state, frames):
            found = nnx.merge(graph, state)(frames / jnp.float32(255))
            return (found.value,) if found.jacobian is None else (found.value, found.jacobian)

        self._detect = detect

    def __call__(self, frames: np.ndarray, shifts: np.ndarray) -> Found:
        """Finds keypoints; the shifts do not matter, the frame stands still."""
        del shifts
        found = in_batches(functools.partial(self._detect, self._state), self._batch_size, frames)
        return Found(found[0] * self._pixels, *found[1:])


class FieldDetector:
    """The same detector without a frame: maps of a large field, read through a window.

    The window is a Gaussian, a quarter of the frame's side wide, whose centre moves along with the
    content. Arguments as of `FrameDetector`.
    """

    def __init__(self, detector, frame_size: int, *, batch_size: int = 3):
        self.side, self._batch_size = _FIELD * frame_size, batch_size
        graph, self._state = nnx.split(detector)
        scale, temperature = detector.scale_factor, detector.temperature

        @jax.jit
        def detect(state, frames, shifts):
            model = nnx.merge(graph, state)
            small = antialias_interpolate(frames / jnp.float32(255), scale)
            logits = model.kp(model.predictor(small, train=False)).astype(jnp.float32)
            # Places of the map's samples: pixels of the frame from the centre of the field. The
            # head has cut the same margin off both sides.
            count = logits.shape[1]
            axis = (jnp.arange(count, dtype=jnp.float32) - (count - 1) / 2) / scale
            squares = jnp.square(axis - shifts[..., None])  # (N, 2, count)
            exponents = -squares / (2 * (frame_size / 4) ** 2)
            window = exponents[:, 1, :, None, None] + exponents[:, 0, None, :, None]
            heat = jax.nn.softmax(logits / temperature + window, axis=(1, 2))
            return (
                jnp.stack(
                    [jnp.einsum("nhwk,w->nk", heat, axis), jnp.einsum("nhwk,h->nk", heat, axis)], -1
                ),
            )

        self._detect = detect

    def __call__(self, frames: np.ndarray, shifts: np.ndarray) -> Found:
        """Finds keypoints in fields whose content, and with it the window, moved by `shifts`."""
        function = functools.partial(self._detect, self._state)
        return Found(*in_batches(function, self._batch_size, frames, shifts.astype(np.float32)))


def half_side(detector, frame_size: int) -> float:
    """Pixels of the frame in one unit of the detector's coordinates, whose map has no margins."""
    small = -(-frame_size // round(1 / detector.scale_factor))
    kernel = detector.kp.kernel.shape[0]
    return (small - kernel) / 2 / detector.scale_factor


def in_batches(function: Callable, size: int, *arrays: np.ndarray) -> list[np.ndarray]:
    """Calls a compiled function on `size` entries at a time, the last batch filled up."""
    total, parts = len(arrays[0]), []
    for start in range(0, total, size):
        taken = [array[start : start + size] for array in arrays]
        missing = size - len(taken[0])
        if missing:
            taken = [np.concatenate([x, np.repeat(x[-1:], missing, 0)]) for x in taken]
        parts.append([np.asarray(part)[: size - missing] for part in function(*taken)])
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]
