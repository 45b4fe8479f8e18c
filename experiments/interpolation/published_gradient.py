"""The gradient that was published with the method, and why following it destroys the picture.

Documentation of a mistake, for `positions` to show; nothing else uses it. With weights p_i, their
sum Z and v = sum(p_i c_i) / Z, the gradient of v by p_i is (c_i - v) / Z. Published is
c_i (1 - p_i / Z) / Z, which leaves out that p_i also shrinks the shares of all others. Colours are
read bilinearly at the points, and the slope of that reading lacks its second half. In float32,
(1 - p_i / Z) / Z is infinite where Z is below 3e-39, some 13 widths from the nearest point.

Pairs of no weight at all are left out: times an infinite factor they would make most gradients NaN,
which are set to zero, and no point would leave the picture, as it is recorded to.

Written from a description of the formulas and checked against recorded arrays of their results.
"""

from typing import NamedTuple

import numpy as np


class Mixture(NamedTuple):
    """A rendered mixture and what its gradient needs.

    Attributes:
      image: (height, width, channels), zero where no weight is left.
      mass: (height, width), Z.
      point: (pairs,), indices of points, for each pixel of their windows that they weigh on.
      pixel: (pairs,), indices of those pixels.
      offset: (pairs, 2), from point to pixel, x and y.
      weight: (pairs,), p.
      colours: (N, channels), read at the points.
      slopes: (N, 2, channels), of the reading along x and y, as published.
    """

    image: np.ndarray
    mass: np.ndarray
    point: np.ndarray
    pixel: np.ndarray
    offset: np.ndarray
    weight: np.ndarray
    colours: np.ndarray
    slopes: np.ndarray


class Gradients(NamedTuple):
    """What is published as the gradient.

    Attributes:
      points: (N, 2).
      widths: (N, 2).
      overflowing: number of pixels with some weight and an infinite 1 / Z.
    """

    points: np.ndarray
    widths: np.ndarray
    overflowing: int


class Descent(NamedTuple):
    """A gradient descent on the positions.

    Attributes:
      points: (N, 2), at the end.
      curve: L1 before every step and after the last.
      wrong: for every step, how many points have a gradient that isn't finite.
      overflowing: for every step, as of `Gradients`.
      holes: share of pixels without any weight at the end.
      image: at the end.
    """

    points: np.ndarray
    curve: list[float]
    wrong: list[int]
    overflowing: list[int]
    holes: float
    image: np.ndarray


def forward(picture: np.ndarray, points: np.ndarray, widths: np.ndarray, radius: int) -> Mixture:
    """Renders the mixture, computing in the picture's dtype.

    Args:
      picture: (height, width, channels), that colours are read from.
      points: (N, 2), x and y in pixels; one that is NaN weighs nothing.
      widths: (N, 2), standard deviations along x and y.
      radius: of the square window around a point's nearest pixel.

    Raises:
      ValueError: shapes don't fit.
    """
    if picture.ndim != 3 or points.shape != widths.shape or points.shape[1:] != (2,):
        raise ValueError(
            "picture, points and widths must be (height, width, channels), (N, 2) and (N, 2), got "
            f"{picture.shape}, {points.shape} and {widths.shape}."
        )
    height, width, _ = picture.shape
    points, widths = (np.asarray(array, picture.dtype) for array in (points, widths))
    known = np.flatnonzero(np.isfinite(points).all(1))
    # Halves round away from zero, and a centre may lie one pixel outside.
    centre = np.trunc(points[known] + np.copysign(0.5, points[known])).astype(int)
    centre = np.clip(centre, 0, [width, height])
    reach = np.arange(-radius, radius + 1)
    x = np.repeat(centre[:, 0, None, None] + reach, len(reach), 1).ravel()
    y = np.repeat(centre[:, 1, None, None] + reach[:, None], len(reach), 2).ravel()
    point = np.repeat(known, len(reach) ** 2)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    point, x, y = point[inside], x[inside], y[inside]
    offset = np.stack([x, y], -1).astype(picture.dtype) - points[point]
    sigma = widths[point]
    with np.errstate(under="ignore"):
        exponent = -((offset / sigma) ** 2).sum(1) / 2
        weight = np.exp(exponent) / (picture.dtype.type(2 * np.pi) * sigma.prod(1))
    some = weight > 0
    point, offset, weight = point[some], offset[some], weight[some]
    pixel = (y * width + x)[some]
    colours, slopes = _reading(picture, points)
    mass = _summed(weight, pixel, height * width)
    sums = _summed(weight[:, None] * colours[point], pixel, height * width)
    image = np.divide(sums, mass[:, None], out=np.zeros_like(sums), where=mass[:, None] > 0)
    return Mixture(
        image.reshape(picture.shape),
        mass.reshape(height, width),
        *(point, pixel, offset, weight, colours, slopes),
    )


def backward(
    mixture: Mixture, widths: np.ndarray, cotangent: np.ndarray, *, order: str = "published"
) -> Gradients:
    """The published formula.

    Args:
      mixture: of `forward`.
      widths: as of `forward`.
      cotangent: (height, width, channels), gradient of a loss by the image.
      order: "published", where 1 / Z may be infinite, or "safe" for (p / Z) (1 - p / Z), which is
        the same without that.

    Raises:
      ValueError: an unknown order.
    """
    if order not in ("published", "safe"):
        raise ValueError(f"order must be 'published' or 'safe', got {order!r}.")
    dtype = mixture.image.dtype
    point, pixel, weight = mixture.point, mixture.pixel, mixture.weight
    signal = np.asarray(cotangent, dtype).reshape(-1, mixture.image.shape[-1])[pixel]
    sigma = np.asarray(widths, dtype)[point]
    mass = mixture.mass.ravel()[pixel]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        share = weight / mass
        change = share * (1 - share) if order == "safe" else (1 - share) / mass * weight
        change = change * (signal * mixture.colours[point]).sum(-1)
        along = change[:, None] * mixture.offset / sigma**2
        wider = change[:, None] * (mixture.offset**2 / sigma**3 - 1 / sigma)
        number = len(mixture.colours)
        by_colour = _summed(share[:, None] * signal, point, number)
        points = _summed(along, point, number)
        points = points + (mixture.slopes * by_colour[:, None]).sum(-1)
        some = mixture.mass[mixture.mass > 0]
        overflowing = int(np.isinf(1 / some).sum())
    return Gradients(points, _summed(wider, point, number), overflowing)


def without_nan(gradient: np.ndarray) -> np.ndarray:
    """The gradient with zeros for NaN, as the published descent takes it: infinities stay."""
    return np.where(np.isnan(gradient), 0, gradient)


def descend(
    picture: np.ndarray,
    points: np.ndarray,
    sigma: float,
    *,
    radius: int,
    rate: float,
    momentum: float,
    halving: int,
    steps: int,
    order: str = "published",
) -> Descent:
    """Moves points against the published gradient of the mean absolute error.

    Args:
      picture: (height, width, channels), float.
      points: (N, 2), the first positions.
      sigma: of all Gaussians.
      radius: of their windows.
      rate: of stochastic gradient descent.
      momentum: of the same.
      halving: steps after which the rate is halved.
      steps: how many.
      order: as of `backward`.
    """
    height, width, _ = picture.shape
    points = np.array(points, picture.dtype)
    widths = np.full_like(points, sigma)
    velocity = np.zeros_like(points)
    curve, wrong, overflowing = [], [], []
    for step in range(steps):
        mixture = forward(picture, points, widths, radius)
        error = mixture.image - picture
        curve.append(float(np.abs(error).mean()))
        cotangent = np.sign(error) / picture.dtype.type(picture.size)
        gradients = backward(mixture, widths, cotangent, order=order)
        wrong.append(int((~np.isfinite(gradients.points)).any(1).sum()))
        overflowing.append(gradients.overflowing)
        with np.errstate(invalid="ignore", over="ignore"):
            velocity = momentum * velocity + without_nan(gradients.points)
            points = points - picture.dtype.type(rate * 0.5 ** (step // halving)) * velocity
        points = np.clip(points, 0, np.array([width, height], picture.dtype))
    mixture = forward(picture, points, widths, radius)
    curve.append(float(np.abs(mixture.image - picture).mean()))
    holes = float((mixture.mass == 0).mean())
    return Descent(points, curve, wrong, overflowing, holes, mixture.image)


def _reading(picture, points) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear colours at points, and their slopes as published: without what is subtracted."""
    height, width, _ = picture.shape
    x, y = np.nan_to_num(points).T
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - left)[:, None], (y - top)[:, None]

    def at(row, column):
        return picture[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]

    right, below = at(top, left + 1), at(top + 1, left)
    corner = at(top + 1, left + 1)
    upper = (1 - fx) * at(top, left) + fx * right
    colours = (1 - fy) * upper + fy * ((1 - fx) * below + fx * corner)
    slopes = [(1 - fy) * right + fy * corner, (1 - fx) * below + fx * corner]
    return colours.astype(picture.dtype), np.stack(slopes, 1).astype(picture.dtype)


def _summed(values: np.ndarray, place: np.ndarray, number: int) -> np.ndarray:
    """Sums of rows of the same place, added up in the values' dtype."""
    sums = np.zeros((number, *values.shape[1:]), values.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        np.add.at(sums, place, values)
    return sums
