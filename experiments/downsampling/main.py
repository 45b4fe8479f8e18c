"""Compares ways to reduce images in front of a keypoint detector.

python -m experiments.downsampling.main --images FOLDER --output FOLDER --detector analytic
"""

import argparse
import pathlib

import numpy as np

from aa_jax.data import flat_folder
from aa_jax.data.moving_photographs import MovingPhotographs
from aa_jax.ops.downsample import METHODS
from experiments.downsampling import report, study, timing
from experiments.downsampling.detector import load_detector
from experiments.downsampling.reductions import (
    FACTOR,
    Reduction,
    mean_of_four,
    reductions,
    shifted_baseline,
)
from experiments.downsampling.strips import Example

MOVING_PHOTOGRAPHS = "moving_photographs"
_FRAMES = 50
# Far from the seeds of all films that are trained on or evaluated.
_SEED = 2**23


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    add = parser.add_argument
    add("--images", required=True, help="folder of photographs or frames, of any sizes; or "
        f"{MOVING_PHOTOGRAPHS}: frames like those of the motion quickstart")  # fmt: skip
    add("--output", required=True, help="folder to write the report to")
    add("--detector", default="analytic", help="of keypoints; see detector.py (default: analytic)")
    add("--methods", nargs="+", default=METHODS, choices=METHODS, metavar="METHOD",
        help=f"some of {', '.join(METHODS)} (default: all)")  # fmt: skip
    add("--count", type=int, help=f"how many images (default: all; drawn ones {_FRAMES})")
    add("--batch-size", type=int, default=10, help="images at once (default: 10)")
    add("--rounds", type=int, default=timing.ROUNDS,
        help=f"of timing, whose median counts; 0: none (default: {timing.ROUNDS})")  # fmt: skip
    add("--examples", type=int, default=3, help="images to show, evenly spaced (default: 3)")


def run(options: argparse.Namespace) -> str:
    """Runs the study and writes its report; returns the report's text.

    Raises:
      ValueError: the images or the detector can't be read, or a number makes no sense.
    """
    for name, least in (("batch_size", 1), ("rounds", 0), ("examples", 0)):
        if getattr(options, name) < least:
            raise ValueError(f"{name} must be at least {least}, got {getattr(options, name)}.")
    output = pathlib.Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    detector = load_detector(options.detector)
    images = read_images(options.images, size=FACTOR * detector.size, count=options.count)
    # The baseline first, whether asked for or not: everything is compared with it.
    methods = list(dict.fromkeys(["gaussian", *options.methods]))
    compared = reductions(methods)
    shifted, of_four = shifted_baseline(), mean_of_four()
    everything = [*compared, shifted, of_four]
    measured = study.measure(
        images,
        everything,
        detector.detect,
        batch_size=min(options.batch_size, len(images)),
        progress=lambda line: print(line, flush=True),
    )
    baseline = measured[compared[0].key].keypoints
    outcomes = {r.key: study.outcome(r, measured[r.key], baseline, detector) for r in everything}
    keys = [r.key for r in compared]
    size, rounds = images.shape[1], options.rounds
    results = report.Results(
        outcomes={key: outcomes[key] for key in keys},
        baseline_shifted=outcomes[shifted.key],
        mean_of_four=outcomes[of_four.key],
        predicted_shift_error=study.shift_error(detector, baseline.shape[1], shifted.offset),
        images=len(images),
        detector=detector.name,
        times=timing.cpu_milliseconds(keys, rounds=rounds, size=size) if rounds else {},
        device_times=timing.device_milliseconds(keys, rounds=rounds, size=size) if rounds else None,
        examples=_examples(images, compared, options.examples),
    )
    return report.write(output, results)


def read_images(source: str, *, size: int, count: int | None = None) -> np.ndarray:
    """Reads the images of a folder, or draws frames in which one of the cast is seen.

    Args:
      source: a folder, or `MOVING_PHOTOGRAPHS`.
      size: height and width, in pixels.
      count: at most so many.

    Returns:
      float32 (N, size, size, 3) in [0, 1].

    Raises:
      ValueError: there is no such folder, or no image in it, or `count` is less than 1.
    """
    if source != MOVING_PHOTOGRAPHS:
        return flat_folder.read_squares(source, size=size, count=count)
    options = dict(num_frames=1, num_parts=(1, 1), cast=True, size=size, seed=_SEED)
    try:
        films = MovingPhotographs(_FRAMES if count is None else count, **options)
    except ValueError as error:
        raise ValueError(f"count: {error}") from error
    return np.concatenate([films.frames(i, (0,)) for i in range(len(films))]) / np.float32(255)


def _examples(images: np.ndarray, compared: list[Reduction], count: int) -> list[Example]:
    chosen = np.unique(np.linspace(0, len(images) - 1, count + 2)[1:-1].astype(int))
    both = {r.method for r in compared if r.phase == "aligned"}
    names = [
        r.method.replace("_", " ") + (f",\n{r.phase}" if r.method in both else "") for r in compared
    ]
    small = [np.asarray(r.apply(images[chosen])) for r in compared] if len(chosen) else []
    return [
        Example(images[i], {name: s[place] for name, s in zip(names, small, strict=True)})
        for place, i in enumerate(chosen)
    ]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    try:
        print(run(parser.parse_args(arguments)))
    except ValueError as error:
        raise SystemExit(f"downsampling: {error}") from error


if __name__ == "__main__":
    main()
