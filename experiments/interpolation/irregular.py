"""Photographs from samples at irregular positions: SciPy's interpolations and Gaussian mixtures.

Positions are random, a jittered grid or blue noise, at 1 to 50 % of the number of pixels; and, the
headline, 65 536 random positions of a photograph of 512 x 512 pixels.

Run: python -m experiments.interpolation.irregular --images FOLDER --output FOLDER
"""

import os

# Read when NumPy is imported; see peers_scipy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse  # noqa: E402
import dataclasses  # noqa: E402
import functools  # noqa: E402
import math  # noqa: E402
import pathlib  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402

import numpy as np  # noqa: E402
from jax import numpy as jnp  # noqa: E402
from scipy import spatial  # noqa: E402

from aa_jax.data import flat_folder  # noqa: E402
from aa_jax.ops import image_quality  # noqa: E402
from aa_jax.ops.splat import interpolate  # noqa: E402
from experiments.interpolation import (  # noqa: E402
    estimators,
    irregular_report as report,
    peers_scipy,
    sampling,
)

DENSITIES = (0.01, 0.05, 0.1, 0.25, 0.5)
HEADLINE_SIZE, HEADLINE_POINTS, HEADLINE_SEED = 512, 65_536, 1

# Standard deviations in units of the samples' spacing. Tuned once, as those of `estimators`, on the
# headline's photograph with other positions (seed 0), and then used everywhere.
SIGMA = 0.45
ADAPTIVE_SIGMA = 0.45
LINEAR_SIGMA = 0.5


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How near one method came, means over photographs.

    Attributes:
      l1, psnr, ssim: to the photograph, [0, 1].
      seconds: of the process on all cores, for one photograph.
      first_seconds: of the first call, which compiles; None if it was the only one.
    """

    l1: float
    psnr: float
    ssim: float
    seconds: float
    first_seconds: float | None = None


def random_points(count: int, size: tuple[int, int], seed: int) -> np.ndarray:
    """Uniform over the pixels' centres: (count, 2) x and y, float32."""
    generator = np.random.default_rng(seed)
    return (generator.random((count, 2)) * _extent(size)).astype(np.float32)


def jittered_points(count: int, size: tuple[int, int], seed: int) -> np.ndarray:
    """One point anywhere in each cell of a grid; `count` is met up to the grid's rounding."""
    rows = max(1, round(math.sqrt(count * size[0] / size[1])))
    columns = max(1, round(count / rows))
    generator = np.random.default_rng(seed)
    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2)
    points = (cells + generator.random(cells.shape)) / [columns, rows]
    return (points * _extent(size)).astype(np.float32)


def blue_noise_points(count: int, size: tuple[int, int], seed: int) -> np.ndarray:
    """Poisson-disc sampling: no two points are nearer than 0.7 of their mean spacing.

    Darts are thrown in a random order and kept if no dart before them that was kept is nearer; of
    those, as many as wanted stay, at random. A maximal set keeps about 0.7 / distance² darts per
    unit area, so there is always enough to choose from.
    """
    generator = np.random.default_rng(seed)
    distance = 0.7 * math.sqrt(np.prod(_extent(size)) / count)
    darts = generator.random((8 * count, 2)) * _extent(size)
    # First of each pair is the dart thrown earlier.
    pairs = spatial.cKDTree(darts).query_pairs(distance, output_type="ndarray")
    undecided, kept = np.ones(len(darts), bool), np.zeros(len(darts), bool)
    while undecided.any():
        behind = np.zeros(len(darts), bool)
        behind[pairs[:, 1]] = True
        new = undecided & ~behind
        kept |= new
        undecided &= ~new
        undecided[pairs[new[pairs[:, 0]], 1]] = False
        pairs = pairs[undecided[pairs].all(1)]
    chosen = np.flatnonzero(kept)
    chosen = generator.permutation(chosen)[:count]
    return darts[chosen].astype(np.float32)


LAYOUTS = {"random": random_points, "jittered": jittered_points, "blue noise": blue_noise_points}


def colours(image: np.ndarray, points: np.ndarray, reading: str) -> np.ndarray:
    """What a photograph shows at points: read "bilinear" between pixels, or from the "nearest"."""
    return sampling.sample_bilinear(image, points if reading == "bilinear" else np.rint(points))


def mixtures(points: np.ndarray, size: tuple[int, int]) -> dict[str, Callable]:
    """Our methods for these points: name -> function of values.

    All the work is inside of the functions, so that it can be timed.
    """
    mean = math.sqrt(np.prod(_extent(size)) / len(points))
    # Room for Gaussians of twice the mean spacing; one capacity for all, so that they compile once.
    capacity = int(len(points) * 2 * (6 * 0.7 * mean / 8 + 1) ** 2)
    render = functools.partial(interpolate, size=size, capacity=capacity)

    def constant(values):
        return render(points, values, np.float32(SIGMA * mean)).image

    def adaptive(values):
        return render(points, values, ADAPTIVE_SIGMA * estimators.local_spacing(points)).image

    def local_linear(values):
        width = LINEAR_SIGMA * estimators.local_spacing(points)
        return render(points, values, width, regression="linear").image

    def corrected(values):
        spacing = estimators.local_spacing(points)
        return estimators.pilot(points, values, spacing, size, capacity=capacity)

    def steered(values):
        return estimators.reconstruct(points, values, size, capacity=capacity)

    return {
        "mixture, one sigma": constant,
        "mixture, adaptive sigma": adaptive,
        "local linear, adaptive": local_linear,
        "mixture, adaptive, corrected": corrected,
        "local linear, steered, corrected": steered,
    }


def peers(points: np.ndarray, size: tuple[int, int], rbf_most: int) -> dict[str, Callable]:
    """SciPy's methods for these points: name -> function of values."""
    made = {
        "SciPy nearest": lambda values: peers_scipy.nearest(points, values, size),
        "SciPy linear": lambda values: peers_scipy.linear(points, values, size),
        "SciPy Clough-Tocher": lambda values: peers_scipy.clough_tocher(points, values, size),
    }
    if len(points) <= rbf_most:
        made["SciPy RBF, 16 neighbours"] = lambda values: peers_scipy.radial_basis(
            points, values, size
        )
    return made


def measure(image, points, values, *, rbf_most: int, repeat: bool, zero: bool):
    """All methods on one photograph.

    Args:
      image: (height, width, 3) in [0, 1].
      points: (N, 2).
      values: (N, 3), the samples.
      rbf_most: the most points for radial basis functions.
      repeat: time the mixtures a second time, when they are compiled.
      zero: also judge SciPy's NaN outside the hull as zero, not only as the nearest sample.

    Returns:
      Outcomes by name, and images by name.
    """
    size = image.shape[:2]
    outcomes, made = {}, {}
    fallback = peers_scipy.nearest(points, values, size)

    def judge(name, picture, *seconds):
        picture = np.clip(np.asarray(picture, np.float32), 0, 1)
        made[name] = picture
        outcomes[name] = Outcome(*_quality(picture, image), *seconds)

    for name, function in peers(points, size, rbf_most).items():
        picture, seconds = _timed(function, values)
        judge(name, peers_scipy.filled(picture, fallback), seconds)
        if zero and np.isnan(picture).any():
            judge(f"{name}, zero outside", peers_scipy.filled(picture, 0), seconds)
    for name, function in mixtures(points, size).items():
        picture, first = _timed(function, values)
        if repeat:
            picture, seconds = _timed(function, values)
            judge(name, picture, seconds, first)
        else:
            judge(name, picture, first)
    return outcomes, made


def _timed(function, values):
    start = time.process_time()
    picture = np.asarray(function(values))
    return picture, time.process_time() - start


def _quality(picture, image) -> tuple[float, float, float]:
    pair = jnp.asarray(picture), jnp.asarray(image)
    return (
        float(image_quality.mean_absolute_error(*pair)),
        float(image_quality.peak_signal_to_noise(*pair)),
        float(image_quality.structural_similarity(*pair)),
    )


def headline(image: np.ndarray, points: int, reading: str) -> tuple[dict, dict]:
    """All methods with many random samples of one photograph; see `measure`."""
    positions = random_points(points, image.shape[:2], HEADLINE_SEED)
    values = colours(image, positions, reading)
    return measure(image, positions, values, rbf_most=points, repeat=True, zero=True)


def study(images: np.ndarray, options) -> Iterator[dict]:
    """All layouts and densities: (layout, density) -> method -> mean `Outcome`.

    Yields:
      What is known after each density.
    """
    size, results = images.shape[1:3], {}
    for density in options.densities:
        count = max(round(density * size[0] * size[1]), 16)
        for layout, draw in LAYOUTS.items():
            rows = []
            for index, image in enumerate(images):
                points = draw(count, size, options.seed + index)
                values = colours(image, points, options.reading)
                repeat = index == 0
                made = measure(
                    image, points, values, rbf_most=options.rbf_most, repeat=repeat, zero=False
                )
                rows.append(made[0])
            results[layout, density] = {name: _mean([r[name] for r in rows]) for name in rows[0]}
        yield results


def _mean(outcomes: list[Outcome]) -> Outcome:
    fields = ("l1", "psnr", "ssim", "seconds")
    means = [float(np.mean([getattr(o, field) for o in outcomes])) for field in fields]
    return Outcome(*means, outcomes[0].first_seconds)


def _extent(size: tuple[int, int]) -> np.ndarray:
    """(width, height) from the first pixel's centre to the last one's."""
    return np.array([size[1] - 1, size[0] - 1], float)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the study's options."""
    parser.add_argument("--images", required=True, help="folder of photographs")
    parser.add_argument("--output", required=True, help="folder to write the report to")
    parser.add_argument("--count", type=int, default=3, help="how many photographs")
    parser.add_argument("--crop-size", type=int, default=256, help="side of the centre crop")
    parser.add_argument(
        "--densities", type=float, nargs="*", default=DENSITIES, help="samples per pixel"
    )
    parser.add_argument(
        "--reading", choices=("bilinear", "nearest"), default="bilinear", help="of colours"
    )
    parser.add_argument(
        "--rbf-most", type=int, default=4000, help="most samples for radial basis functions"
    )
    parser.add_argument(
        "--headline-points", type=int, default=HEADLINE_POINTS, help="0 leaves the headline out"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the positions")


def run(arguments: argparse.Namespace) -> str:
    """Runs the study and writes its report; returns the tables.

    Raises:
      ValueError: the photographs can't be read, or a density isn't in (0, 1].
    """
    if not all(0 < density <= 1 for density in arguments.densities):
        raise ValueError(f"densities must be in (0, 1], got {arguments.densities}.")
    images = flat_folder.read_crops(
        arguments.images, crop_size=arguments.crop_size, count=arguments.count
    )
    pathlib.Path(arguments.output).mkdir(parents=True, exist_ok=True)
    start, first, example = time.time(), {}, None
    if arguments.headline_points:
        image = astronaut()
        for reading in ("nearest", "bilinear"):
            first[reading], made = headline(image, arguments.headline_points, reading)
            example = example or {"photograph": image} | made

    def write(results):
        seconds = time.time() - start
        print(f"after {seconds:.0f} s: {len(results)} layouts and densities", flush=True)
        return report.write(
            arguments.output, first, results, example, settings=vars(arguments), seconds=seconds
        )

    text = write({})
    for results in study(images, arguments):
        text = write(results)
    return text


def astronaut() -> np.ndarray:
    """The headline's photograph, from scikit-image: float32 (512, 512, 3) in [0, 1]."""
    from skimage import data

    return flat_folder.centre_crop(data.astronaut(), HEADLINE_SIZE, "the astronaut")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser)
    print(run(parser.parse_args()))


if __name__ == "__main__":
    main()
