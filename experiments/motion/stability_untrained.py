"""Networks with random weights: what resampling does to them, without the chance of training."""

import jax
import ml_collections
import numpy as np
from flax import nnx

from aa_jax.data.moving_photographs import MovingPhotographs
from experiments.motion import networks

# Arguments of the quickstart's config. The same seed draws the same weights for both.
QUICKSTART = {"plain": "", "anti-aliased": "antialias=blur"}

_SEED = 2**22  # of the films, far from all others
_FILMS = 8
_PASSES = 40  # what running statistics start with has then shrunk to a 70th


def draw(config: ml_collections.ConfigDict, seed: int) -> networks.TrainedMotion:
    """Networks with random weights, and statistics of batch normalisation that fit the films.

    Without these signals fade from layer to layer, and keypoints stay in the centre.
    """
    model = networks.MotionModel(config, rngs=nnx.Rngs(seed))
    size = config.data.frame_size
    options = dict(num_frames=2, num_parts=(1, 1), cast=True, size=size, seed=_SEED)
    films = MovingPhotographs(_FILMS, **options)
    frames = np.stack([films.frames(i, (0, 1)) for i in range(len(films))]) / np.float32(255)
    graph, state = nnx.split(model)

    @jax.jit
    def normalise(state, source, driving):
        model = nnx.merge(graph, state)
        points = [model.kp_detector(x, train=True) for x in (source, driving)]
        model.generator(source, *points, train=True)
        return nnx.state(model)

    for _ in range(_PASSES):
        state = normalise(state, frames[:, 0], frames[:, 1])
    model = nnx.merge(graph, state)
    source = f"quickstart, not trained, seed {seed}"
    return networks.TrainedMotion(model.kp_detector, model.generator, size, source, config)
