"""Pictures of what every method makes of some images."""

import dataclasses

import numpy as np

from aa_jax.figures import style

DETAIL = 20  # small pixels along a side of the zoomed part
GAIN = 3  # of differences


@dataclasses.dataclass(frozen=True)
class Example:
    """One image and its small versions.

    Attributes:
      image: (size, size, 3) in [0, 1].
      small: by name, the baseline first: (size / 4, size / 4, 3).
    """

    image: np.ndarray
    small: dict[str, np.ndarray]


def busiest(image: np.ndarray, factor: int) -> tuple[int, int]:
    """The top left corner, in small pixels, of the part with most fine detail.

    Args:
      image: (size, size, 3).
      factor: of the reduction.
    """
    grey = image.mean(-1)
    fine = np.abs(np.diff(grey, axis=0))[:, :-1] + np.abs(np.diff(grey, axis=1))[:-1]
    sums = np.pad(fine, 1).cumsum(0).cumsum(1)
    side = DETAIL * factor
    totals = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    totals = totals[::factor, ::factor][: len(grey) // factor - DETAIL + 1]
    totals = totals[:, : len(grey) // factor - DETAIL + 1]
    top, left = np.unravel_index(np.argmax(totals), totals.shape)
    return int(top), int(left)


def draw_strips(examples: list[Example], path) -> None:
    """A row for every method; for every example the small image, a detail, and the difference.

    Args:
      examples: at least one; all with the same names.
      path: of the PNG.
    """
    names = list(examples[0].small)
    figure = style.new_figure(1.2 + 3.2 * len(examples), 0.4 + 1.07 * (len(names) + 1))
    axes = figure.subplots(len(names) + 1, 3 * len(examples), squeeze=False)
    for index, example in enumerate(examples):
        _draw_example(example, axes[:, 3 * index : 3 * index + 3])
    for axis, name in zip(axes[:, 0], ["image", *names], strict=True):
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    style.save(figure, path)


def _draw_example(example: Example, axes) -> None:
    baseline = next(iter(example.small.values()))
    factor = len(example.image) // len(baseline)
    top, left = busiest(example.image, factor)
    part = slice(top, top + DETAIL), slice(left, left + DETAIL)
    whole = tuple(slice(s.start * factor, s.stop * factor) for s in part)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    for axis, picture in zip(axes[0], (example.image, example.image[whole]), strict=False):
        axis.imshow(np.clip(picture, 0, 1), interpolation="nearest")
    axes[0, 2].axis("off")
    for axis, title in zip(axes[1], ("small", "detail", f"{GAIN} x difference"), strict=True):
        axis.set_title(title, fontsize=8)
    for row, small in zip(axes[1:], example.small.values(), strict=True):
        difference = 0.5 + GAIN * (small - baseline)
        for axis, picture in zip(row, (small, small[part], difference), strict=True):
            axis.imshow(np.clip(picture, 0, 1), interpolation="nearest")
