"""Evaluates trained networks: a run directory in, numbers out.

A run directory is what `train.run` writes. The result goes beside it as `evaluation.json` (figures)
and `evaluation.npz` (per-image values, for confidence intervals); a second call with the same
options and checkpoint reads them back.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
import re
import sys
import time

import jax
import ml_collections
import numpy as np

from aa_jax import data
from aa_jax.training import config as configs
from experiments.classification import network
from experiments.classification.measurements import (
    EvaluationOptions,
    Measurement,
    load,
    measure,
    save,
    subset,
)


def run_directories(workdir: str | pathlib.Path) -> list[pathlib.Path]:
    """The runs `<variant>/seed_<n>` of a comparison that have a checkpoint folder.

    Raises:
        ValueError: there is none.
    """
    workdir = pathlib.Path(workdir)
    runs = sorted(path.parent for path in workdir.glob("*/seed_*/checkpoints"))
    if not runs:
        raise ValueError(
            f"expected runs in {workdir}/<variant>/seed_<n>/checkpoints, found none; train first, "
            "or name the workdir that was given to training"
        )
    return runs


def name_run(run_dir: pathlib.Path, config: ml_collections.ConfigDict) -> tuple[str, int]:
    """(variant, seed): from the folder's place in a comparison, otherwise from the config."""
    match = re.fullmatch(r"seed_(\d+)", run_dir.name)
    if match:
        return run_dir.parent.name, int(match[1])
    return config.model.antialias, config.seed


def evaluation_options(
    config: ml_collections.ConfigDict, overrides: dict[str, str] | None = None
) -> EvaluationOptions:
    """The options of a run's config with single fields replaced.

    Args:
        config: of the run; `config.eval` holds the options.
        overrides: text by field name, such as {"passes": "1"}.

    Raises:
        ValueError: an unknown field (the nearest one is suggested), or a bad value.
    """
    defaults = dataclasses.asdict(EvaluationOptions())
    # Checks the names in the config before they are merged.
    options = EvaluationOptions.from_config(dict(config.get("eval", {})))
    settings = ml_collections.ConfigDict(defaults | dataclasses.asdict(options))
    configs.override(settings, overrides or {})
    return EvaluationOptions.from_config(settings)


def overrides_of_eval(values: dict[str, str]) -> dict[str, str]:
    """Command-line values {"eval.passes": "1"} as option overrides {"passes": "1"}.

    Raises:
        ValueError: a field outside `eval`: a trained network's other settings are fixed.
    """
    for name in values:
        if not name.startswith("eval."):
            raise ValueError(
                f"only fields of config.eval can be set when evaluating, got config.{name}; the "
                "rest is as the run was trained"
            )
    return {name.removeprefix("eval."): text for name, text in values.items()}


def test_images(
    config: ml_collections.ConfigDict, options: EvaluationOptions
) -> tuple[np.ndarray, np.ndarray, data.Photographs]:
    """Test images with a margin to move crops in.

    The embedded photographs are cut `max_offset` pixels larger. Other images are a seeded choice
    of the test set; where the config resizes, they are resized and cut to the network's input
    plus the margin, as published (256 for crops of 224); where it takes them as they are, the
    margin is their reflection at the border.

    Args:
        config: of a run.
        options: `num_images`, `max_offset` and `seed` count.

    Returns:
        float32 (N, side, side, 3) in [0, 1] with side = image_size + max_offset, labels (N,), and
        the source, which has the names of the classes.
    """
    return _cached_images(configs.to_json(config.data), options)


@functools.lru_cache(maxsize=2)
def _cached_images(settings_json: str, options: EvaluationOptions):
    """All networks of a comparison see the same images: they are made once."""
    settings = configs.from_json(settings_json)
    given = settings.test_options.to_dict()
    margin, transform = options.max_offset, None
    if settings.source == "photographs":
        given |= {"crop_margin": margin, "num_samples": options.num_images}
    source = chosen = data.open_source(settings.source, settings.test_split, **given)
    if settings.source != "photographs":
        chosen = _Subset(source, subset(len(source), options.num_images, options.seed))
        if settings.augmentation != "none":
            side = settings.image_size + margin
            transform = data.Compose(
                data.ResizeShorterSide(max(settings.resize, side)), data.CenterCrop(side)
            )
    loader = data.make_loader(
        chosen,
        batch_size=64,
        seed=options.seed,
        shuffle=False,
        transform=transform,
        num_epochs=1,
        drop_remainder=False,
    )
    batches = list(loader)
    images = np.concatenate([batch["image"] for batch in batches])
    labels = np.concatenate([batch["label"] for batch in batches])
    if images.shape[1] < settings.image_size + margin:
        before, after = margin // 2, margin - margin // 2
        images = np.pad(images, ((0, 0), (before, after), (before, after), (0, 0)), "reflect")
    return images, labels, source


class _Subset:
    """Some samples of a source, in the given order."""

    def __init__(self, source, indices: np.ndarray):
        self._source, self._indices = source, indices
        self.name = source.name
        self.on_error = getattr(source, "on_error", "raise")

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> dict:
        return self._source[int(self._indices[index])]


def evaluate_run(
    run_dir: str | pathlib.Path,
    *,
    overrides: dict[str, str] | None = None,
    which: str = "latest",
) -> Measurement:
    """Evaluates one run's checkpoint, or reads what an earlier call found.

    Args:
        run_dir: folder of the run.
        overrides: fields of the options to replace; see `evaluation_options`.
        which: "latest" checkpoint, or "best" by test accuracy during training.

    Returns:
        The measurement, which is also written to the folder.

    Raises:
        ValueError: no readable checkpoint, or options that cannot be used.
    """
    run_dir = pathlib.Path(run_dir)
    trained = network.load_run(run_dir, which=which)
    variant, seed = name_run(run_dir, trained.config)
    options = evaluation_options(trained.config, overrides)
    earlier = load(run_dir)
    fingerprint = _fingerprint(trained)
    if earlier and earlier.options == options and earlier.context["weights"] == fingerprint:
        return earlier
    images, labels, source = test_images(trained.config, options)
    start = time.monotonic()
    crop_size = trained.config.data.image_size
    metrics, per_image = measure(
        trained.predict, images, labels, crop_size=crop_size, options=options
    )
    context = {
        "step": trained.step,
        "checkpoint": which,
        "weights": fingerprint,
        "data": source.name,
        "images": len(images),
        "crop_size": crop_size,
        "seconds": round(time.monotonic() - start, 2),
    }
    result = Measurement(variant, seed, metrics, per_image, options, context)
    save(result, run_dir)
    return result


def _fingerprint(trained: network.TrainedNetwork) -> str:
    """Names the weights and the data they are measured on."""
    digest = hashlib.sha256(configs.to_json(trained.config.data).encode())
    for leaf in jax.tree.leaves((trained.params, trained.stats)):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def evaluate_runs(
    workdir: str | pathlib.Path, *, overrides: dict[str, str] | None = None
) -> list[Measurement]:
    """Evaluates every run of a comparison, telling how far it is.

    Args:
        workdir: folder of the comparison, or of a single run.
        overrides: see `evaluate_run`.
    """
    workdir = pathlib.Path(workdir)
    single = (workdir / "checkpoints").is_dir()
    runs = [workdir] if single else run_directories(workdir)
    results = []
    for number, run_dir in enumerate(runs, 1):
        result = evaluate_run(run_dir, overrides=overrides)
        results.append(result)
        print(
            f"evaluated {number}/{len(runs)} {result.variant}/seed_{result.seed}: "
            f"top-1 {result.metrics['top1']:.1f} %, "
            f"consistency {result.metrics['consistency']:.1f} % "
            f"(seed of all shifts: {result.options.seed})",
            file=sys.stderr,
        )
    return results


def as_json(results: list[Measurement]) -> str:
    """The figures of some runs as indented JSON."""
    return json.dumps([result.as_dict() for result in results], indent=2)
