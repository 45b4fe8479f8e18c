"""Settings that all motion models have, with the values of the published vox-256 configuration.

Siarohin et al., "First Order Motion Model for Image Animation" (NeurIPS 2019), with the constants
of its published code.
"""

import ml_collections


def published() -> ml_collections.ConfigDict:
    """The vox-256 model; `name` and the data's place are the caller's."""
    config = ml_collections.ConfigDict()
    config.experiment = "motion"
    config.name = "vox-256"
    config.seed = 0
    config.dtype = "float32"

    config.data = ml_collections.ConfigDict()
    # A folder with train/ and test/ of videos, or "moving_photographs", which are drawn here.
    config.data.source = ""
    config.data.frame_size = 256
    config.data.id_sampling = True  # a person first, then one of their videos
    config.data.repeats = 75  # how often an epoch visits every person (or video)
    config.data.jitter = 0.1  # of brightness, contrast and saturation
    config.data.hue = 0.1
    config.data.resize = (1.0, 1.0)  # range of a random magnification
    config.data.test_videos = 0  # how many are evaluated; 0: all

    config.model = ml_collections.ConfigDict()
    config.model.num_kp = 10
    config.model.jacobian = "per_keypoint"
    config.model.corners = "aligned"
    config.model.antialias = "none"  # what halves resolution: "none", "blur" or "adaptive"
    config.model.upsampling = "nearest"  # what doubles it: "nearest" or "binomial"
    config.model.detector = ml_collections.ConfigDict(
        dict(block_expansion=32, max_features=1024, num_blocks=5, scale_factor=0.25)
        | dict(temperature=0.1)
    )
    config.model.generator = ml_collections.ConfigDict(
        dict(block_expansion=64, max_features=512, num_down_blocks=2, num_bottleneck_blocks=6)
        | dict(estimate_occlusion=True)
    )
    config.model.dense_motion = ml_collections.ConfigDict(
        dict(block_expansion=64, max_features=1024, num_blocks=5, scale_factor=0.25, variance=0.01)
    )
    config.model.discriminator = ml_collections.ConfigDict(
        dict(scales=(1.0,), block_expansion=32, max_features=512, num_blocks=4)
        | dict(spectral_norm="power_iteration", use_kp=False)
    )

    config.loss = ml_collections.ConfigDict()
    # "vgg19", the perceptual loss, with the file of weights below; or "laplacian", which needs
    # none: differences of the bands of a Laplacian pyramid.
    config.loss.reconstruction = "vgg19"
    config.loss.vgg19 = ""  # empty: where `aa_jax.weights.feature_file` looks
    config.loss.scales = (1.0, 0.5, 0.25, 0.125)
    config.loss.reconstruction_weights = (10.0,) * 5  # of the taps, or of bands from fine to coarse
    config.loss.equivariance_value = 10.0
    config.loss.equivariance_jacobian = 10.0
    config.loss.adversarial = 0.0  # 0: there is no discriminator
    config.loss.feature_matching = (10.0,) * 4
    config.loss.sigma_affine = 0.05
    config.loss.sigma_tps = 0.005
    config.loss.points_tps = 5
    # Batch normalisation of source, driving and transformed frames: "each" by its own, as
    # published, or all "together", which compiles faster.
    config.loss.detector_statistics = "each"

    config.batch_size = 40
    config.epochs = 100.0
    config.steps = 0  # counts instead of epochs where it is not 0
    config.optimizer = ml_collections.ConfigDict(
        dict(learning_rate=2e-4, betas=(0.5, 0.999), milestones=(60.0, 90.0), factor=0.1)
    )
    config.eval_batch_size = 16
    config.every = ml_collections.ConfigDict({"log": 100, "evaluate": 5000, "save": 1000})
    config.tensorboard = True
    return config
