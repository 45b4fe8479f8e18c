"""What each variant answers while a photograph moves under it pixel by pixel."""

import dataclasses

import numpy as np
from matplotlib.figure import Figure

from aa_jax.metrics.prediction import Predict, predict_all
from aa_jax.metrics.shift import crop
from experiments.classification.figures.style import RIGHT, WRONG, new_figure
from experiments.classification.tables import variant_name


@dataclasses.dataclass(frozen=True)
class Strip:
    """Answers to the crops at columns 0, 1, 2, ... of one image.

    Attributes:
        crops: (steps, size, size, C) in [0, 1].
        label: the right class.
        predicted: variant -> int (steps,).
        probability: variant -> (steps,) of the predicted class.
    """

    crops: np.ndarray
    label: int
    predicted: dict[str, np.ndarray]
    probability: dict[str, np.ndarray]


def walk(
    predictors: dict[str, Predict],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    crop_size: int,
    steps: int,
    reference: str,
    batch_size: int = 64,
) -> tuple[Strip, np.ndarray]:
    """Moves images sideways and takes the one on which the reference changes its mind most.

    Args:
        predictors: variant -> function from images to logits.
        images: (N, side, side, C), side at least crop_size + steps - 1.
        labels: integers (N,).
        crop_size: what the networks see, in pixels.
        steps: crops per image, one pixel apart.
        reference: the variant whose changes of answer decide which image is shown; among equals,
            the first image of which some crop is right.
        batch_size: rows per call.

    Returns:
        The strip of the chosen image, and the changes of answer per variant and image
        (variants, N), so that the choice can be put in proportion.
    """
    row = (images.shape[1] - crop_size) // 2
    crops = np.stack([crop(images, (row, step), crop_size) for step in range(steps)], axis=1)
    flat = crops.reshape(-1, *crops.shape[2:])
    probabilities = {}
    for name, predict in predictors.items():
        logits = predict_all(predict, flat, batch_size=batch_size).astype(np.float64)
        logits = logits.reshape(len(images), steps, -1)
        exponentials = np.exp(logits - logits.max(-1, keepdims=True))
        probabilities[name] = exponentials / exponentials.sum(-1, keepdims=True)
    answers = {name: values.argmax(-1) for name, values in probabilities.items()}
    changes = np.stack([(np.diff(each, axis=1) != 0).sum(1) for each in answers.values()])
    ever_right = (answers[reference] == labels[:, None]).any(1)
    chosen = int(np.argmax(changes[list(answers).index(reference)] + 0.5 * ever_right))
    strip = Strip(
        crops[chosen],
        int(labels[chosen]),
        {name: each[chosen] for name, each in answers.items()},
        {name: values[chosen].max(-1) for name, values in probabilities.items()},
    )
    return strip, changes


def draw(strip: Strip, class_names: tuple[str, ...]) -> Figure:
    """Draws a row of crops per variant, framed and marked right or wrong.

    Args:
        strip: from `walk`.
        class_names: of the labels.

    Returns:
        The figure.
    """
    variants, steps = list(strip.predicted), len(strip.crops)
    figure = new_figure(1.22 * steps + 0.9, 1.66 * len(variants) + 0.7)
    axes = figure.subplots(len(variants), steps, squeeze=False)
    for row, name in enumerate(variants):
        for step in range(steps):
            _draw_cell(axes[row, step], strip, name, step, class_names)
        axes[row, 0].set_ylabel(variant_name(name), fontsize=12)
    for step in range(steps):
        axes[0, step].set_title(f"{step} px", fontsize=9)
    figure.suptitle(
        f"Answers while a photograph of “{class_names[strip.label]}” moves left pixel by pixel   "
        "(✓ blue: right, ✗ orange: wrong)",
        fontsize=11,
    )
    return figure


def _draw_cell(ax, strip: Strip, variant: str, step: int, class_names: tuple[str, ...]) -> None:
    answer = int(strip.predicted[variant][step])
    is_right = answer == strip.label
    color, mark = (RIGHT, "✓") if is_right else (WRONG, "✗")
    ax.imshow(np.clip(strip.crops[step], 0, 1), interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set(color=color, linewidth=3)
    percent = 100 * strip.probability[variant][step]
    ax.set_xlabel(f"{mark} {percent:.0f} %\n{class_names[answer]}", color=color, fontsize=8)
