"""Configuration T at 32 pixels beside an aliased twin, on patches of the embedded photographs.

Command:   python scripts/train.py --config experiments/alias_free_gan/configs/quickstart.py
           ... quickstart.py:smoke                   a few steps of everything, to see it work
           ... quickstart.py:variant=alias_free      one network only
Time:      about 7 minutes on 2 CPU cores, both networks, measurements included.
Expected:  runs/gan_quickstart/report.html and translation_strip.png: pictures of T move by any
           fraction of a pixel as told (EQ-T 59 dB), those of its twin do not (18 dB).
"""

import ml_collections
from ml_collections import ConfigDict

from aa_jax.training.config import parse_arg
from experiments.alias_free_gan.configs import base

# The twin interpolates linearly, activates on the maps' own grids, and has no margins. Both
# have as many weights.
VARIANTS = ("alias_free", "aliased")
_ALIASED = {"use_linear_upsampling": True, "lrelu_upsampling": 1, "margin_size": 0}


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Settings of the comparison, or with `variant=` of one network.

    Args:
        arg: any of `variant=<alias_free|aliased>`, `smoke`.
    """
    arg = parse_arg(arg, variant="", smoke=False)
    config = base.get_config()
    config.name = "gan_quickstart"
    config.dtype = "float32"
    config.data.source = "photographs"
    config.data.resolution = 32
    config.data.num_images = 20_000

    config.generator.channel_base = 256
    config.generator.channel_max = 16
    config.generator.z_dim = config.generator.w_dim = 64
    config.discriminator.channel_base = 512
    config.discriminator.channel_max = 32
    if arg.variant == "aliased":
        config.generator.plan = ConfigDict(_ALIASED)

    config.batch_size = 16
    config.loss.r1_gamma = 0.1
    config.ema.half_life_kimg = 2.0
    config.augment.kind = "none"  # patches are drawn anew, they cannot be learnt by heart
    config.total_kimg = 12.0
    config.every = ConfigDict({"log_kimg": 0.5, "snapshot_kimg": 4.0, "save_kimg": 2.0})
    config.snapshot.grid = (8, 4)
    config.metrics.equivariance_samples = 200
    config.comparison.variants = () if arg.variant else VARIANTS
    if arg.smoke:
        config.name = "gan_quickstart_smoke"
        config.batch_size = 4
        config.total_kimg = 0.032
        config.generator.channel_base, config.generator.channel_max = 128, 8
        config.discriminator.channel_base, config.discriminator.channel_max = 128, 8
        config.every = ConfigDict({"log_kimg": 0.008, "snapshot_kimg": 0.016, "save_kimg": 0.016})
        config.snapshot.grid = (2, 2)
        config.metrics.equivariance_samples = 8
    return config


def variant_config(config: ml_collections.ConfigDict, variant: str) -> ml_collections.ConfigDict:
    """The config of one network of a comparison."""
    config = ConfigDict(config.to_dict())
    config.name = f"{config.name}/{variant}"
    config.generator.plan = ConfigDict(_ALIASED if variant == "aliased" else {})
    config.comparison.variants = ()
    return config
