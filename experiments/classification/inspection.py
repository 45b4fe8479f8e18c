"""Looking inside a trained network: intermediate results by name, and a picture to look at."""

from collections.abc import Iterable

import jax
import ml_collections
import numpy as np

from aa_jax.data.photograph_files import load_photograph
from aa_jax.data.photographs import TARGET_DEVIATION
from aa_jax.training.state import merge, split
from experiments.classification.network import TrainedNetwork

# No class of the embedded set, so unseen in training: a face, hair and cloth before a plain wall,
# smooth and detailed places side by side. File, width, height, reduction.
_PHOTOGRAPH = ("astronaut.png", 512, 512, 1)
_ROWS, _COLUMNS = slice(0, 320), slice(60, 380)


def recorded_names(trained: TrainedNetwork, images: np.ndarray) -> list[str]:
    """Names of what `intermediate_results` can return, in the network's order; runs nothing."""
    names = []
    graphdef, params, stats = split(trained.model)

    def trace(params, stats, images):
        return merge(graphdef, params, stats)(images, record=lambda name, array: names.append(name))

    jax.eval_shape(trace, params, stats, images)
    return names


def intermediate_results(
    trained: TrainedNetwork, images: np.ndarray, names: Iterable[str]
) -> dict[str, np.ndarray]:
    """Runs the network and returns what it records under the given names.

    Args:
        trained: the network.
        images: (N, H, W, 3) in [0, 1].
        names: of `recorded_names`; the rest is not kept.

    Returns:
        name -> array.
    """
    graphdef, params, stats = split(trained.model)
    wanted = set(names)

    @jax.jit
    def run(params, stats, images):
        seen = {}
        model = merge(graphdef, params, stats)
        model(trained.normalize(images), train=False, record=seen.__setitem__)
        return {name: seen[name] for name in wanted}

    return {name: np.asarray(array) for name, array in run(params, stats, images).items()}


def example_photograph(config: ml_collections.ConfigDict, images: np.ndarray) -> np.ndarray:
    """A picture larger than the network's usual input, in the form it was trained on.

    Networks end in a global mean, so any size will do. With the embedded set it is a part of a
    photograph that is not in it, grey and of normalised contrast unless the config says otherwise;
    with other data it is the first test image.

    Args:
        config: of the run.
        images: test images (N, side, side, 3) in [0, 1].

    Returns:
        float32 (H, W, 3) in [0, 1].
    """
    if config.data.source != "photographs":
        return images[0]
    options = config.data.test_options
    photo = load_photograph(*_PHOTOGRAPH)[_ROWS, _COLUMNS].astype(np.float32)
    if options.get("color", "grayscale") == "grayscale":
        photo = np.repeat(photo @ np.float32([[0.299], [0.587], [0.114]]), 3, axis=-1)
    if options.get("contrast", "normalized") == "normalized":
        photo = (photo - photo.mean()) * (TARGET_DEVIATION / photo.std()) + 127.5
    return np.clip(photo / 255, 0, 1)
