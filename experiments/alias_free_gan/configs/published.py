"""The published training settings, by name.

Command:   python scripts/train.py --workdir runs/afhq --config.data.source=data/afhqv2-512 \
               --config experiments/alias_free_gan/configs/published.py:setting=afhqv2-t
Data:      python scripts/prepare_data.py afhqv2.zip data/afhqv2-512 --resolution 512
Time:      published seconds per 1000 images on A100 stand in the tables below; 25 000 kimg in all,
           5000 already look reasonable.
Expected:  FID / EQ-T / EQ-R as published (Karras et al. 2021, tables 3 and 5):

    ffhqu-t    3.67 / 61.69 / 13.95     ffhqu-r    3.66 / 64.78 / 47.64
    ffhq-t     2.79 / 61.21 / 13.82     ffhq-r     3.07 / 64.76 / 46.62
    metfacesu-t 18.75 / 64.11 / 16.63   metfacesu-r 18.75 / 66.34 / 48.57
    metfaces-t 15.11 / 65.23 / 16.82    metfaces-r 15.33 / 64.86 / 46.81
    afhqv2-t   4.04 / 60.15 / 13.51     afhqv2-r   4.40 / 64.89 / 40.34
    ffhqu256-t 4.62 / 63.01 / 13.12     ffhqu256-r 4.50 / 66.65 / 40.48

Settings: `recommended-<resolution>-<t|r>` with `gpus=1|2|4|8`; `<data set>-<sg2|t|r>` for the data
sets above; `stylegan2-<auto|paper256|paper512|paper1024>`.
"""

import ml_collections

from aa_jax.training.config import ConfigError, parse_arg, suggest
from experiments.alias_free_gan.configs import base

# resolution -> weight of the R1 penalty.
_GAMMA = {128: 0.5, 256: 2.0, 512: 8.0, 1024: 32.0}
# (resolution, devices) -> images on a device at a time, (T, R); where absent, its whole share.
_PER_DEVICE = {
    (128, 1): (16, 16),
    (256, 1): (16, 8), (256, 2): (16, 8),
    (512, 1): (8, 4), (512, 2): (8, 4), (512, 4): (8, 4),
    (1024, 1): (4, 4), (1024, 2): (4, 4), (1024, 4): (4, 4),
}  # fmt: skip
# (resolution, devices) -> ticks of 4000 images from snapshot to snapshot; where absent, 50.
_SNAPSHOT_TICKS = {
    (128, 1): 10, (128, 2): 20, (256, 1): 10, (256, 2): 20, (512, 1): 10, (512, 2): 20,
    (1024, 1): 5, (1024, 2): 10, (1024, 4): 20,
}  # fmt: skip

_NO_AUGMENTATION = {"augment.kind": "none"}
_ADAPTIVE = {"augment.kind": "adaptive"}
_METFACES = {**_ADAPTIVE, "total_kimg": 5000.0, "every.snapshot_kimg": 40.0}
_ABLATION = {
    **_NO_AUGMENTATION,
    "batch_size": 64,
    "generator.channel_base": 16384,
    "discriminator.channel_base": 16384,
    "optimizer.discriminator_learning_rate": 0.0025,
}
# data set -> (resolution, weight of R1 for StyleGAN2, T and R, what else differs). 8 devices, with
# mirror images. MetFaces start from the pickles of FFHQ: set init_from.
_DATA_SETS = {
    "ffhqu": (1024, (10.0, 32.8, 32.8), _NO_AUGMENTATION),
    "ffhq": (1024, (10.0, 32.8, 32.8), _NO_AUGMENTATION),
    "metfacesu": (1024, (10.0, 16.4, 6.6), _METFACES),
    "metfaces": (1024, (5.0, 6.6, 3.3), _METFACES),
    "afhqv2": (512, (5.0, 8.2, 16.4), _ADAPTIVE),
    "ffhqu256": (256, (1.0, 1.0, 1.0), _ABLATION),
}
# Older presets of StyleGAN2-ADA -> what differs at a resolution and batch size.
_STYLEGAN2 = {
    "auto": {"generator.mapping_layers": 2},
    "paper256": {
        "data.resolution": 256,
        "batch_size": 64,
        "loss.r1_gamma": 1.0,
        "generator.channel_base": 16384,
        "discriminator.channel_base": 16384,
        "discriminator.mbstd_group_size": 8,
    },
    "paper512": {"data.resolution": 512, "batch_size": 64, "loss.r1_gamma": 0.5},
    "paper1024": {"data.resolution": 1024, "batch_size": 32, "loss.r1_gamma": 2.0},
}
SETTINGS = (
    *(f"recommended-{resolution}-{name}" for resolution in _GAMMA for name in ("t", "r")),
    *(f"{data}-{name}" for data in _DATA_SETS for name in ("sg2", "t", "r")),
    *(f"stylegan2-{name}" for name in _STYLEGAN2),
)


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """A published setting.

    Args:
        arg: `setting=<one of SETTINGS>`, and of the recommended ones `gpus=<1|2|4|8>`; for
            stylegan2-auto also `resolution=<pixels>`.

    Raises:
        ConfigError: there is no such setting.
    """
    arg = parse_arg(arg, setting="recommended-256-t", gpus=8, resolution=256)
    if arg.setting not in SETTINGS:
        raise ConfigError(f"setting {arg.setting!r}: {suggest(arg.setting, SETTINGS)}")
    *data, kind = arg.setting.split("-")
    if data[0] == "recommended":
        changes = _recommended(int(data[1]), kind, arg.gpus)
    elif data[0] == "stylegan2":
        changes = _older(kind, arg.resolution)
    else:
        changes = _of_data_set(data[0], kind)
    config = base.get_config()
    config.name = arg.setting
    config.update_from_flattened_dict(changes)
    # What follows from the rest.
    config.ema.half_life_kimg = config.batch_size * 10 / 32
    config.loss.blur_kimg = config.batch_size * 200 / 32
    config.metrics.names = ("fid50k_full",)
    config.metrics.best = "-fid50k_full"
    return config


def _kind(name: str) -> dict:
    """What the three generators differ in."""
    if name == "r":
        # Twice the channels of T, in the generator only; blurred at first.
        plan = {"generator.channel_base": 65536, "generator.channel_max": 1024}
        return {"generator.name": "r", "loss.blur_initial": 10.0, **plan}
    if name == "sg2":
        return {
            "generator.name": "stylegan2",
            "generator.mapping_layers": 8,
            "optimizer.generator_learning_rate": 0.002,
            "loss.style_mixing": 0.9,
            "loss.path_length_weight": 2.0,
        }
    return {}


def _recommended(resolution: int, kind: str, gpus: int) -> dict:
    if gpus not in (1, 2, 4, 8):
        raise ConfigError(f"gpus must be 1, 2, 4 or 8, got {gpus}")
    share = 32 // gpus
    per_device = _PER_DEVICE.get((resolution, gpus), (share, share))[kind == "r"]
    return {
        **_kind(kind),
        "data.resolution": resolution,
        "loss.r1_gamma": _GAMMA[resolution],
        "accumulation_steps": share // min(share, per_device),
        "every.snapshot_kimg": 4.0 * _SNAPSHOT_TICKS.get((resolution, gpus), 50),
    }


def _of_data_set(name: str, kind: str) -> dict:
    resolution, gammas, others = _DATA_SETS[name]
    changes = {
        **_kind(kind),
        **others,
        "data.resolution": resolution,
        "data.mirror": True,
        "loss.r1_gamma": gammas[("sg2", "t", "r").index(kind)],
    }
    if name == "ffhqu256" and kind == "sg2":
        changes["optimizer.generator_learning_rate"] = 0.0025
        changes["discriminator.mbstd_group_size"] = 8
    if name == "ffhqu256" and kind == "r":
        changes["generator.channel_base"] = 32768
    return changes


def _older(name: str, resolution: int) -> dict:
    changes = _kind("sg2") | _STYLEGAN2[name]
    if name == "auto":
        rate = 0.0025 if resolution < 1024 else 0.002
        base_channels = 16384 if resolution <= 256 else 32768
        changes |= {
            "data.resolution": resolution,
            "loss.r1_gamma": 0.0002 * resolution**2 / 32,
            "optimizer.generator_learning_rate": rate,
            "optimizer.discriminator_learning_rate": rate,
            "generator.channel_base": base_channels,
            "discriminator.channel_base": base_channels,
        }
    return changes
