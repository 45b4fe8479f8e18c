"""Every field of a config of this experiment, with what it means; the files beside it set them.

Images are counted, not steps, so that a change of the batch size leaves schedules as they are.
"""

import ml_collections
from ml_collections import ConfigDict


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Configuration T at 256 pixels on one device, as recommended; the data must be named."""
    config = ConfigDict()
    config.experiment = "alias_free_gan"
    config.name = "alias_free_gan"
    config.seed = 0
    # What layers eligible for 16 bits compute in; "float32" also takes the clamps out.
    config.dtype = "bfloat16"
    # "replicated": every device has all weights. "sharded": they are divided over the devices.
    config.sharding = "replicated"
    config.init_from = ""  # a StyleGAN3 pickle to go on from

    config.data = ConfigDict()
    config.data.source = ""  # what scripts/prepare_data.py wrote, or "photographs"
    config.data.resolution = 256
    config.data.channels = 3
    config.data.conditional = False  # whether the networks are told labels
    config.data.mirror = False  # whether the set is doubled by mirror images
    config.data.num_images = 0  # take so many at random; 0 takes all
    config.data.on_error = "raise"  # at an unreadable picture, or "skip" to take the next one

    config.generator = ConfigDict()
    config.generator.name = "t"  # "t", "r" or "stylegan2"
    config.generator.channel_base = 32768
    config.generator.channel_max = 512
    config.generator.z_dim = 512
    config.generator.w_dim = 512
    config.generator.mapping_layers = 2
    config.generator.plan = ConfigDict()  # more options of models.alias_free.generator_plan

    config.discriminator = ConfigDict()
    config.discriminator.channel_base = 32768
    config.discriminator.channel_max = 512
    config.discriminator.mbstd_group_size = 4
    config.discriminator.antialias = "binomial"  # or "alias_free"
    config.discriminator.freeze_layers = 0

    config.batch_size = 32  # on all devices together
    config.accumulation_steps = 1  # parts of a batch, one after the other

    config.loss = ConfigDict()
    config.loss.r1_gamma = 2.0
    config.loss.r1_interval = 16
    config.loss.style_mixing = 0.0
    config.loss.path_length_weight = 0.0
    config.loss.path_length_interval = 4
    config.loss.equivariance_weight = 0.0  # ours: penalises pictures that do not move as told
    config.loss.blur_initial = 0.0  # pixels; of everything the discriminator sees
    config.loss.blur_kimg = 200.0

    config.optimizer = ConfigDict()
    config.optimizer.generator_learning_rate = 0.0025
    config.optimizer.discriminator_learning_rate = 0.002
    config.optimizer.betas = (0.0, 0.99)
    config.optimizer.epsilon = 1e-8

    config.ema = ConfigDict()
    config.ema.half_life_kimg = 10.0  # published: batch_size * 10 / 32
    config.ema.ramp_up = 0.05

    config.augment = ConfigDict()
    config.augment.kind = "adaptive"  # "none", "fixed" or "adaptive"
    config.augment.transformations = "bgc"  # "bg", "bgc", "bgcf", "bgcfn" or "bgcfnc"
    config.augment.probability = 0.2  # if fixed
    config.augment.target = 0.6
    config.augment.kimg = 500.0

    config.total_kimg = 25_000.0
    config.every = ConfigDict({"log_kimg": 4.0, "snapshot_kimg": 200.0, "save_kimg": 40.0})
    config.snapshot = ConfigDict()
    config.snapshot.grid = ml_collections.config_dict.placeholder(tuple)  # (columns, rows)
    config.tensorboard = True

    config.metrics = ConfigDict()
    config.metrics.names = ("eqt_frac",)  # at every snapshot
    config.metrics.best = "eqt_frac"  # marks the checkpoint to keep; "-fid50k_full": the lowest
    config.metrics.seed = 0
    config.metrics.equivariance_samples = 1000
    config.metrics.equivariance_batch = 4
    config.metrics.samples = 50_000
    config.metrics.batch_size = 64
    config.metrics.dialect = "tensorflow"  # of resizing: "clean", "pytorch" or "tensorflow"
    config.metrics.weights = ""  # folder of feature networks; default $AA_JAX_WEIGHTS

    # Empty for a single network.
    config.comparison = ConfigDict({"variants": ()})
    return config
