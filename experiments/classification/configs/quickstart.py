"""Plain, blur, adaptive and APS variants of one small ResNet on the embedded photographs.

Command:   python scripts/train.py
           python scripts/train.py --config experiments/classification/configs/quickstart.py
           ... quickstart.py:smoke                  a few steps of everything, to see it work
           ... quickstart.py:variant=blur,seed=1    one network only
Time:      about 8 minutes on 2 CPU cores (12 networks, evaluation and report); smoke 1 minute.
Expected:  runs/quickstart/report/report.md: every anti-aliased variant is more consistent under
           shifts than the plain network, at equal or better accuracy.
"""

import ml_collections

from aa_jax.training.config import parse_arg

VARIANTS = ("none", "blur", "adaptive", "aps")
SEEDS = (0, 1, 2)


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Settings of the comparison, or with `variant=` or `seed=` of one network.

    Args:
        arg: any of `variant=<none|blur|adaptive|aps|lps>`, `seed=<integer>`, `smoke`.
    """
    arg = parse_arg(arg, variant="", seed=-1, smoke=False)
    config = ml_collections.ConfigDict()
    config.experiment = "classification"
    config.name = "quickstart"
    config.seed = max(arg.seed, 0)
    config.dtype = "float32"
    config.init_from = ""  # file of weights to start from
    config.init_source = "torch"  # whose names it has: "torch" or "aa_jax"

    config.model = ml_collections.ConfigDict()
    config.model.name = "small_resnet"
    config.model.antialias = arg.variant or "none"
    config.model.width = 16
    config.model.stage_sizes = (1, 1, 1, 1)
    config.antialias = ml_collections.ConfigDict()
    config.antialias.filter_size = ml_collections.config_dict.placeholder(int)
    config.antialias.groups = 4
    # The predictor's batch statistics from the kept positions only: a quarter of the work.
    config.antialias.statistics = "kept"
    config.antialias.normalization = "per_group"

    config.data = ml_collections.ConfigDict()
    config.data.source = "photographs"
    config.data.train_split = "train"
    config.data.test_split = "test"
    config.data.image_size = 32
    config.data.resize = 32
    config.data.augmentation = "none"  # 100 fixed crops a class
    config.data.mean = (0.5, 0.5, 0.5)
    config.data.std = (0.25, 0.25, 0.25)
    config.data.train_options = ml_collections.ConfigDict({"size": 32, "num_samples": 1400})
    config.data.test_options = ml_collections.ConfigDict({"size": 32, "num_samples": 1024})

    config.batch_size = 64
    config.eval_batch_size = 256
    config.steps = 240
    config.epochs = 0.0  # counts where steps is 0
    config.label_smoothing = 0.0
    config.accumulation_steps = 1
    config.accumulation = "mean"
    config.ema_decay = ml_collections.config_dict.placeholder(float)

    config.optimizer = ml_collections.ConfigDict()
    config.optimizer.learning_rate = 0.1
    config.optimizer.schedule = "cosine"
    config.optimizer.step_epochs = 30
    config.optimizer.step_factor = 0.1
    config.optimizer.warmup_epochs = 1.0
    config.optimizer.momentum = 0.9
    config.optimizer.nesterov = False
    config.optimizer.weight_decay = 5e-4
    config.optimizer.decay_phase_scores = True

    config.temperature = ml_collections.ConfigDict({"epochs": (), "levels": ()})
    if config.model.antialias == "lps":
        config.temperature = ml_collections.ConfigDict(
            {"epochs": (0.0, 11.0), "levels": (1.0, 0.1)}
        )

    config.every = ml_collections.ConfigDict({"log": 40, "evaluate": 240, "save": 80})
    config.tensorboard = True
    config.eval = ml_collections.ConfigDict(_evaluation(arg.smoke))

    # Empty for a single network: then model.antialias and seed count.
    single = bool(arg.variant) or arg.seed >= 0
    config.comparison = ml_collections.ConfigDict()
    config.comparison.variants = () if single else VARIANTS
    config.comparison.seeds = () if single else SEEDS
    if arg.smoke:
        config.name = "quickstart_smoke"
        config.steps, config.batch_size, config.eval_batch_size = 4, 16, 64
        config.data.test_options.num_samples = 64
        config.every = ml_collections.ConfigDict({"log": 2, "evaluate": 4, "save": 2})
        config.comparison.seeds = () if single else SEEDS[:2]
    return config


def _evaluation(smoke: bool) -> dict:
    """How much the report measures; see `experiments.classification.measurements`."""
    settings = dict(
        num_images=1024,
        shift_images=512,
        max_offset=8,
        views=2,
        passes=5,
        batch_size=64,
        seed=7,
        max_roll=16,
        worst_images=128,
        worst_grid=4,
        confidence=0.95,
        resamples=2000,
    )
    few = dict(num_images=64, shift_images=32, passes=1, worst_images=16, worst_grid=2)
    return settings | (few | {"batch_size": 32, "resamples": 100} if smoke else {})
