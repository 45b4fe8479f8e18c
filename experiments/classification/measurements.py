"""Everything measured on one trained network: options, numbers, and per-image values to resample.

Knows functions and arrays only, no network and no run directory.
"""

import dataclasses
import difflib
import json
import pathlib
from collections.abc import Mapping

import numpy as np

from aa_jax.metrics.accuracy import in_top_k
from aa_jax.metrics.agreement import Consistency
from aa_jax.metrics.consistency import (
    circular_consistency,
    classification_consistency,
    subpixel_consistency,
)
from aa_jax.metrics.prediction import Predict, predict_all
from aa_jax.metrics.shift import center_crop, shift_grid
from aa_jax.metrics.worst_case import worst_case_consistency

# Raised whenever the same options would give other numbers.
MEASUREMENT_VERSION = 1


@dataclasses.dataclass(frozen=True)
class EvaluationOptions:
    """How much is measured; `config.eval` of an experiment, field by field.

    Attributes:
        num_images: test images for accuracy (centre crop).
        shift_images: of these, a seeded subset for crop, circular and sub-pixel consistency.
        max_offset: crops lie at offsets 0 .. max_offset - 1 in images that are max_offset pixels
            wider than the network's input (ImageNet: 32, crops of 224 in 256).
        views: crops compared per image.
        passes: passes over the images for crop consistency (published: 5).
        batch_size: images that share their random shifts; part of the protocol.
        seed: of the shifts and of the subset.
        max_roll: circular shifts lie in -max_roll .. max_roll - 1 (ImageNet: 32).
        worst_images: a seeded subset for the worst case.
        worst_grid: the worst case is over worst_grid by worst_grid neighbouring crop positions.
        confidence: of the intervals.
        resamples: bootstrap draws.
    """

    num_images: int = 1024
    shift_images: int = 512
    max_offset: int = 8
    views: int = 2
    passes: int = 5
    batch_size: int = 64
    seed: int = 7
    max_roll: int = 16
    worst_images: int = 128
    worst_grid: int = 4
    confidence: float = 0.95
    resamples: int = 2000

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "confidence":
                if not 0 < value < 1:
                    raise ValueError(f"eval.confidence must lie between 0 and 1, got {value!r}")
                continue
            least = {"seed": 0, "views": 2, "worst_grid": 2}.get(field.name, 1)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(
                    f"eval.{field.name} must be an integer of at least {least}, got {value!r}"
                )
        if self.worst_grid > self.max_offset + 1:
            raise ValueError(
                f"eval.worst_grid must be at most eval.max_offset + 1 = {self.max_offset + 1}, "
                f"the positions a crop can take, got {self.worst_grid}"
            )

    @classmethod
    def from_config(cls, config: Mapping) -> "EvaluationOptions":
        """Builds options from a mapping of fields; what is missing keeps its default.

        Raises:
            ValueError: an unknown field (the nearest name is suggested) or a bad value.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        for name in config:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(names)}"
                raise ValueError(f"eval has no field {name!r}{hint}")
        return cls(**dict(config))


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What was measured on one network.

    Attributes:
        variant: which network, such as "blur".
        seed: of its training.
        metrics: name -> percentage (see `measure`).
        per_image: name -> percentages (N,), whose mean is the metric of that name.
        options: the options measured with.
        context: anything that names the weights and data (step, checkpoint, data set).
    """

    variant: str
    seed: int
    metrics: dict[str, float]
    per_image: dict[str, np.ndarray]
    options: EvaluationOptions
    context: dict = dataclasses.field(default_factory=dict)

    def as_dict(self) -> dict:
        """The JSON form, without the per-image values."""
        return {
            "version": MEASUREMENT_VERSION,
            "variant": self.variant,
            "seed": self.seed,
            "metrics": self.metrics,
            "options": dataclasses.asdict(self.options),
            "context": self.context,
        }


def subset(count: int, size: int, seed: int) -> np.ndarray:
    """A seeded choice of `size` (or all, if fewer) of `count` images, in ascending order."""
    chosen = np.random.default_rng(seed).permutation(count)[:size]
    return np.sort(chosen)


def measure(
    predict: Predict,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    crop_size: int,
    options: EvaluationOptions,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Accuracy and every consistency of one network.

    Args:
        predict: images (options.batch_size, crop_size, crop_size, C) in [0, 1] -> logits.
        images: (N, side, side, C) in [0, 1], side at least crop_size + options.max_offset.
        labels: integers (N,).
        crop_size: what the network sees, in pixels.
        options: how much.

    Returns:
        (metrics, per_image). Percentages: `top1`, `top5` (with more than five classes),
        `consistency`, `consistency_correct` (among images some crop gets right; no per-image
        values), `circular`, `subpixel`, `worst_case` (same answer on every crop of the grid),
        `worst_case_correct` (right on every one), `grid_mean` (mean agreement with the grid's
        first crop).

    Raises:
        ValueError: images too small for the offsets, labels that do not match, NaN logits.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    logits = predict_all(predict, center_crop(images, crop_size), batch_size=options.batch_size)
    per_image = {"top1": 100.0 * in_top_k(logits, labels)}
    if logits.shape[1] > 5:
        per_image["top5"] = 100.0 * in_top_k(logits, labels, k=5)
    shifted = _random_shifts(predict, images, crop_size, options)
    per_image |= {name: result.per_image for name, result in shifted.items()}
    few = subset(len(images), options.worst_images, options.seed)
    start = (options.max_offset + 1 - options.worst_grid) // 2
    grid = worst_case_consistency(
        predict,
        images[few],
        labels[few],
        shifts=shift_grid(options.worst_grid, start=start),
        crop_size=crop_size,
        batch_size=options.batch_size,
    )
    per_image["worst_case"] = 100.0 * grid.consistent
    per_image["worst_case_correct"] = 100.0 * grid.correct
    metrics = {name: float(np.mean(values)) for name, values in per_image.items()}
    few = subset(len(images), options.shift_images, options.seed)
    metrics["consistency_correct"] = shifted["consistency"].correct_percent(labels[few])
    metrics["grid_mean"] = grid.mean_percent
    return metrics, per_image


def _random_shifts(
    predict: Predict, images: np.ndarray, crop_size: int, options: EvaluationOptions
) -> dict[str, Consistency]:
    """Crop, circular and sub-pixel consistency on the same images."""
    images = images[subset(len(images), options.shift_images, options.seed)]
    draw = {"crop_size": crop_size, "batch_size": options.batch_size, "seed": options.seed}
    offsets = {"max_offset": options.max_offset, **draw}
    return {
        "consistency": classification_consistency(
            predict, images, views=options.views, passes=options.passes, **offsets
        ),
        "circular": circular_consistency(predict, images, max_shift=options.max_roll, **draw),
        "subpixel": subpixel_consistency(predict, images, **offsets),
    }


def save(measurement: Measurement, folder: pathlib.Path | str) -> pathlib.Path:
    """Writes evaluation.json and evaluation.npz (per-image values) into a folder.

    The JSON file goes first and comes back last, as a whole: where it exists, both belong together.
    """
    folder = pathlib.Path(folder)
    target = folder / "evaluation.json"
    target.unlink(missing_ok=True)
    np.savez_compressed(folder / "evaluation.npz", **measurement.per_image)
    draft = target.with_suffix(".json.part")
    draft.write_text(json.dumps(measurement.as_dict(), indent=2) + "\n")
    draft.replace(target)
    return target


def load(folder: pathlib.Path | str) -> Measurement | None:
    """Reads what `save` wrote; None where there is nothing, or it is of another version.

    Raises:
        ValueError: evaluation.json is damaged.
    """
    path = pathlib.Path(folder) / "evaluation.json"
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text())
        if data["version"] != MEASUREMENT_VERSION:
            return None
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as archive:
            per_image = {name: archive[name] for name in archive.files}
        options = EvaluationOptions.from_config(data["options"])
        return Measurement(
            data["variant"], data["seed"], data["metrics"], per_image, options, data["context"]
        )
    except (KeyError, TypeError, OSError, ValueError) as error:
        raise ValueError(
            f"{path} is not a complete evaluation ({error}); delete it and evaluate again"
        ) from error
