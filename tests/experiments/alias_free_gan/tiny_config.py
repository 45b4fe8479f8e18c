"""A run of seconds: both networks at 16 pixels with a few channels, everything of it switched on.

As a config file, `scripts/train.py --config .../tiny_config.py` trains it; one iteration is 8
images, so that `every.log_kimg` of 0.008 is every step.
"""

import ml_collections
from ml_collections import ConfigDict

from experiments.alias_free_gan.configs import base
from tests.training import runs

STEPS = 20
BATCH = 8


def command(workdir, *options, **settings) -> list[str]:
    """The command line that trains it."""
    file = "tests/experiments/alias_free_gan/tiny_config.py"
    return runs.command(file, workdir, settings, *options)


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Settings of a run that logs every step and saves every fourth."""
    config = base.get_config()
    config.name = "tiny"
    config.dtype = "float32"
    config.data.source = "photographs"
    config.data.resolution = 16
    config.data.num_images = 64
    config.generator.channel_base, config.generator.channel_max = 128, 8
    config.generator.z_dim = config.generator.w_dim = 8
    config.generator.plan = ConfigDict({"num_layers": 3, "num_critical": 1, "margin_size": 2})
    config.discriminator.channel_base, config.discriminator.channel_max = 128, 8
    config.discriminator.mbstd_group_size = 2
    config.batch_size = BATCH
    config.loss.r1_interval = 3
    config.ema.half_life_kimg = 0.02
    # Steered at once: 32 images move the probability by a twentieth.
    config.augment.kind = "adaptive"
    config.augment.transformations = "bgc"
    config.augment.target = 0.0
    config.augment.kimg = 0.64
    config.total_kimg = STEPS * BATCH / 1000
    config.every = ConfigDict(
        {
            "log_kimg": BATCH / 1000,
            "save_kimg": 4 * BATCH / 1000,
            "snapshot_kimg": 10 * BATCH / 1000,
        }
    )
    config.snapshot.grid = (2, 2)
    config.tensorboard = False
    config.metrics.names = ()
    config.metrics.best = ""
    return config
