"""What `scripts/evaluate.py motion` does: how well a model makes films again.

The published AKD and AED compare landmarks and features of others' networks (Siarohin et al.,
NeurIPS 2019, section 4.1). Landmarks can come from a user's files; in place of a network that
recognises identities stands VGG-19.
"""

import json
import math
import pathlib

import jax
import numpy as np

from aa_jax.data.video_folder import VideoFolder
from aa_jax.metrics.keypoints import (
    average_keypoint_distance,
    mean_euclidean_distance,
    missing_rate,
)
from aa_jax.models.vgg19 import VGG19Features, frozen
from aa_jax.training.whole_file import replacing
from aa_jax.training.writing import check_output
from aa_jax.weights import load_vgg19
from experiments.motion import networks, reconstruction, videos
from experiments.motion.animation import Animator
from experiments.motion.landmarks_file import read_found

_NAMES = reconstruction.NAMES | {
    "landmarks_akd": "AKD, landmarks of the files (pixels)",
    "landmarks_distance": "mean Euclidean distance of these (pixels)",
    "landmarks_missing": "share of these that generated frames miss",
}


def run(
    model: str | None,
    *,
    films: str | None = None,
    features: str | None = None,
    landmarks: tuple[str | None, str | None] = (None, None),
    batch_size: int = 16,
    output: str | None = None,
) -> str:
    """Measures a model, or landmarks in files, or both.

    Args:
        model, films, features, batch_size: as `evaluate_model` takes them.
        landmarks: files of real and of generated frames, as `compare_landmarks` takes them.
        output: `.json` to keep the numbers in.

    Returns:
        A line for every number.

    Raises:
        ValueError: an input is missing or cannot be read.
        OSError: likewise, or the numbers cannot be written.
    """
    real, generated = landmarks
    if (real is None) != (generated is None):
        raise ValueError("real-landmarks and generated-landmarks must be given together")
    if model is None and (real is None or films or features):
        raise ValueError("motion needs a RUN, or --real-landmarks and --generated-landmarks alone")
    if batch_size < 1:
        raise ValueError(f"batch-size must be at least 1, got {batch_size}")
    path = None if output is None else check_output(output, [".json"])
    evaluated, numbers = None, {}
    if model is not None:
        options = dict(films=films, features=features, batch_size=batch_size)
        evaluated, numbers = evaluate_model(model, **options)
    if real is not None:
        numbers |= compare_landmarks(real, generated)
    if path is not None:
        write_json(path, evaluated, numbers)
    lines = [f"{_NAMES[name]}: {value:.5f}" for name, value in numbers.items()]
    return "\n".join([evaluated, *lines] if evaluated else lines)


def evaluate_model(
    model: str, *, films: str | None = None, features: str | None = None, batch_size: int = 16
) -> tuple[str, dict[str, float]]:
    """Reconstructs films and measures how well.

    Args:
        model: a run's folder or a file, see `networks.load`.
        films: folder of films; None: those that the run's config keeps for evaluation.
        features: file of VGG-19's weights, see `load_vgg19`; None: AED is left out.
        batch_size: frames at a time.

    Returns:
        What was evaluated, in words, and means by name; see `Reconstruction`.

    Raises:
        ValueError: an input cannot be read, or a file has no config that names films.
    """
    trained = networks.load(model)
    if films is not None:
        source, shown = VideoFolder(films, None, size=trained.frame_size), films
    elif trained.config is not None:
        source, shown = videos.open_test_videos(trained.config), trained.config.data.source
    else:
        raise ValueError(f"films must be named: {model} is no run, whose config would name them")
    extract = relu5_features(load_vgg19(features)) if features is not None else None
    animator = Animator(trained, batch_size=batch_size)
    means = reconstruction.evaluate(animator, source, features=extract).means()
    return f"{trained.source}: {len(source)} films of {shown}", means


def compare_landmarks(real: str, generated: str) -> dict[str, float]:
    """AKD as published, of landmarks in files.

    Args:
        real, generated: files of landmarks of the same frames, see `read_found`.

    Raises:
        ValueError: they are not of the same shape, or cannot be read.
    """
    (target, found), (predicted, again) = read_found(real), read_found(generated)
    if target.shape != predicted.shape:
        raise ValueError(
            f"landmarks must be of the same shape, got {target.shape} of {real} and "
            f"{predicted.shape} of {generated}"
        )
    both = dict(target_found=found, predicted_found=again)
    return {
        "landmarks_akd": average_keypoint_distance(target, predicted, **both),
        "landmarks_distance": mean_euclidean_distance(target, predicted, **both),
        "landmarks_missing": missing_rate(found, again),
    }


def relu5_features(network: VGG19Features) -> reconstruction.Features:
    """The mean over the frame of VGG-19's last map, relu5_1: 512 numbers of every frame."""
    apply, weights = frozen(network)
    compiled = jax.jit(lambda weights, frames: apply(weights, frames)[-1].mean((1, 2)))
    return lambda frames: np.asarray(compiled(weights, frames))


def write_json(path: pathlib.Path, evaluated: str | None, numbers: dict[str, float]) -> None:
    """Keeps numbers, null for those that nothing was found for.

    Raises:
        OSError: the file cannot be written.
    """
    finite = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
    with replacing(path) as temporary:
        content = json.dumps({"evaluated": evaluated, **finite}, indent=2)
        temporary.write_text(content + "\n", encoding="utf-8")
