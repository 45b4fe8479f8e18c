"""Study (d): how well K Gaussians show a photograph, in how many bytes, after how much time."""

import argparse
import dataclasses
import json
import pathlib
import resource
import time

import numpy as np

from aa_jax.data.folder import read_image
from aa_jax.data.photograph_files import load_photograph
from aa_jax.training.whole_file import replacing
from experiments.interpolation import budget_report
from experiments.interpolation.fitting import FitOptions, steps
from experiments.interpolation.mixture_file import BYTES_PER_POINT, rounded

PHOTOGRAPHS = {"astronaut": ("astronaut.png", 512, 512, 1), "coffee": ("coffee.png", 600, 400, 1)}


@dataclasses.dataclass(frozen=True)
class Fitted:
    """One fit.

    Attributes:
      image: its name.
      points: number of Gaussians.
      psnr: decibels, of the image rounded to 8 bits.
      psnr_rounded: the same, of the mixture in 16 bits a number.
      bytes: of that mixture.
      image_bytes: of the image, 8 bits a sample.
      seconds: wall clock, compilation included.
      cpu_seconds: of all threads.
      curve: (step, seconds, decibels) along the fit.
    """

    image: str
    points: int
    psnr: float
    psnr_rounded: float
    bytes: int
    image_bytes: int
    seconds: float
    cpu_seconds: float
    curve: list[tuple[int, float, float]]


def measure(name: str, image: np.ndarray, options: FitOptions) -> tuple[Fitted, np.ndarray]:
    """Fits one image.

    Args:
      name: of the image.
      image: uint8 (height, width, 3).
      options: how to fit.

    Returns:
      The numbers, and the fitted image, uint8.
    """
    start, cpu = time.perf_counter(), time.process_time()
    curve = []
    every = max(options.steps // 100, 1)
    for progress in steps(image / 255.0, options):
        if progress.step % every == 0 or progress.step in (1, options.steps):
            curve.append((progress.step, time.perf_counter() - start, progress.psnr))
    model = progress.mixture()
    size = image.shape[:2]
    picture = _bytes(model(size).image)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    fitted = Fitted(
        image=name,
        points=options.points,
        psnr=_psnr(picture, image),
        psnr_rounded=_psnr(_bytes(rounded(model, size)(size).image), image),
        bytes=options.points * BYTES_PER_POINT,
        image_bytes=image.size,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        curve=curve,
    )
    return fitted, picture


def _bytes(image) -> np.ndarray:
    return np.round(np.clip(np.asarray(image), 0, 1) * 255).astype(np.uint8)


def _psnr(picture: np.ndarray, image: np.ndarray) -> float:
    error = np.mean((picture.astype(np.float64) - image) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The study's options."""
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for the report")
    parser.add_argument(
        "--images",
        nargs="*",
        default=list(PHOTOGRAPHS),
        metavar="IMAGE",
        help="files, or astronaut and coffee (default: both)",
    )
    parser.add_argument(
        "--points",
        nargs="*",
        type=int,
        default=[1000, 3000, 10_000, 30_000],
        metavar="K",
        help="numbers of Gaussians",
    )
    parser.add_argument("--steps", type=int, default=FitOptions().steps, help="of gradient descent")


def run(arguments: argparse.Namespace) -> None:
    """Fits every image with every number of Gaussians and writes the report."""
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows, pictures = [], {}
    for name in arguments.images:
        image = load_photograph(*PHOTOGRAPHS[name]) if name in PHOTOGRAPHS else read_image(name)
        for points in arguments.points:
            options = FitOptions(points=points, steps=arguments.steps)
            fitted, picture = measure(pathlib.Path(name).stem, image, options)
            rows.append(fitted)
            pictures.setdefault(fitted.image, {"original": image})[f"{points:,}"] = picture
            print(
                f"{fitted.image}: {points} Gaussians, {fitted.psnr:.2f} dB after "
                f"{fitted.seconds:.0f} s",
                flush=True,
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with replacing(arguments.output / "budget.json") as path:
        results = {"fits": [dataclasses.asdict(row) for row in rows], "peak_memory_mb": peak}
        path.write_text(json.dumps(results, indent=1))
    print(budget_report.write(arguments.output, rows, pictures, peak))
