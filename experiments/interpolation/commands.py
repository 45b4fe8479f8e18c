"""What `scripts/interpolate.py` does: from samples, an image or a fitted mixture to pictures."""

import pathlib
import sys
import time
from collections.abc import Iterator

import numpy as np

from aa_jax.data.folder import read_image
from aa_jax.ops.splat import PIXEL_FOOTPRINT, interpolate
from aa_jax.training import writing
from experiments.interpolation import estimators
from experiments.interpolation.fitting import FitOptions, Progress, steps
from experiments.interpolation.mixture_file import load_mixture, save_mixture
from experiments.interpolation.samples_file import read_samples

MOST_PIXELS = 2**26
_FRAMES = 150  # of a film, more of them from the beginning, where most happens
_PER_SPACING = 0.6  # width of a sample, as a share of the distance to its neighbours
_LEAST_SPACING = 0.1  # pixels: samples may coincide
_ENOUGH_TO_STEER = 16


def from_samples(
    path: str,
    output: pathlib.Path,
    *,
    size: tuple[int, int] | None,
    estimator: str,
    width: float | None,
    maximum: float,
) -> str:
    """Draws an image of scattered samples.

    Args:
      path: as of `read_samples`.
      output: PNG.
      size: (height, width); None for the smallest image that holds all samples.
      estimator: "steered" for planes under Gaussians that lie along the edges which the samples
        show, "plane" for round ones, "mean" for the expectation.
      width: standard deviation in pixels; None follows the distance to neighbouring samples.
      maximum: the value that is white.

    Returns:
      A line about it.
    """
    samples = read_samples(path, maximum=maximum)
    if size is None:
        if samples.points.min() < -0.5:
            raise ValueError(
                "size must be given where samples lie left of or above the first pixel, got "
                f"{samples.points.min(0).tolist()}."
            )
        x, y = np.floor(samples.points.max(0) + 0.5)
        # Before numbers of any size become a length.
        _check_size(float(y) + 1, float(x) + 1)
        size = (int(y) + 1, int(x) + 1)
    _check_size(*size)
    if estimator == "steered" and width is not None:
        raise ValueError("width is what steering chooses; give it with --estimator plane or mean")
    points, values = (array.astype(np.float32) for array in (samples.points, samples.values))
    if estimator == "steered" and len(points) >= _ENOUGH_TO_STEER:
        image = estimators.reconstruct(points, values, size)
    else:
        if width is None:
            spacing = estimators.local_spacing(points) if len(points) > 1 else np.ones(1)
            width = _PER_SPACING * np.maximum(spacing, _LEAST_SPACING)
        regression = "constant" if estimator == "mean" else "linear"
        image = interpolate(points, values, width, size=size, regression=regression).image
    writing.write_png(output, _bytes(image))
    return f"{len(points)} samples became {size[0]} x {size[1]} pixels"


def resize(path: str, output: pathlib.Path, *, scale: float, width: float) -> str:
    """Draws an image at another size: its pixels are the samples.

    Args:
      path: of the image.
      output: PNG.
      scale: pixels drawn per pixel of the image.
      width: standard deviation of a pixel's Gaussian, in pixels of the image.

    Returns:
      A line about it.
    """
    image = read_image(path)
    height, across = image.shape[:2]
    size = tuple(max(round(side * scale), 1) for side in (height, across))
    _check_size(*size)
    rows, columns = np.mgrid[:height, :across]
    points = np.stack([columns.ravel(), rows.ravel()], -1).astype(np.float32)
    values = image.reshape(-1, 3).astype(np.float32) / 255
    drawn = interpolate(
        points, values, width, size=size, scale=scale, footprint=PIXEL_FOOTPRINT
    ).image
    writing.write_png(output, _bytes(drawn))
    return f"{height} x {across} pixels became {size[0]} x {size[1]}"


def fit(
    path: str,
    output: pathlib.Path,
    *,
    options: FitOptions,
    film: pathlib.Path | None,
    mixture: pathlib.Path | None,
    fps: float,
) -> str:
    """Fits Gaussians to an image.

    Args:
      path: of the image.
      output: PNG of the fitted mixture.
      options: how.
      film: `.mp4` or `.gif` of the image as it converges.
      mixture: `.npz` to keep the mixture in.
      fps: frames a second.

    Returns:
      A line about it.
    """
    image = read_image(path)
    latest: list[Progress] = []

    def followed() -> Iterator[Progress]:
        for progress in _with_bar(steps(image / 255.0, options), options.steps):
            latest[:] = [progress]
            yield progress

    if film is None:
        for _ in followed():
            pass
    else:
        chosen = _frame_steps(options.steps)
        frames = (_bytes(p.image) for p in followed() if p.step in chosen)
        writing.write_film(film, frames, fps)
    model = latest[0].mixture()
    size = image.shape[:2]
    picture = _bytes(model(size).image)
    writing.write_png(output, picture)
    if mixture is not None:
        save_mixture(mixture, model, size)
    error = np.mean((picture.astype(np.float64) - image) ** 2)
    psnr = 10 * np.log10(255**2 / error) if error else float("inf")
    return f"{options.points} Gaussians show {size[0]} x {size[1]} pixels with {psnr:.2f} dB"


def render(path: str, output: pathlib.Path, *, scale: float) -> str:
    """Draws a fitted mixture at any size.

    Args:
      path: of the mixture's `.npz`.
      output: PNG.
      scale: pixels drawn per pixel of the image it was fitted to.

    Returns:
      A line about it.
    """
    model, (height, across) = load_mixture(path)
    size = tuple(max(round(side * scale), 1) for side in (height, across))
    _check_size(*size)
    # At its own scale a mixture was fitted to pixels as they are.
    footprint = PIXEL_FOOTPRINT if scale < 1 else 0.0
    drawn = model(size, scale=scale, footprint=footprint).image
    writing.write_png(output, _bytes(drawn))
    return f"{len(model.values[...])} Gaussians, {size[0]} x {size[1]} pixels"


def _check_size(height: float, width: float) -> None:
    if height * width > MOST_PIXELS:
        raise ValueError(
            f"the image must have at most {MOST_PIXELS} pixels, got {height:.0f} x {width:.0f}."
        )


def _frame_steps(total: int) -> set[int]:
    """Steps whose images make the film: all of the first, then ever fewer."""
    spread = np.linspace(0, 1, min(_FRAMES, total)) ** 2
    return {1 + round(float(share) * (total - 1)) for share in spread}


def _bytes(image) -> np.ndarray:
    image = np.round(np.clip(np.asarray(image), 0, 1) * 255).astype(np.uint8)
    return np.repeat(image, 3, -1) if image.shape[-1] == 1 else image


def _with_bar(progresses: Iterator[Progress], total: int) -> Iterator[Progress]:
    """Shows a bar on standard error: over itself on a terminal, else a line now and then."""
    stream, start, printed = sys.stderr, time.monotonic(), 0.0
    on_terminal = stream.isatty()
    for progress in progresses:
        now = time.monotonic()
        done = progress.step / total
        if now - printed > (0.2 if on_terminal else 10) or progress.step == total:
            printed = now
            filled = round(30 * done)
            left = (now - start) / done - (now - start)
            line = (
                f"[{'#' * filled}{'.' * (30 - filled)}] step {progress.step}/{total}, "
                f"{progress.psnr:.2f} dB, {left:.0f} s left"
            )
            print(line, end="\r" if on_terminal else "\n", file=stream, flush=True)
        yield progress
    if on_terminal:
        print(file=stream)
