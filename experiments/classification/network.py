"""The classifier a config describes, freshly drawn or from a run's checkpoint."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable

import jax
import ml_collections
import numpy as np
from flax import nnx
from jax import numpy as jnp

from aa_jax import models
from aa_jax.nn import AntiAlias
from aa_jax.training import config as configs, state as states
from aa_jax.training.checkpoint import Checkpoints

BEST_METRIC = "eval_top1"


def create_model(config: ml_collections.ConfigDict, num_classes: int, *, rngs: nnx.Rngs):
    """Builds `config.model`, anti-aliased as in `config.antialias`, computing in `config.dtype`.

    Args:
        config: of a run. Fields of `model` and `antialias` that are None keep the defaults of
            the model and of `aa_jax.nn.AntiAlias`.
        num_classes: length of the logits.
        rngs: of the initial weights.
    """
    options = _given(config.model)
    return models.create(
        options.pop("name"),
        num_classes=num_classes,
        antialias=AntiAlias(options.pop("antialias"), **_given(config.antialias)),
        dtype=jnp.dtype(config.dtype),
        rngs=rngs,
        **options,
    )


def _given(fields: ml_collections.ConfigDict) -> dict:
    return {name: value for name, value in fields.to_dict().items() if value is not None}


def normalization(config: ml_collections.ConfigDict) -> Callable[[jax.Array], jax.Array]:
    """Maps images in [0, 1] to what the network sees: `(images - mean) / std` per channel."""
    mean = np.asarray(config.data.mean, np.float32)
    std = np.asarray(config.data.std, np.float32)
    return lambda images: (images - mean) / std


@dataclasses.dataclass(frozen=True)
class TrainedNetwork:
    """A classifier from a checkpoint.

    Attributes:
        config: of its run.
        step: of the checkpoint.
        params: its parameters (their moving average, where the run kept one).
        stats: its batch statistics.
        model: the module, for looking inside; it takes normalised images.
    """

    config: ml_collections.ConfigDict
    step: int
    params: dict
    stats: dict
    model: nnx.Module

    def predict(self, images: jax.Array) -> jax.Array:
        """Logits (N, classes) of images (N, H, W, 3) in [0, 1]; compiled once per shape."""
        return _predictor(_architecture(self.config), self._num_classes)(
            self.params, self.stats, images
        )

    def normalize(self, images: jax.Array) -> jax.Array:
        """What `model` takes, from images in [0, 1]."""
        return normalization(self.config)(images)

    @property
    def _num_classes(self) -> int:
        return self.config.num_classes


def load_run(run_dir: str | pathlib.Path, *, which: str = "latest") -> TrainedNetwork:
    """Loads the network of a run from its folder; a run in progress may be read too.

    Args:
        run_dir: the workdir of the run.
        which: "latest", or "best" by test accuracy during training.

    Raises:
        CheckpointError: there is no checkpoint.
    """
    if which not in ("latest", "best"):
        raise ValueError(f"which must be 'latest' or 'best', got {which!r}")
    directory = pathlib.Path(run_dir) / "checkpoints"
    with Checkpoints(directory, best_metric=BEST_METRIC, read_only=True) as checkpoints:
        step = checkpoints.best_step if which == "best" else None
        step = checkpoints.latest_step if step is None else step
        info = checkpoints.info(step)
        config = configs.from_json(json.dumps(info["config"]))
        graphdef, params, stats = _structure(_architecture(config), config.num_classes)
        weights = "ema" if any(path.startswith("ema/") for path in info["layout"]) else "params"
        parts = checkpoints.restore_weights({weights: params, "stats": stats}, step)
    params, stats = parts[weights], parts["stats"]
    return TrainedNetwork(config, step, params, stats, states.merge(graphdef, params, stats))


def _architecture(config: ml_collections.ConfigDict) -> str:
    """What decides the compiled prediction, as text: networks that share it share the code."""
    kept = {name: config[name] for name in ("model", "antialias", "dtype")}
    kept["data"] = {"mean": config.data.mean, "std": config.data.std}
    return configs.to_json(ml_collections.ConfigDict(kept))


@functools.lru_cache(maxsize=16)
def _structure(architecture: str, num_classes: int) -> tuple[nnx.GraphDef, dict, dict]:
    """Structure and shapes of a network, without drawing its weights."""
    config = configs.from_json(architecture)
    model = nnx.eval_shape(lambda: create_model(config, num_classes, rngs=nnx.Rngs(0)))
    return states.split(model)


@functools.lru_cache(maxsize=16)
def _predictor(architecture: str, num_classes: int) -> Callable:
    graphdef, _, _ = _structure(architecture, num_classes)
    normalize = normalization(configs.from_json(architecture))

    @jax.jit
    def predict(params, stats, images):
        return states.merge(graphdef, params, stats)(normalize(images), train=False)

    return predict
