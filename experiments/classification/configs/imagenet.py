"""ImageNet classifiers as the papers trained them, by name.

Command:   python scripts/train.py --workdir runs/blur \
               --config experiments/classification/configs/imagenet.py:recipe=blur,model=resnet50
Time:      90 epochs are 115 million images: 16 hours at 2000 images/s, which the log shows.
Data:      a folder with train/<class>/ and val/<class>/, --config.data.source=/path/to/imagenet, or
           a prepared TFDS data set, --config.data.source=tfds:imagenet2012 with
           --config.data.test_split=validation.

Expected top-1 / consistency in percent, as published:

    recipe            model      filter   top-1   consistency   source
    baseline          resnet101   -       77.7    90.6          Zou et al. 2020
    blur              resnet101   3       78.4    91.6          Zou et al. 2020
    adaptive          resnet101   3       79.0    91.8          Zou et al. 2020
    baseline          resnet101   -       77.37   89.81         Zhang 2019, later release
    finetune          resnet101   4       78.38   91.97         Zhang 2019, later release
    alexnet           alexnet     4       56.94   83.31         Zhang 2019, later release
"""

import ml_collections

from aa_jax.training.config import ConfigError, parse_arg, suggest

_SGD = dict(
    learning_rate=0.1,
    schedule="step",
    step_epochs=30,
    step_factor=0.1,
    warmup_epochs=0.0,
    momentum=0.9,
    nesterov=False,
    weight_decay=1e-4,
    decay_phase_scores=True,
)
_MOBILE = dict(_SGD, learning_rate=0.05, schedule="cosine", weight_decay=4e-5)
# The published loop adds up the gradients of two batches of 128 and does not halve them.
_TWO_PARTS = dict(accumulation_steps=2, accumulation="sum")

# name -> what differs from the plain ResNet-50 below: (top level, model, optimizer).
RECIPES = {
    # Zhang, ICML 2019, and the training code of that repository.
    "baseline": ({}, {}, {}),
    "blur": ({}, {"antialias": "blur"}, {}),
    "alexnet": ({}, {"name": "alexnet", "antialias": "blur"}, {"learning_rate": 0.01}),
    "vgg16": ({}, {"name": "vgg16", "antialias": "blur"}, {"learning_rate": 0.01}),
    "vgg16_bn": ({}, {"name": "vgg16_bn", "antialias": "blur"}, {"learning_rate": 0.05}),
    "mobilenet_v2": ({"epochs": 150.0}, {"name": "mobilenet_v2", "antialias": "blur"}, _MOBILE),
    # From weights trained without anti-aliasing, given as init_from.
    "finetune": ({"epochs": 60.0}, {"antialias": "blur"}, {"learning_rate": 0.01}),
    # Zou et al., BMVC 2020: the paper says 5 epochs of warm-up, the code defaults to 15.
    "adaptive": (_TWO_PARTS, {"antialias": "adaptive"}, {"warmup_epochs": 5.0}),
    "adaptive_code": (_TWO_PARTS, {"antialias": "adaptive"}, {"warmup_epochs": 15.0}),
    # Chaman & Dokmanic, CVPR 2021: no random resizing.
    "aps": ({}, {"name": "resnet18", "antialias": "aps"}, {}),
    # Rojas-Gomez et al., NeurIPS 2022: falling temperature, score networks without decay.
    "lps": ({}, {"name": "resnet18", "antialias": "lps"}, {"decay_phase_scores": False}),
}
_FILTER_SIZES = {"blur": 4, "adaptive": 3, "aps": 3, "lps": 3}


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Settings of a published recipe.

    Args:
        arg: any of `recipe=<name in RECIPES>`, `model=<name>`, `filter_size=<integer>`,
            `groups=<integer>`, `dtype=<float32|bfloat16|float16>`.
    """
    arg = parse_arg(arg, recipe="baseline", model="", filter_size=0, groups=8, dtype="float32")
    if arg.recipe not in RECIPES:
        raise ConfigError(f"there is no recipe {arg.recipe!r}; {suggest(arg.recipe, RECIPES)}")
    top, model, optimizer = RECIPES[arg.recipe]
    config = _base()
    config.experiment = "classification"
    config.name = f"imagenet_{arg.recipe}"
    config.dtype = arg.dtype
    config.model.update({"name": "resnet50", "antialias": "none"} | model)
    config.model.name = arg.model or config.model.name
    config.antialias.filter_size = arg.filter_size or _FILTER_SIZES.get(config.model.antialias)
    config.antialias.groups = arg.groups
    config.optimizer = ml_collections.ConfigDict(_SGD | optimizer)
    config.update(top)
    if arg.recipe == "aps":
        config.data.augmentation = "center"
    if arg.recipe == "lps":
        config.antialias.hidden_reduction = 8
        config.temperature.epochs = (10.0, 60.0, 82.0, 90.0)
        config.temperature.levels = (0.5, 0.15, 0.05, 0.01)
    return config


def _base() -> ml_collections.ConfigDict:
    """What the recipes have in common: 90 epochs of batches of 256, crops of 224 pixels."""
    config = ml_collections.ConfigDict()
    config.seed = 0
    config.init_from = ""  # file of weights to start from
    config.init_source = "torch"  # whose names it has: "torch" or "aa_jax"
    config.model = ml_collections.ConfigDict()
    placeholder = ml_collections.config_dict.placeholder(int)
    config.antialias = ml_collections.ConfigDict({"groups": 8})
    config.antialias.filter_size = placeholder
    config.antialias.hidden_reduction = 1
    config.antialias.statistics = "all"
    config.antialias.normalization = "joint"

    config.data = ml_collections.ConfigDict()
    config.data.source = "data/imagenet"
    config.data.train_split = "train"
    config.data.test_split = "test"
    config.data.image_size = 224
    config.data.resize = 256
    config.data.augmentation = "standard"
    config.data.mean = (0.485, 0.456, 0.406)
    config.data.std = (0.229, 0.224, 0.225)
    config.data.train_options = ml_collections.ConfigDict()
    config.data.test_options = ml_collections.ConfigDict()

    config.batch_size = 256
    config.eval_batch_size = 256
    config.steps = 0  # where it is not 0 it counts, instead of epochs
    config.epochs = 90.0
    config.label_smoothing = 0.0
    config.accumulation_steps = 1
    config.accumulation = "mean"
    config.ema_decay = ml_collections.config_dict.placeholder(float)
    config.temperature = ml_collections.ConfigDict({"epochs": (), "levels": ()})

    config.every = ml_collections.ConfigDict({"log": 100, "evaluate": 5000, "save": 1000})
    config.tensorboard = True
    config.eval = ml_collections.ConfigDict(
        dict(num_images=50_000, shift_images=50_000, max_offset=32, views=2, passes=5,
             batch_size=256, seed=7, max_roll=32, worst_images=2048, worst_grid=8,
             confidence=0.95, resamples=2000)
    )  # fmt: skip
    config.comparison = ml_collections.ConfigDict({"variants": (), "seeds": ()})
    return config
