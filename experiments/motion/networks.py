"""The motion model a config describes, freshly drawn or from a run's checkpoint."""

import dataclasses
import json
import pathlib

import ml_collections
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.motion import (
    KeypointDetector,
    MotionGenerator,
    MultiScaleDiscriminator,
    Resampling,
)
from aa_jax.nn import AntiAlias
from aa_jax.training import config as configs, state as states
from aa_jax.training.checkpoint import Checkpoints
from aa_jax.weights.motion import MotionSettings, load_motion, save_motion

BEST_METRIC = "-eval_l1"  # the smallest is best


class MotionModel(nnx.Module):
    """The networks that are trained together.

    Attributes:
        kp_detector, generator, discriminator: the last is None where nothing is adversarial.
    """

    def __init__(self, config: ml_collections.ConfigDict, *, rngs: nnx.Rngs):
        """Draws the weights of `config.model`."""
        model = config.model
        resampling = Resampling(AntiAlias(model.antialias), model.upsampling)
        options = dict(dtype=jnp.dtype(config.dtype), rngs=rngs)
        self.kp_detector = KeypointDetector(
            num_kp=model.num_kp,
            estimate_jacobian=model.jacobian,
            resampling=resampling,
            **model.detector.to_dict(),
            **options,
        )
        self.generator = MotionGenerator(
            num_kp=model.num_kp,
            corners=model.corners,
            resampling=resampling,
            dense_motion=model.dense_motion.to_dict(),
            **model.generator.to_dict(),
            **options,
        )
        critic = model.discriminator.to_dict()
        critic["keypoint_maps"] = model.num_kp if critic.pop("use_kp") else 0
        adversarial = config.loss.adversarial > 0
        self.discriminator = MultiScaleDiscriminator(**critic, **options) if adversarial else None


@dataclasses.dataclass(frozen=True)
class TrainedMotion:
    """A detector and a generator that belong together.

    Attributes:
        kp_detector, generator: as trained.
        frame_size: height and width of the frames they know.
        source: where they come from, in words.
        config: of their run, or None for an imported checkpoint.
    """

    kp_detector: KeypointDetector
    generator: MotionGenerator
    frame_size: int
    source: str
    config: ml_collections.ConfigDict | None = None


def load(path: str | pathlib.Path) -> TrainedMotion:
    """Loads a run's folder, a file of `save`, or a published checkpoint (frames of 256 pixels).

    Raises:
        ValueError: it is neither, of another model, or damaged.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        return load_run(path)
    if not path.is_file():
        raise ValueError(f"model must be a run's folder or a checkpoint file, got {str(path)!r}")
    networks = load_motion(path)
    size = networks.settings.frame_size
    return TrainedMotion(networks.kp_detector, networks.generator, size, path.name)


def save(trained: TrainedMotion, path: pathlib.Path) -> None:
    """Writes the networks of a run as one file that `load` reads, here or without this package.

    Raises:
        OSError: it can't be written.
    """
    model = trained.config.model
    settings = MotionSettings(
        frame_size=trained.frame_size,
        detector_scale=model.detector.scale_factor,
        motion_scale=model.dense_motion.scale_factor,
        corners=model.corners,
        antialias=model.antialias,
        upsampling=model.upsampling,
        temperature=model.detector.temperature,
        variance=model.dense_motion.variance,
    )
    save_motion(path, trained.kp_detector, trained.generator, settings)


def load_run(run_dir: str | pathlib.Path) -> TrainedMotion:
    """Loads the latest checkpoint of a run; a run in progress may be read too.

    Raises:
        ValueError: there is no checkpoint, or it is not of a motion model.
    """
    directory = pathlib.Path(run_dir) / "checkpoints"
    with Checkpoints(directory, best_metric=BEST_METRIC, read_only=True) as checkpoints:
        step = checkpoints.latest_step
        info = checkpoints.info(step)
        config = configs.from_json(json.dumps(info["config"]))
        if config.get("experiment") != "motion":
            raise ValueError(
                f"{run_dir} is a run of {config.get('experiment', 'something else')!r}, expected "
                "one of 'motion'"
            )
        graphdef, params, stats = structure(config)
        parts = checkpoints.restore_weights({"params": params, "stats": stats}, step)
    model = states.merge(graphdef, parts["params"], parts["stats"])
    source = f"{run_dir}, step {step}"
    return TrainedMotion(model.kp_detector, model.generator, config.data.frame_size, source, config)


def structure(config: ml_collections.ConfigDict) -> tuple[nnx.GraphDef, dict, dict]:
    """Structure and shapes of the networks, without drawing their weights."""
    return states.split(nnx.eval_shape(lambda: MotionModel(config, rngs=nnx.Rngs(0))))
