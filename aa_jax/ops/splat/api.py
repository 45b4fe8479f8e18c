"""Images from scattered samples: mixtures of Gaussians, as an expectation or as a sum."""

import logging
import math

import jax
import numpy as np

from aa_jax.ops.splat import checks
from aa_jax.ops.splat.implementations import INTERPRETED
from aa_jax.ops.splat.rendering import Rendering, jitted_render, needed_entries, render

PIXEL_FOOTPRINT = 1 / math.sqrt(12)
"""Standard deviation of a pixel's square, in pixels: what `footprint` takes to average over one."""

# Longer lists (some gigabytes) of more than this many per point are not made unasked: Gaussians so
# wide cost about as much when summed over all points.
_MOST_ENTRIES, _MOST_PER_POINT = 2**25, 16

_logger = logging.getLogger(__name__)
_ORDERS = {"constant": 0, "linear": 1}


def interpolate(
    points: jax.Array,
    values: jax.Array,
    width,
    *,
    size: tuple[int, int] | None = None,
    queries: jax.Array | None = None,
    support: float | None = 3.0,
    window: str = "ellipse",
    regression: str = "constant",
    ridge: float = 1e-3,
    scale: float = 1.0,
    footprint: float = 0.0,
    fallback: float | str = "nearest",
    capacity: int | None = None,
    implementation: str | None = None,
) -> Rendering:
    """Reads every position as the expected value of a mixture of Gaussians around known samples.

    At q the value is sum(w_i v_i) / sum(w_i), w_i the density of a normal distribution around point
    i. Weights are computed relative to the greatest at each position, so that neither far nor
    narrow points make it 0/0: as the width goes to zero, the result becomes the nearest sample. The
    time is proportional to the number of points, for a given number that reach a position.

    Differentiable to any order, forward and reverse, with respect to `points`, `values` and
    `width`; which points reach a position counts as constant.

    Args:
      points: (N, 2), x and y in pixels; the pixel in row i and column j has its centre at (j, i).
        May lie outside of the image.
      values: (N, channels).
      width: standard deviation in pixels: a scalar, (N,), or (N, 2) along x and y; or covariances
        (N, 2, 2) in square pixels. A leading 1 serves all points. Below 1e-4 px it acts as 1e-4.
      size: (height, width) of the image to make.
      queries: (Q, 2), x and y of positions, instead of `size`; constants for derivatives.
      support: how far a point reaches: standard deviations, or for the window "square" pixels;
        None for everywhere, which costs N times the number of positions.
      window: how it ends: "ellipse" at `support` standard deviations; "smooth" fades to zero there,
        so that values depend on positions continuously; "square" at `support` pixels from the
        point's nearest pixel, as published.
      regression: "constant" is the expectation; "linear" fits a plane to the samples around each
        position, with the same weights, which removes the bias at borders and on slopes.
      ridge: of that plane's slope, relative to the mean squared distance of the samples.
      scale: pixels of the image to make per unit of `points`; the image at 0.5 shows the same in
        half the pixels. Square windows count the pixels made.
      footprint: standard deviation, in pixels of the image to make, of a Gaussian that every point
        is convolved with: `PIXEL_FOOTPRINT` averages over a pixel, and no point falls between.
      fallback: what stands where no point reaches: "nearest" for the nearest sample (which costs N
        times the number of such positions), or a number. Its gradient is zero.
      capacity: length of the list of points and the cells they reach. None counts them, or under
        `jit` takes a bound if `width` is a constant there, otherwise 12 N; at most
        2^25 or 16 N.
      implementation: None chooses by platform, "xla", or "pallas" for the GPU kernels.

    Returns:
      Rendering, its image of the common dtype of `points` and `values`, at least float32.

    Raises:
      ValueError: an argument has a wrong shape or value. Of arrays whose values are not known,
        because they are traced, a point that isn't finite or has no positive width or positive
        definite covariance weighs nothing.

    Source: I. Skorokhodov, Interpolating Points on a Non-Uniform Grid using a Mixture of Gaussians,
      2020, section 2; the planes: W. S. Cleveland, S. J. Devlin, Locally Weighted Regression, 1988.
    """
    if regression not in _ORDERS:
        raise ValueError(f"regression must be one of {tuple(_ORDERS)}, got {regression!r}.")
    if fallback != "nearest" and not (checks.is_number(fallback) and math.isfinite(fallback)):
        raise ValueError(f"fallback must be 'nearest' or a finite number, got {fallback!r}.")
    if not (checks.is_number(ridge) and ridge >= 0):
        raise ValueError(f"ridge must not be negative, got {ridge!r}.")
    return _rendered(
        points,
        values,
        width,
        queries,
        capacity=capacity,
        size=size,
        window=checks.window(support, window),
        order=_ORDERS[regression],
        ridge=float(ridge),
        scale=scale,
        footprint=footprint,
        fallback=fallback if fallback == "nearest" else float(fallback),
        implementation=implementation,
    )


def splat(
    points: jax.Array,
    values: jax.Array,
    width,
    *,
    size: tuple[int, int] | None = None,
    queries: jax.Array | None = None,
    support: float | None = 3.0,
    window: str = "ellipse",
    scale: float = 1.0,
    footprint: float = 0.0,
    capacity: int | None = None,
    implementation: str | None = None,
) -> Rendering:
    """Adds Gaussians up: the value at q is sum(v_i exp(-r_i / 2)), r_i the squared distance.

    r_i is counted in the standard deviations of point i, so `values` are the Gaussians' peaks. A
    footprint widens them and lowers their peaks, so that their mass stays. Where no point reaches
    the sum is zero. Derivatives, cost and errors are those of `interpolate`.

    Args:
      points, values, width, size, queries, support, window, scale, footprint, capacity,
        implementation: as of `interpolate`.

    Returns:
      Rendering, its image of the common dtype of `points` and `values`, at least float32.

    Source: X. Zhang et al., GaussianImage: 1000 FPS Image Representation and Compression by 2D
      Gaussian Splatting, ECCV 2024, section 3.2; the footprint: M. Zwicker et al., EWA Splatting,
      2002.
    """
    return _rendered(
        points,
        values,
        width,
        queries,
        capacity=capacity,
        size=size,
        window=checks.window(support, window),
        order=None,
        ridge=0.0,
        scale=scale,
        footprint=footprint,
        fallback=0.0,
        implementation=implementation,
    )


def _rendered(points, values, width, queries, *, capacity, size, scale, footprint, **options):
    values, points = checks.arrays(points, values)
    checks.place(size, queries)
    checks.options(scale, footprint, capacity, len(points), options["implementation"])
    width = checks.width(width, len(points))
    if queries is not None:
        queries = checks.queries(queries, points.dtype)
    options |= {
        "size": None if size is None else (int(size[0]), int(size[1])),
        "scale": float(scale),
        "footprint": float(footprint),
    }
    chosen = capacity
    if capacity is None:
        needed = _capacity(points, values, width, queries, **options)
        most = max(_MOST_ENTRIES, _MOST_PER_POINT * len(points))
        chosen = max(min(needed, most), len(points))
    # Interpreted kernels can't run under jit.
    run = render if options["implementation"] in INTERPRETED else jitted_render
    rendering = run(points, values, width, queries, capacity=chosen, **options)
    may_be_short = capacity is not None or chosen < needed
    if may_be_short and not isinstance(rendering.entries, jax.core.Tracer):
        if int(rendering.entries) > chosen:
            _logger.warning(
                "capacity=%d is less than the %d pairs of points and cells: the image is right, "
                "but took the time of all points at every position",
                chosen,
                int(rendering.entries),
            )
    return rendering


def _capacity(points, values, width, queries, **options) -> int:
    """Room for every entry where it can be known, otherwise for twelve per point."""
    if not any(isinstance(v, jax.core.Tracer) for v in (points, values, width, queries)):
        keep = ("size", "window", "scale", "footprint")
        needed = int(
            needed_entries(points, values, width, queries, **{k: options[k] for k in keep})
        )
        # In steps of a quarter, so that similar inputs share a compilation.
        step = 2 ** max(needed.bit_length() - 3, 0)
        return -(-needed // step) * step
    if options["size"] is None or isinstance(width, jax.core.Tracer):
        return 12 * len(points)
    sigma = np.asarray(width, float)
    widest = math.sqrt(sigma.max()) if sigma.ndim == 3 else sigma.max()
    reach = options["window"].radius
    if options["window"].kind != "square":
        reach *= math.hypot(widest * options["scale"], options["footprint"])
    if math.isinf(reach):
        return len(points)
    height, across = (-(-n // 8) for n in options["size"])
    touched = math.floor(2 * (reach + 1e-3) / 8) + 2
    return len(points) * min(touched, height) * min(touched, across)
