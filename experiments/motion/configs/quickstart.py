"""A small motion model, trained on photographs that are moved here.

One subject moves before a still background: a face, a cat's face or a cup, round pieces of
photographs, as every published model knows one kind of subject.

Command:   python scripts/train.py --config experiments/motion/configs/quickstart.py
           ... quickstart.py:antialias=blur    with anti-aliased resampling in all networks
           ... quickstart.py:subjects=any      other cut-outs in every film, which is much harder
           ... quickstart.py:smoke             a few steps, to see it work
Time:      about 10 minutes on 2 CPU cores; smoke 1 minute.
Expected:  runs/motion/report.md: reconstruction L1 falls below half of what it is before training,
           and below that of a still source.
"""

import ml_collections

from aa_jax.training.config import ConfigError, parse_arg
from experiments.motion.configs.base import published


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Settings of the quickstart.

    Args:
        arg: any of `antialias=<none|blur|adaptive>`, `subjects=<cast|any>`, `seed=<integer>`,
            `smoke`.

    Raises:
        ConfigError: `arg` has another option, or subjects are neither.
    """
    arg = parse_arg(arg, antialias="none", subjects="cast", seed=0, smoke=False)
    if arg.subjects not in ("cast", "any"):
        raise ConfigError(f"subjects must be cast or any, got {arg.subjects!r}")
    config = published()
    differing = {"none": arg.antialias, "cast": arg.subjects}
    config.name = "_".join(["motion"] + [v for usual, v in differing.items() if v != usual])
    config.seed = arg.seed
    config.data.source = "moving_photographs"
    config.data.frame_size = 64
    config.data.id_sampling = False
    config.data.repeats = 10  # pairs of every film in an epoch
    config.data.jitter = 0.0
    config.data.hue = 0.0
    config.data.train_videos, config.data.test_videos = 400, 16
    config.data.num_frames = 12
    config.data.cast = arg.subjects == "cast"
    config.data.num_parts = (1, 1)
    config.data.drift = 0.0  # the background stays where it is

    # Frames of 64 pixels are what the published detector reduces those of 256 to.
    config.model.antialias = arg.antialias
    config.model.upsampling = "nearest" if arg.antialias == "none" else "binomial"
    config.model.detector.update(block_expansion=8, max_features=128, scale_factor=1.0)
    config.model.generator.update(block_expansion=16, max_features=64)
    # At so few pixels, and for so few steps, the generator had better not halve them: details come
    # back from a halved map only after long training.
    config.model.generator.update(num_down_blocks=0, num_bottleneck_blocks=2)
    config.model.dense_motion.update(block_expansion=16, max_features=128, num_blocks=4)
    config.model.dense_motion.scale_factor = 0.5

    config.loss.reconstruction = "laplacian"
    config.loss.scales = (1.0,)
    config.loss.reconstruction_weights = (100.0,) * 5

    config.loss.detector_statistics = "together"

    config.batch_size = 8
    config.steps = 1000
    config.optimizer.learning_rate = 1e-3
    config.optimizer.milestones = (1.5, 1.85)  # of 2 epochs
    config.every = ml_collections.ConfigDict({"log": 100, "evaluate": 500, "save": 200})
    if arg.smoke:
        config.name += "_smoke"
        config.steps, config.batch_size, config.eval_batch_size = 4, 2, 4
        config.data.train_videos, config.data.test_videos, config.data.num_frames = 4, 2, 4
        config.every = ml_collections.ConfigDict({"log": 2, "evaluate": 4, "save": 2})
    return config
