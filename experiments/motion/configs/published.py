"""The published motion models, by name.

Command:   python scripts/train.py --workdir runs/vox \
               --config experiments/motion/configs/published.py:name=vox-256 \
               --config.data.source=/data/vox --config.loss.vgg19=/weights/vgg19-dcbb9e9d.pth
Time:      100 epochs of 75 visits to each person: days on several GPUs; the log shows the rate.
Data:      a folder with train/ and test/, each with .mp4, .gif or folders of frames; with
           id_sampling the part of a name in front of "#" is the person.
Expected:  vox-256, as published: L1 0.043, AKD 1.294, AED 0.140.
"""

import ml_collections

from aa_jax.training.config import ConfigError, parse_arg, suggest
from experiments.motion.configs.base import published

# What differs from vox-256. Batch sizes of the others are 27 to 36, by data set.
MODELS = {
    "vox-256": {},
    "vox-adv-256": {
        "loss.adversarial": 1.0,
        "model.discriminator.spectral_norm": "none",
        "model.discriminator.use_kp": True,
        "epochs": 150.0,
        "optimizer.milestones": (),
        "batch_size": 36,
    },
    "mgif-256": {
        "loss.adversarial": 1.0,
        "model.jacobian": "single",
        "data.id_sampling": False,
        "data.resize": (0.9, 1.1),
        "data.hue": 0.5,
        "batch_size": 36,
    },
}


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Settings of a published model.

    Args:
        arg: any of `name=<name in MODELS>`, `antialias=<none|blur|adaptive>` (anything but none
            also upsamples with a filter).
    """
    arg = parse_arg(arg, name="vox-256", antialias="none")
    if arg.name not in MODELS:
        raise ConfigError(f"there is no model {arg.name!r}; {suggest(arg.name, MODELS)}")
    config = published()
    config.name = arg.name
    config.update_from_flattened_dict(MODELS[arg.name])
    if arg.antialias != "none":
        config.name += f"-{arg.antialias}"
        config.model.antialias, config.model.upsampling = arg.antialias, "binomial"
    return config
