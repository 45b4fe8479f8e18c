"""The keypoint detectors that the study can use, by the name on its command line."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import jax
from flax import nnx

from aa_jax.weights.motion import load_motion
from experiments.downsampling import analytic_detector

_SIZE = 64


@dataclasses.dataclass(frozen=True)
class Detector:
    """Finds keypoints in small images.

    Attributes:
      name: for reports.
      detect: small images (N, size, size, 3) in [0, 1] -> keypoints (N, K, 2), x and y in [-1, 1].
        Called outside of `jit`: it compiles itself.
      size: side of the small images, in pixels.
      map_size: how many pixels of the small image lie from -1 to 1, both counted: all of them, or
        those of a smaller heat map (58 of 64, where a 7 x 7 convolution without padding makes it).
    """

    name: str
    detect: Callable[[jax.Array], jax.Array]
    size: int = 64
    map_size: int = 64

    @property
    def pixel(self) -> float:
        """A pixel of the small image in the units of the keypoints."""
        return 2 / (self.map_size - 1)


def load_detector(source: str) -> Detector:
    """Opens a detector.

    Args:
      source: "analytic", for the ten band-pass keypoints that need no training; or a file of
        weights: a published motion checkpoint, or `model.safetensors` of a run of
        `experiments.motion`.

    Raises:
      ValueError: there is no such detector or file, it is another model's, or its frames are not
        reduced to 64 pixels.
    """
    if source == "analytic":
        return Detector("analytic (ten band-pass filters, untrained)", analytic_detector.detect)
    if not pathlib.Path(source).is_file():
        raise ValueError(f"detector must be 'analytic' or a file of weights, got {source!r}.")
    networks = load_motion(source)
    settings = networks.settings
    size = round(settings.frame_size * settings.detector_scale)
    if size != _SIZE:
        raise ValueError(
            f"detector must see frames of {_SIZE} pixels, that of {source} sees {size}."
        )
    graphdef, state = nnx.split(networks.kp_detector)

    @jax.jit
    def run(state, small):
        return nnx.merge(graphdef, state).keypoints_of(small).value

    # The convolution that reads the maps off has no padding.
    map_size = size - networks.kp_detector.kp.kernel.shape[0] + 1
    name = f"trained ({pathlib.Path(source).name}, {networks.kp_detector.num_kp} keypoints)"
    return Detector(name, functools.partial(run, state), size, map_size)
