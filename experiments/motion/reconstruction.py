"""Reconstruction: every frame of a film from its first frame and its own keypoints.

Siarohin et al., "First Order Motion Model for Image Animation" (NeurIPS 2019), section 4: L1, AKD
and AED. The last two need landmarks and features from networks of others; in their place stand the
model's own keypoints, and a feature network where one is given.
"""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Mapping

import jax
import numpy as np

from aa_jax.ops.grid_sample import grid_sample
from experiments.motion.animation import Animator

# float frames (N, H, W, 3) in [0, 1] -> features (N, D)
Features = Callable[[np.ndarray], np.ndarray]

NAMES = {
    "l1": "reconstruction L1",
    "l1_still": "L1 of a source that stays still",
    "flow_error": "flow error at known landmarks (half sides)",
    "akd": "AKD, the model's own keypoints (half sides)",
    "aed": "AED, squared, of VGG-19's relu5_1",
}


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """What was measured, one entry per frame.

    Attributes:
        l1: mean absolute difference of a generated frame from the real one, in [0, 1].
        l1_still: the same of the source frame: what a model that moves nothing reaches.
        flow_error: mean distance, in half sides of the frame, between where the flow says that
            visible landmarks come from and where they do; empty where no landmarks are known.
        akd: mean absolute difference of the model's keypoints on generated and real frames.
        aed: squared distance of features; empty without a feature network.
    """

    l1: np.ndarray
    l1_still: np.ndarray
    flow_error: np.ndarray
    akd: np.ndarray
    aed: np.ndarray

    def means(self) -> dict[str, float]:
        """Means over all frames of what was measured."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: float(np.mean(values)) for name, values in fields.items() if values.size}


def evaluate(
    animator: Animator,
    films: Iterable[Mapping[str, np.ndarray]],
    *,
    features: Features | None = None,
) -> Reconstruction:
    """Reconstructs films and measures how well; of a film, one batch at a time is in floats.

    Args:
        animator: of the model.
        films: each with "frames" uint8 (T, H, W, 3), and "landmarks" (T, L, 2) and "visible"
            bool (T, L), where L may be 0.
        features: of another network, for AED.
    """
    found = collections.defaultdict(list)
    for film in films:
        frames = film["frames"]
        keypoints = animator.keypoints(frames)
        source = jax.tree.map(lambda x: x[:1], keypoints)
        flows, start = [], 0
        for part in animator.render(frames[0], source, keypoints):
            stop, made = start + len(part.frames), part.frames
            real = frames[start:stop] / np.float32(255)
            again = animator.keypoints(made * 255).value
            found["l1"].append(np.abs(made - real).mean((1, 2, 3)))
            still = frames[0] / np.float32(255)
            found["l1_still"].append(np.abs(still - real).mean((1, 2, 3)))
            found["akd"].append(np.abs(again - keypoints.value[start:stop]).mean((1, 2)))
            if features is not None:
                found["aed"].append(np.square(features(made) - features(real)).sum(1))
            if film["landmarks"].shape[1]:
                flows.append(part.deformation)
            start = stop
        if flows:
            flow = np.concatenate(flows)
            found["flow_error"].append(flow_errors(flow, film["landmarks"], film["visible"]))
    empty = [np.zeros(0)]
    names = [field.name for field in dataclasses.fields(Reconstruction)]
    return Reconstruction(**{name: np.concatenate(found[name] or empty) for name in names})


def flow_errors(flow: np.ndarray, landmarks: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Where flows lead from landmarks, compared with where those were in the first frame.

    Args:
        flow: (T, h, w, 2) coordinates in the first frame, -1 to 1.
        landmarks: (T, L, 2) in the same coordinates.
        visible: bool (T, L).

    Returns:
        Mean distance for each frame with a landmark that is visible there and in the first frame.
    """
    seen = visible & visible[:1]
    used = seen.any(1)
    if not used.any():
        return np.zeros(0)
    read = np.asarray(grid_sample(flow[used], landmarks[used], border="edge"))
    distances = np.linalg.norm(read - landmarks[:1], axis=-1)
    return (distances * seen[used]).sum(1) / seen[used].sum(1)
