"""Frames from a source picture and keypoints of driving frames, in compiled batches."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator

import jax
import numpy as np
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.motion import Keypoints, hull_scale, relative_motion

MODES = ("relative", "absolute")
SCALES = ("adapt", "none")


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Generated frames and what the network knew.

    Attributes:
        frames: (N, H, W, 3) in [0, 1].
        deformed: (N, H, W, 3) the source under the flow alone.
        deformation: (N, h, w, 2) where each place comes from in the source.
    """

    frames: np.ndarray
    deformed: np.ndarray
    deformation: np.ndarray


class Animator:
    """Detector and generator, compiled for batches of one size.

    Args:
        model: has `kp_detector` and `generator`.
        batch_size: frames at a time; shorter batches are filled up.

    Raises:
        ValueError: there are no frames in a batch.
    """

    def __init__(self, model, *, batch_size: int = 8):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self._batch_size = batch_size
        graphs, self._states = {}, {}
        for name in ("kp_detector", "generator"):
            graphs[name], self._states[name] = nnx.split(getattr(model, name))

        @jax.jit
        def detect(state, frames):
            return nnx.merge(graphs["kp_detector"], state)(frames / jnp.float32(255))

        @jax.jit
        def encode(state, frames):
            return nnx.merge(graphs["generator"], state).encode(frames / jnp.float32(255))

        @jax.jit
        def render(state, features, source, kp_source, kp_driving):
            generator = nnx.merge(graphs["generator"], state)
            # One source for all frames: encoded once.
            count = len(kp_driving.value)
            features, source, kp_source = jax.tree.map(
                lambda x: jnp.broadcast_to(x, (count, *x.shape[1:])),
                (features, source / jnp.float32(255), kp_source),
            )
            made = generator.render(features, source, kp_source, kp_driving)
            return made.prediction, made.deformed, made.motion.deformation

        self._detect, self._encode, self._render = detect, encode, render

    def keypoints(self, frames: np.ndarray) -> Keypoints:
        """Keypoints of frames uint8 (T, H, W, 3), or floats on the same scale."""
        parts = [self._detect(self._states["kp_detector"], b) for b in self._batches(frames)]
        return jax.tree.map(lambda *x: np.concatenate(x)[: len(frames)], *parts)

    def render(
        self, source: np.ndarray, kp_source: Keypoints, kp_driving: Keypoints
    ) -> Iterator[Pictures]:
        """Shows the source in the pose of each driving frame.

        Args:
            source: uint8 (H, W, 3).
            kp_source: of the source, one frame.
            kp_driving: of T frames.

        Yields:
            Batches of the T frames, in order.
        """
        parts = (
            jax.tree.map(lambda x, a=start: x[a : a + self._batch_size], kp_driving)
            for start in range(0, len(kp_driving.value), self._batch_size)
        )
        return self._render_batches(source, kp_source, parts)

    def transfer(
        self,
        source: np.ndarray,
        kp_source: Keypoints,
        driving: Iterable[np.ndarray],
        move: Callable[[Keypoints], Keypoints],
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Shows the source in the pose of driving frames that come one by one.

        No more than one batch is held, of however long a film.

        Args:
            source, kp_source: as `render` takes them.
            driving: frames uint8 (H, W, 3).
            move: from keypoints of driving frames to those that the source shall have.

        Yields:
            Each driving frame, and the generated one in [0, 1].
        """
        # The same batches twice: for the keypoints, and beside what is made of them.
        batches, again = itertools.tee(self.batches(driving))
        moved = (move(self.keypoints(batch)) for batch in batches)
        made = self._render_batches(source, kp_source, moved)
        for batch, pictures in zip(again, made, strict=True):
            yield from zip(batch, pictures.frames, strict=True)

    def batches(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Frames that come one by one, stacked to (N, H, W, 3) of at most a batch."""
        frames = iter(frames)
        while batch := list(itertools.islice(frames, self._batch_size)):
            yield np.stack(batch)

    def _render_batches(
        self, source: np.ndarray, kp_source: Keypoints, parts: Iterable[Keypoints]
    ) -> Iterator[Pictures]:
        state, source = self._states["generator"], np.asarray(source)[None]
        features = self._encode(state, source)
        for part in parts:
            count = len(part.value)
            filled = jax.tree.map(self._filled, part)
            made = self._render(state, features, source, kp_source, filled)
            yield Pictures(*(np.asarray(array, np.float32)[:count] for array in made))

    def _batches(self, frames: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(frames), self._batch_size):
            yield self._filled(frames[start : start + self._batch_size])

    def _filled(self, x: np.ndarray) -> np.ndarray:
        missing = self._batch_size - len(x)
        return np.concatenate([x, np.repeat(x[-1:], missing, 0)]) if missing else x


def moved_keypoints(
    source: Keypoints,
    driving: Keypoints,
    *,
    mode: str = "relative",
    scale: str = "adapt",
    initial: Keypoints | None = None,
) -> Keypoints:
    """Where the source's keypoints go.

    Args:
        source: of the source, one frame.
        driving: of T driving frames.
        mode: "relative", the movement since the initial frame; or "absolute", the driving
            subject's own places.
        scale: "adapt" multiplies translations by how much larger the source is than the driving
            subject; "none" does not. Relative mode only.
        initial: of the driving frame whose pose is the source's, one frame; None: the first of
            `driving`. Relative mode only.

    Raises:
        ValueError: an option is unknown, or the initial keypoints have no extent or Jacobians
            without inverse.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}")
    if mode == "absolute":
        return driving
    if initial is None:
        initial = jax.tree.map(lambda x: x[:1], driving)
    try:
        factor = hull_scale(source, initial) if scale == "adapt" else 1.0
    except ValueError as error:
        raise ValueError(f"scale cannot adapt, none is without it: {error}") from error
    moved = relative_motion(source, driving, initial, scale=factor)
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(moved)):
        raise ValueError(
            "mode relative needs Jacobians of the initial driving frame that have inverses; take "
            "another initial frame, or mode absolute"
        )
    return moved
