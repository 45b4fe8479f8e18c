"""A motion model of 3 keypoints and frames of 32 pixels, whose output depends on all it gets."""

import jax
import numpy as np
from flax import nnx

from experiments.motion import networks
from experiments.motion.configs import quickstart

SIDE = 32


def tiny_config():
    """The quickstart's, with next to nothing in it."""
    config = quickstart.get_config("smoke")
    config.data.frame_size = SIDE
    config.data.test_videos, config.data.num_frames = 1, 3
    config.model.num_kp = 3
    config.model.detector.update(block_expansion=4, num_blocks=2, max_features=8)
    config.model.generator.update(
        block_expansion=4, max_features=8, num_down_blocks=1, num_bottleneck_blocks=1
    )
    config.model.dense_motion.update(block_expansion=4, num_blocks=2, max_features=8)
    return config


def tiny_motion() -> networks.TrainedMotion:
    """Random weights, larger where a new network's would let inputs hardly matter."""
    config = tiny_config()
    model = networks.MotionModel(config, rngs=nnx.Rngs(0))
    heads = (model.kp_detector.kp, model.kp_detector.jacobian, model.generator.final)
    for number, (head, gain) in enumerate(zip(heads, (1.0, 0.1, 0.5), strict=True)):
        kernel = head.kernel[...]
        noise = jax.random.normal(jax.random.key(number), kernel.shape, kernel.dtype)
        head.kernel[...] = gain * noise
    return networks.TrainedMotion(model.kp_detector, model.generator, SIDE, "tiny", config)


def frames(count: int, seed: int = 0, *, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """Smooth moving pictures, uint8 (count, height, width, 3)."""
    rng = np.random.default_rng(seed)
    phases = rng.uniform(0, 2 * np.pi, (2, 3))
    rows, columns = np.mgrid[:height, :width] * (2 * np.pi / SIDE)
    time = np.arange(count)[:, None, None, None] * 0.4
    waves = np.sin(rows[..., None] + phases[0] + time) + np.cos(2 * columns[..., None] + phases[1])
    return np.rint(127.5 + 60 * waves).astype(np.uint8)
