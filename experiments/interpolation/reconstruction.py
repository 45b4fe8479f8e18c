"""Photographs from a regular grid of their samples: Pillow's filters and mixtures of Gaussians.

The published comparison (I. Skorokhodov, Interpolating Points on a Non-Uniform Grid using a
Mixture of Gaussians, 2020, figure 2) let Pillow enlarge an image that it had reduced, gave the
mixture point samples, and took the best of 45 settings for each image. Here every protocol has its
own row.

Run: python -m experiments.interpolation.reconstruction --images FOLDER --output FOLDER
"""

import argparse
import dataclasses
import pathlib
import time

import numpy as np
from jax import numpy as jnp
from PIL import Image

from aa_jax.data import flat_folder
from aa_jax.ops import image_quality
from experiments.interpolation import (
    estimators,
    learned,
    reconstruction_report as report,
    sampling,
    separable,
)

FACTORS = (2, 4, 8, 16)
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5)
FILTERS = ("NEAREST", "BOX", "BILINEAR", "HAMMING", "BICUBIC", "LANCZOS")
OFFICIAL_RADII = (1, 2, 3, 5, 10)
OFFICIAL_SIGMAS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 5)
# In units of the distance between samples; one of each list serves all photographs.
SIGMAS = (0.2, 0.25, 0.275, 0.3, 0.325, 0.35, 0.375, 0.4, 0.425, 0.45, 0.5, 0.55, 0.6, 0.7)
ROUNDS = (1, 2, 4, 8)
STEERED_WIDTHS = (0.4, 0.5, 0.6)
STEERED_EXPONENTS = (0.75, 1.5)


@dataclasses.dataclass(frozen=True)
class Grid:
    """Samples of a square image.

    Attributes:
      positions: of rows, and of columns, in pixels.
      values: (images, count, count, 3).
    """

    positions: np.ndarray
    values: np.ndarray

    @property
    def spacing(self) -> float:
        return float(self.positions[1] - self.positions[0])

    @property
    def points(self) -> np.ndarray:
        return lattice(self.positions)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one method made of the photographs, and how near it came.

    Attributes:
      protocol: "fair" where samples or the reduced image are all it saw, otherwise "oracle".
      constants: what was tuned, and to what.
      l1, psnr, ssim: means over the photographs.
      l1_of_first: mean over those photographs that the fitted methods are measured on.
      photographs: how many were measured.
      example: (height, width, 3), what became of the example photograph.
    """

    protocol: str
    constants: dict
    l1: float
    psnr: float
    ssim: float
    l1_of_first: float
    photographs: int
    example: np.ndarray

    @property
    def numbers(self) -> dict:
        return {k: v for k, v in dataclasses.asdict(self).items() if k != "example"}


def lattice(positions: np.ndarray) -> np.ndarray:
    """(N, 2) x and y of a grid, row by row."""
    return np.stack(np.meshgrid(positions, positions), -1).reshape(-1, 2).astype(np.float32)


def corner_positions(size: int, count: int) -> np.ndarray:
    """The published grid, from the first pixel's centre to the last one's."""
    return np.linspace(0, size - 1, count)


def cell_positions(size: int, count: int) -> np.ndarray:
    """Centres of equal cells: where the pixels of a reduced image are."""
    return (np.arange(count) + 0.5) * size / count - 0.5


def sampled(images: np.ndarray, positions: np.ndarray) -> Grid:
    """Reads images between their pixels."""
    points = lattice(positions)
    side = len(positions)
    values = [sampling.sample_bilinear(i, points).reshape(side, side, -1) for i in images]
    return Grid(positions, np.stack(values))


def pillow(images: np.ndarray, size: int, method: str) -> np.ndarray:
    """Resizes as the published experiment did: bytes, with Pillow itself."""
    resample = Image.Resampling[method]
    pictures = [Image.fromarray(i).resize((size, size), resample) for i in as_bytes(images)]
    return np.stack([np.asarray(p) for p in pictures]).astype(np.float32) / 255


def as_bytes(images: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)


def official(grid: Grid, images: np.ndarray) -> tuple[np.ndarray, dict]:
    """The published protocol: for each image the best of all radii and sigmas, black where empty.

    Returns:
      The images, and how often each "sigma, radius" was the best.
    """
    best, best_error, choices = None, None, np.zeros(len(images), int)
    settings = [(s, r) for r in OFFICIAL_RADII for s in OFFICIAL_SIGMAS]
    for index, (sigma, radius) in enumerate(settings):
        made = separable.smooth(
            grid.values, *[grid.positions] * 2, sigma, size=images.shape[1:3], radius=radius
        )
        error = np.abs(made - images).mean((1, 2, 3))
        if best is None:
            best, best_error = made, error
            continue
        better = error < best_error
        best[better], best_error[better], choices[better] = made[better], error[better], index
    found, counts = np.unique(choices, return_counts=True)
    names = ["sigma {}, radius {}".format(*settings[i]) for i in found]
    return best, dict(zip(names, counts.tolist(), strict=True))


def tuned(candidates, make, images: np.ndarray) -> tuple[np.ndarray, object]:
    """The candidate with the least mean L1 over all images, and what it makes."""
    best = None
    for candidate in candidates:
        made = np.clip(make(candidate), 0, 1)
        error = np.abs(made - images).mean()
        if best is None or error < best[0]:
            best = error, made, candidate
    return best[1:]


def mixture(grid: Grid, size, relative_sigma: float, rounds: int = 0) -> np.ndarray:
    """The expectation with one sigma, of values that were corrected `rounds` times."""
    sigma = relative_sigma * grid.spacing
    axes = [grid.positions] * 2

    def at_samples(values):
        return separable.smooth_at_samples(values, *axes, sigma)

    values = separable.corrected(grid.values, at_samples, rounds=rounds)
    return separable.smooth(values, *axes, sigma, size=size)


def steered(grid: Grid, size, steering: estimators.Steering, count=None) -> np.ndarray:
    """Local planes, their covariances along the edges that the corrected mixture shows."""
    some = Grid(grid.positions, grid.values[:count])
    pilots = mixture(some, size, 0.45, rounds=1)
    points, spacing = grid.points, np.full(len(grid.points), grid.spacing, np.float32)
    reach = 6 * max(STEERED_WIDTHS) * grid.spacing / 8 + 1  # in cells
    made = [
        estimators.steered(
            points,
            values.reshape(len(points), -1),
            pilot,
            steering,
            spacing=spacing,
            capacity=int(2 * reach**2 * len(points)),
        )
        for values, pilot in zip(some.values, pilots, strict=True)
    ]
    return np.stack([np.asarray(m) for m in made])


def fair_mixtures(grid: Grid, images: np.ndarray) -> dict:
    """What samples alone allow: name -> (images, constants)."""
    size = images.shape[1:3]
    axes = [grid.positions] * 2
    made = {}
    made["mixture, one sigma"] = tuned(SIGMAS, lambda s: mixture(grid, size, s), images)
    made["local linear, one sigma"] = tuned(
        SIGMAS,
        lambda s: separable.local_linear(grid.values, *axes, s * grid.spacing, size=size),
        images,
    )
    pairs = [(s, r) for s in SIGMAS for r in ROUNDS]
    made["mixture, corrected"] = tuned(pairs, lambda c: mixture(grid, size, c[0], c[1]), images)
    return made


def tuned_steering(grid: Grid, images: np.ndarray) -> estimators.Steering:
    """Steering's two constants: the best of a few for these images."""
    candidates = [
        estimators.Steering(width=w, exponent=e, smoothing=0.9)
        for w in STEERED_WIDTHS
        for e in STEERED_EXPONENTS
    ]
    size = images.shape[1:3]
    return tuned(candidates, lambda s: steered(grid, size, s, len(images)), images)[1]


def measure(images: np.ndarray, count: int, options) -> dict[str, Outcome]:
    """All methods with count x count samples: name -> outcome.

    Args:
      images: (images, side, side, 3) in [0, 1].
      count: of rows, and of columns.
      options: of the command line.
    """
    side = images.shape[1]
    outcomes = {}

    def add(name, made, constants=None, protocol="fair"):
        outcomes[name] = judged(np.clip(made, 0, 1), images, options, constants, protocol)

    reduced = pillow(images, count, "BILINEAR")
    nearest = np.floor(cell_positions(side, count) + 1).astype(int)  # to the cells' centres
    picked = images[:, nearest][:, :, nearest]
    for name in FILTERS:
        add(f"{name.lower()}, reduced", pillow(reduced, side, name))
    for name in FILTERS:
        add(f"{name.lower()}, points", pillow(picked, side, name))
    corners = sampled(images, corner_positions(side, count))
    cells = sampled(images, cell_positions(side, count))
    add("mixture, official protocol", *official(corners, images), protocol="oracle")
    same = Grid(cells.positions, reduced)
    add("mixture, reduced", *tuned(SIGMAS, lambda s: mixture(same, (side, side), s), images))
    steering = tuned_steering(cells, images[: options.tuning_images])
    for place, grid in (("corners", corners), ("cells", cells)):
        for name, (made, constants) in fair_mixtures(grid, images).items():
            add(f"{name}, {place}", made, constants)
        made = steered(grid, (side, side), steering)
        add(f"local linear, steered, {place}", made, dataclasses.asdict(steering))
    if options.fitted_images:
        some = slice(options.fitted_images)
        reach = 6 * 0.5 * cells.spacing / 8 + 1  # of a usual point, in cells
        fitting = learned.Fitting(steps=options.steps, capacity=2.0 * reach**2)
        start = cells.points, cells.values[some], 0.375 * cells.spacing, images[some]
        for name, value_rate in (("covariances", 0.0), ("covariances and values", 0.01)):
            made = learned.fit_all(*start, value_rate, fitting=fitting)
            add(f"fitted {name}, cells", made, {"steps": options.steps}, protocol="oracle")
    return outcomes


def judged(made: np.ndarray, images: np.ndarray, options, constants, protocol) -> Outcome:
    """The means of L1, PSNR and SSIM, in batches so that little memory is needed."""
    images = images[: len(made)]
    parts = [slice(i, i + 10) for i in range(0, len(made), 10)]
    values = {}
    for name in ("mean_absolute_error", "peak_signal_to_noise", "structural_similarity"):
        function = getattr(image_quality, name)
        values[name] = np.concatenate(
            [np.asarray(function(jnp.asarray(made[p]), jnp.asarray(images[p]))) for p in parts]
        )
    l1, psnr, ssim = values.values()
    return Outcome(
        protocol,
        constants if isinstance(constants, dict) else {"chosen": constants},
        float(l1.mean()),
        float(psnr.mean()),
        float(ssim.mean()),
        float(l1[: options.fitted_images or None].mean()),
        len(made),
        np.array(made[min(options.example, len(made) - 1)]),
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the study's options."""
    parser.add_argument("--images", required=True, help="folder of photographs")
    parser.add_argument("--output", required=True, help="folder to write the report to")
    parser.add_argument("--count", type=int, help="how many photographs; default: all")
    parser.add_argument("--crop-size", type=int, default=256, help="side of the centre crop")
    parser.add_argument("--factors", type=int, nargs="*", default=FACTORS, help="of reduction")
    parser.add_argument("--ratios", type=float, nargs="*", default=RATIOS, help="as published")
    parser.add_argument(
        "--tuning-images", type=int, default=4, help="photographs that steering is tuned on"
    )
    parser.add_argument(
        "--fitted-images", type=int, default=2, help="photographs to fit mixtures to, 0 for none"
    )
    parser.add_argument("--steps", type=int, default=100, help="of Adam for fitted mixtures")
    parser.add_argument("--example", type=int, default=0, help="photograph to show")


def run(arguments: argparse.Namespace) -> str:
    """Runs the study and writes its report; returns the table.

    Raises:
      ValueError: the photographs can't be read, or a number makes no sense.
    """
    for name in ("tuning_images", "steps"):
        if getattr(arguments, name) < 1:
            raise ValueError(f"{name} must be positive, got {getattr(arguments, name)}.")
    images = flat_folder.read_crops(
        arguments.images, crop_size=arguments.crop_size, count=arguments.count
    )
    side = images.shape[1]
    counts = {f"1/{factor}": side // factor for factor in arguments.factors}
    counts |= {f"{ratio:g}": round(side * ratio) for ratio in arguments.ratios}
    if not counts or min(counts.values()) < 2:
        raise ValueError(
            "factors and ratios must leave a grid of at least 2 x 2 samples, got factors "
            f"{arguments.factors} and ratios {arguments.ratios} for images of {side} pixels."
        )
    pathlib.Path(arguments.output).mkdir(parents=True, exist_ok=True)
    example = images[min(arguments.example, len(images) - 1)]
    start, results = time.time(), {}
    for name, count in counts.items():
        results[name] = measure(images, count, arguments)
        text = report.write(arguments.output, results, example, seconds=time.time() - start)
        print(f"{name}: {count} x {count} samples, after {time.time() - start:.0f} s", flush=True)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser)
    print(run(parser.parse_args()))


if __name__ == "__main__":
    main()
