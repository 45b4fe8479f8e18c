"""Where should the samples be? Their positions by gradient descent: as published, and exactly.

Section 3.3 of the paper moves the samples of a photograph so that the mixture resembles it more,
and reports that this diverges for narrow Gaussians and changes nothing for wide ones (Fig. 4, 5).
Here the same runs with the published gradient (`published_gradient`), with the exact one, and with
colours and widths learned as well. Every L1 is that of the mixture with the width asked for, before
and after in the same window.

From widths of half the window on, it is the window's edge that makes the picture, and a hard edge
has no derivative; so wide mixtures are also fitted in a window of the same reach that fades out.

    python -m experiments.interpolation.positions --output FOLDER [--steps N]
"""

import argparse
import functools
import time
from collections.abc import Sequence
from concurrent import futures
from typing import NamedTuple

import jax
import numpy as np
import optax
from flax import nnx
from jax import numpy as jnp
from PIL import Image

from aa_jax.nn import GaussianMixture
from aa_jax.ops import splat
from experiments.interpolation import fitting, positions_report, published_gradient

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea")
PIXELS = 240 * 160
DENSITY = 0.04  # points per pixel: the published 0.2 of each side
RADIUS = 10  # of the published window, in pixels
SIGMAS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0)
SEED = 1

# The published run: a picture of 2550 x 1700, stochastic gradient descent on the mean over it. The
# mean's gradient grows with fewer pixels, so that the rate shrinks with them for equal steps.
PUBLISHED_PIXELS = 2550 * 1700
PUBLISHED_RATE = 10.0
MOMENTUM = 0.9
PUBLISHED_STEPS = 60
SAFE_SIGMAS = (0.25, 0.5)  # also without the overflow

STEPS = 300
HALVING = 100  # steps after which every learning rate is halved
RATES = {"points": 0.1, "widths": 0.08, "colours": 0.02}  # of Adam: pixels, pixels, [0, 1]
NARROWEST, WIDEST = 0.3, 8.0  # learned widths, pixels
BROAD = 1.5  # pixels: narrower mixtures are approached from here
WIDE = 5.0  # pixels, the spacing of the points: from here on they move four times as fast
COLOUR_SIGMAS = (0.5, 5.0, 10.0)
LEARNED_SIGMA = 2.0  # where learned widths begin


class Scene(NamedTuple):
    """A photograph and its first samples: (height, width, 3) in [0, 1], and (points, 2)."""

    picture: np.ndarray
    points: np.ndarray


class Run(NamedTuple):
    """One optimisation.

    Attributes:
      row: what it was and what came of it: names, numbers and lists of numbers.
      curve: (steps + 1,) L1 before every step and after the last.
      points: (points, 2), where they ended.
      image: (height, width, 3), the mixture at the end.
    """

    row: dict
    curve: list[float]
    points: np.ndarray
    image: np.ndarray


def scene(name: str, *, pixels: int = PIXELS, seed: int = SEED) -> Scene:
    """A photograph of scikit-image, resized to about `pixels`, and uniformly random points."""
    from skimage import data

    photograph = Image.fromarray(getattr(data, name)())
    scale = (pixels / (photograph.width * photograph.height)) ** 0.5
    size = round(photograph.width * scale), round(photograph.height * scale)
    picture = np.asarray(photograph.resize(size, Image.Resampling.BICUBIC), np.float32) / 255
    number = round(DENSITY * size[0] * size[1])
    points = np.random.default_rng(seed).uniform(0, [size[0] - 1, size[1] - 1], (number, 2))
    return Scene(picture, points.astype(np.float32))


def read(picture: jax.Array, points: jax.Array) -> jax.Array:
    """Colours of a picture between its pixels, bilinearly: (points, channels).

    Differentiable in `points`, which are kept within the pixels' centres.
    """
    height, width, _ = picture.shape
    x, y = jnp.clip(points.T, 0, jnp.array([[width - 1], [height - 1]], points.dtype))
    left = jnp.clip(jnp.floor(x), 0, width - 2).astype(int)
    top = jnp.clip(jnp.floor(y), 0, height - 2).astype(int)
    right, down = (x - left)[:, None], (y - top)[:, None]
    upper = (1 - right) * picture[top, left] + right * picture[top, left + 1]
    lower = (1 - right) * picture[top + 1, left] + right * picture[top + 1, left + 1]
    return (1 - down) * upper + down * lower


def render(parameters: dict, picture: jax.Array, sigma, reach: tuple[str, float]) -> jax.Array:
    """The mixture, from what is learned and what is given.

    Args:
      parameters: "points" (N, 2); "widths" (N, 2) along x and y, or (N, 3) the Cholesky factors
        of covariances, otherwise all are `sigma`; "colours" (N, channels), otherwise the picture's
        at the points.
      picture: (height, width, channels).
      sigma: pixels.
      reach: the window and its support, as of `splat.interpolate`.
    """
    points, widths = parameters["points"], parameters.get("widths", sigma)
    if "widths" in parameters and widths.shape[1] == 3:
        a, b, c = widths.T
        lower = jnp.stack([jnp.stack([a, 0 * a], -1), jnp.stack([b, c], -1)], -2)
        widths = lower @ lower.mT
    colours = parameters["colours"] if "colours" in parameters else read(picture, points)
    rendering = splat.interpolate(
        points,
        colours,
        widths,
        size=picture.shape[:2],
        support=reach[1],
        window=reach[0],
        fallback=0.0,
        capacity=16 * len(points),
    )
    return rendering.image


def exact(
    view: Scene,
    sigma: float,
    learned: Sequence[str],
    *,
    window: str = "square",
    steps: int = STEPS,
) -> Run:
    """Adam with the exact gradient.

    Mixtures narrower than `BROAD` depend on positions through the colours, and otherwise only along
    thin borders between cells; so they are rendered broader at first, and as asked for in the last
    third of the steps. The reported L1 is always that at `sigma`.

    Args:
      view: photograph and first points.
      sigma: pixels; where widths are learned, where they begin.
      learned: some of "points", "widths" (along x and y) or "covariances", "colours".
      window: "square" as published, or "smooth", which fades to zero `RADIUS` from a point.
      steps: how many.
    """
    picture, number = jnp.asarray(view.picture), len(view.points)
    reach = (window, float(RADIUS) if window == "square" else RADIUS / sigma)
    parameters = {"points": jnp.asarray(view.points)}
    if "widths" in learned:
        parameters["widths"] = jnp.full((number, 2), sigma)
    if "covariances" in learned:
        parameters["widths"] = jnp.tile(jnp.array([sigma, 0.0, sigma]), (number, 1))
    if "colours" in learned:
        parameters["colours"] = read(picture, parameters["points"])
    moments = optax.scale_by_adam().init(parameters)
    faster = 4 if sigma >= WIDE else 2 if "widths" in parameters else 1
    rates = RATES | {"points": RATES["points"] * faster}
    wrong, curve, began = [], [], time.perf_counter()
    for step in range(steps):
        done = min(1.5 * step / steps, 1)
        rendered = sigma if sigma >= BROAD else BROAD ** (1 - done) * sigma**done
        loss, gradient, bad = _gradient(parameters, picture, rendered, reach)
        curve.append(loss if rendered == sigma else _l1(parameters, picture, sigma, reach)[0])
        wrong.append(bad)
        slower = {name: rate * 0.5 ** (step // HALVING) for name, rate in rates.items()}
        parameters, moments = _moved(parameters, moments, gradient, slower, picture.shape[:2])
    last, image = _l1(parameters, picture, sigma, reach)
    curve = [float(loss) for loss in [*curve, last]]
    points = np.asarray(parameters["points"])
    row = _row(view, points, curve, [int(bad) for bad in wrong], sigma)
    row |= {"gradient": "exact", "trained": ", ".join(learned), "window": window}
    return Run(row | {"seconds": time.perf_counter() - began}, curve, points, np.asarray(image))


def relocated(view: Scene, sigma: float, *, steps: int) -> Run:
    """Everything learned, and points without use moved to where the error is (`fitting`).

    Args:
      view: photograph and first points.
      sigma: pixels, where widths begin.
      steps: how many.
    """
    began = time.perf_counter()
    colours = read(jnp.asarray(view.picture), jnp.asarray(view.points))
    start = GaussianMixture(view.points, colours, sigma)
    options = fitting.FitOptions(points=len(view.points), steps=steps)
    curve = []
    for progress in fitting.steps(view.picture, options, start=start):
        curve.append(float(jnp.abs(progress.image - view.picture).mean()))
    model = progress.mixture()
    image = np.asarray(model(view.picture.shape[:2]).image)
    curve.append(float(np.abs(image - view.picture).mean()))
    points = np.asarray(model.points[...])
    finite = [np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(nnx.state(model))]
    row = _row(view, points, curve, [int(not all(finite))], sigma)
    row |= {"gradient": "exact", "trained": "points, covariances, colours, relocation"}
    row |= {"window": "smooth", "seconds": time.perf_counter() - began}
    return Run(row, curve, points, image)


def published(view: Scene, sigma: float, *, order: str = "published", steps: int) -> Run:
    """The published descent on this photograph.

    Args:
      view: photograph and first points.
      sigma: pixels.
      order: "published", or "safe" for the same formula without its overflow.
      steps: how many.
    """
    height, width, _ = view.picture.shape
    began = time.perf_counter()
    descent = published_gradient.descend(
        view.picture,
        view.points,
        sigma,
        radius=RADIUS,
        rate=PUBLISHED_RATE * height * width / PUBLISHED_PIXELS,
        momentum=MOMENTUM,
        halving=HALVING,
        steps=steps,
        order=order,
    )
    row = _row(view, descent.points, descent.curve, descent.wrong, sigma)
    name = "published" if order == "published" else "published, no overflow"
    row |= {"gradient": name, "trained": "points", "window": "square"}
    row |= {"overflowing": descent.overflowing, "holes": descent.holes}
    row["seconds"] = time.perf_counter() - began
    return Run(row, descent.curve, descent.points, descent.image)


def agreement(view: Scene, sigma: float) -> float:
    """Cosine between the published gradient, free of overflow, and the exact one at the start."""
    widths = np.full_like(view.points, sigma)
    mixture = published_gradient.forward(view.picture, view.points, widths, RADIUS)
    cotangent = np.sign(mixture.image - view.picture) / np.float32(view.picture.size)
    theirs = published_gradient.backward(mixture, widths, cotangent, order="safe").points
    start = {"points": jnp.asarray(view.points)}
    reach = ("square", float(RADIUS))
    ours = np.asarray(_gradient(start, jnp.asarray(view.picture), sigma, reach)[1]["points"])
    return float((theirs * ours).sum() / np.linalg.norm(theirs) / np.linalg.norm(ours))


def study(scenes: dict[str, Scene], sigmas: Sequence[float], steps: int) -> list[Run]:
    """All runs; the published ones, which are NumPy's, beside those on the device."""
    few = min(steps, PUBLISHED_STEPS)
    runs = []
    with futures.ThreadPoolExecutor(1) as beside:
        jobs = []
        for name, view in scenes.items():
            orders = [(sigma, "published") for sigma in sigmas]
            orders += [(sigma, "safe") for sigma in SAFE_SIGMAS if sigma in sigmas]
            for sigma, order in orders:
                job = beside.submit(published, view, sigma, order=order, steps=few)
                jobs.append((name, view, job))
        for name, view in scenes.items():
            for sigma, learned, window in _plans(sigmas):
                runs.append(exact(view, sigma, learned, window=window, steps=steps))
                _say(runs[-1], name)
            runs.append(relocated(view, LEARNED_SIGMA, steps=steps))
            _say(runs[-1], name)
        for name, view, job in jobs:
            run_ = job.result()
            run_.row["cosine"] = agreement(view, run_.row["sigma"])
            _say(run_, name)
            runs.append(run_)
    return runs


def _plans(sigmas: Sequence[float]):
    """Width, what is trained, and window of every run with the exact gradient."""
    for sigma in sigmas:
        yield sigma, ("points",), "square"
        if sigma >= WIDE:
            yield sigma, ("points",), "smooth"
        if sigma in COLOUR_SIGMAS:
            yield sigma, ("points", "colours"), "smooth" if sigma >= WIDE else "square"
    for kind in ("widths", "covariances"):
        yield LEARNED_SIGMA, ("points", kind, "colours"), "square"


def _say(run_: Run, photograph: str) -> None:
    run_.row["photograph"] = photograph
    row = run_.row
    print(
        f"{photograph}, sigma {row['sigma']:g}, {row['gradient']}, {row['trained']}, "
        f"{row['window']} window: L1 {row['before']:.4f} -> {row['after']:.4f}",
        flush=True,
    )


def _row(view: Scene, points, curve, wrong, sigma: float) -> dict:
    """Numbers that every run has."""
    height, width, _ = view.picture.shape
    kept = np.isfinite(points).all(1)
    moved = (points - view.points)[kept]
    on_border = ((points <= 0) | (points >= [width - 1, height - 1])).any(1)
    return {
        "sigma": sigma,
        "steps": len(curve) - 1,
        "number": len(points),
        "before": curve[0],
        "after": curve[-1],
        "moved": float(np.sqrt((moved**2).sum(1).mean())) if kept.any() else None,
        "lost": int((~kept).sum()),
        "border": float(on_border.mean()),
        "wrong": wrong,
    }


@functools.partial(jax.jit, static_argnames="reach")
def _l1(parameters, picture, sigma, reach):
    image = render(parameters, picture, sigma, reach)
    return jnp.abs(image - picture).mean(), image


@functools.partial(jax.jit, static_argnames="reach")
def _gradient(parameters, picture, sigma, reach):
    """The loss, its gradient, and how many points have one that is not finite."""
    loss, gradient = jax.value_and_grad(lambda p: _l1(p, picture, sigma, reach)[0])(parameters)
    finite = [jnp.isfinite(g).all(-1) for g in gradient.values()]
    return loss, gradient, (~jnp.stack(finite).all(0)).sum()


@functools.partial(jax.jit, static_argnames="size")
def _moved(parameters, moments, gradient, rates, size):
    """One step of Adam, points kept on the canvas and widths between their bounds."""
    updates, moments = optax.scale_by_adam().update(gradient, moments)
    new = {name: p - rates[name] * updates[name] for name, p in parameters.items()}
    new["points"] = jnp.clip(new["points"], 0, jnp.array([size[1] - 1.0, size[0] - 1.0]))
    if "widths" in new:
        least = [NARROWEST, NARROWEST]
        if new["widths"].shape[1] == 3:
            least = [NARROWEST, -WIDEST, NARROWEST]
        new["widths"] = jnp.clip(new["widths"], jnp.array(least), WIDEST)
    return new, moments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The study's options."""
    parser.add_argument("--output", required=True, help="folder for the report")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of every run ({STEPS})")
    parser.add_argument(
        "--photographs", nargs="+", choices=PHOTOGRAPHS, default=PHOTOGRAPHS, help="which ones"
    )
    parser.add_argument("--sigmas", nargs="+", type=float, default=SIGMAS, help="widths, pixels")
    parser.add_argument("--pixels", type=int, default=PIXELS, help=f"of a picture ({PIXELS})")


def run(arguments: argparse.Namespace) -> str:
    """Runs the study and writes its report into the folder `output`; returns the tables.

    Raises:
      ValueError: there are no steps, or too few pixels for the window.
    """
    if arguments.steps < 1:
        raise ValueError(f"steps must be at least 1, got {arguments.steps}.")
    if arguments.pixels < 400:
        raise ValueError(f"pixels must be at least 400, got {arguments.pixels}.")
    began = time.perf_counter()
    scenes = {name: scene(name, pixels=arguments.pixels) for name in arguments.photographs}
    runs = study(scenes, arguments.sigmas, arguments.steps)
    seconds = time.perf_counter() - began
    return positions_report.write(arguments.output, scenes, runs, seconds=seconds, seed=SEED)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_arguments(parser)
    print(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
