"""From checked arguments to an image: list who reaches which cell, sum, fill what is left."""

import functools
import math
from typing import NamedTuple

import jax
from jax import lax, numpy as jnp

from aa_jax.ops.splat import bins, derivatives, layout, regression
from aa_jax.ops.splat.gaussians import Gaussians, gaussians
from aa_jax.ops.splat.layout import Layout
from aa_jax.ops.splat.nearest import nearest
from aa_jax.ops.splat.terms import LOG_WEIGHT
from aa_jax.ops.splat.window import Window


class Rendering(NamedTuple):
    """What `interpolate` and `splat` return.

    Attributes:
      image: (height, width, channels), or (queries, channels).
      covered: (height, width) or (queries,), False where no point reaches and the fallback stands.
      entries: int32, how many pairs of a point and a cell of 8 x 8 pixels there were. Where they
        are more than `capacity`, the result is still that of all points, but took the time of a
        sum over all points at every position; outside of `jit` that is logged as a warning.
    """

    image: jax.Array
    covered: jax.Array
    entries: jax.Array


def render(
    points,
    values,
    width,
    queries,
    *,
    capacity: int,
    size: tuple[int, int] | None,
    window: Window,
    order: int | None,
    ridge: float,
    scale: float,
    footprint: float,
    fallback: float | str,
    implementation: str | None,
) -> Rendering:
    """Renders a mixture; arguments as of `interpolate`, checked.

    Args:
      points, values, width, queries, capacity, size, ridge, scale, footprint, fallback,
        implementation: as of `interpolate`; `capacity` is known.
      window: how far points reach.
      order: of the regression, or None for the sum.
    """
    # Outside of jit they may be NumPy's, which traced indices can't address.
    points, values = jnp.asarray(points), jnp.asarray(values)
    where, cells, places = _layout(queries, size, points.dtype, window)
    mixture = gaussians(
        points, values, width, scale=scale, footprint=footprint, window=window, size=size
    )
    found, entries = bins.bins_of(
        lax.stop_gradient(mixture.boxes), mixture.valid, where, cells, capacity
    )
    values = jnp.where(mixture.valid[:, None], values, 0).astype(points.dtype)
    sums, covered = _sums(
        mixture,
        values,
        where,
        found,
        order=order,
        window=window,
        is_uniform=jnp.ndim(width) == 0 or jnp.shape(width)[0] == 1,
        implementation=implementation,
    )
    if order is None:
        image = sums[1:]  # without the mass
    else:
        # Where points are so many widths away that rounding decides, the nearest is the limit.
        lost = covered & ~(sums[0] > regression.LEAST_MASS)
        image = regression.fit(order, sums, values.shape[1], ridge)
        instead = _instead(fallback, mixture, values, where, covered, lost)
        image = jnp.where(covered & ~lost, image, instead)
    if size is not None:
        mask = layout.to_image(covered[None], *size)[..., 0]
        return Rendering(layout.to_image(image, *size), mask, entries)
    listed = image.reshape(len(image), -1).T[places]
    return Rendering(listed, covered.ravel()[places], entries)


jitted_render = functools.partial(
    jax.jit,
    static_argnames=(
        *("capacity", "size", "window", "order", "ridge", "scale", "footprint", "fallback"),
        "implementation",
    ),
)(render)


@functools.partial(jax.jit, static_argnames=("size", "window", "scale", "footprint"))
def needed_entries(points, values, width, queries, *, size, window, scale, footprint) -> jax.Array:
    """How many pairs of a point and a cell there are; arguments as of `render`."""
    where, cells, _ = _layout(queries, size, points.dtype, window)
    if cells.number == 1:
        return jnp.int32(len(points))
    mixture = gaussians(
        points, values, width, scale=scale, footprint=footprint, window=window, size=size
    )
    return bins.total_entries(bins.entries(mixture.boxes, mixture.valid, where, cells)[0])


def _layout(queries, size, dtype, window: Window):
    unbounded = math.isinf(window.radius)
    if size is not None:
        return *layout.of_grid(*size, dtype, unbounded=unbounded), None
    return layout.of_queries(jnp.asarray(queries), unbounded=unbounded)


def _sums(
    mixture: Gaussians,
    values,
    where: Layout,
    found: bins.Bins,
    *,
    order: int | None,
    window: Window,
    is_uniform: bool,
    implementation: str | None,
):
    """Sums that a regression needs, the first of them the mass, and where points reach.

    They don't depend on the log weight that is subtracted at each position (the same factor is in
    all of them), which keeps the greatest at one. Finding it takes a pass of its own, unless the
    window keeps all weights that count within a few orders of magnitude.
    """
    log_weight = mixture.change if order is None else mixture.log_density
    geometry = mixture.geometry.at[LOG_WEIGHT].set(jnp.where(mixture.valid, log_weight, -jnp.inf))
    peak = functools.partial(
        derivatives.peak,
        *(geometry, mixture.centres, where, found),
        window=window,
        implementation=implementation,
    )
    covered, shift = None, jnp.zeros(where.used.shape, values.dtype)
    if order is None and not window.keeps_range:
        covered = jnp.isfinite(peak())
    elif order is not None and window.keeps_range and window.is_gaussian and is_uniform:
        same = jnp.max(lax.stop_gradient(log_weight), where=mixture.valid, initial=-jnp.inf)
        shift += jnp.where(mixture.valid.any(), same, 0)
    elif order is not None:
        shift = peak()
        covered = jnp.isfinite(shift)
    sums = derivatives.evaluate(
        geometry,
        mixture.centres,
        regression.coefficients(order or 0, values),
        shift,
        where,
        found,
        terms=regression.terms(order or 0, values.shape[1]),
        window=window,
        implementation=implementation,
    )
    if covered is None:
        covered = (sums[0] > (0 if order is None else regression.LEAST_MASS)) & where.used
    return sums, covered


def _instead(fallback, mixture: Gaussians, values, where: Layout, covered, lost):
    """What stands where no point reaches, or none that counts: (channels, blocks, LANES)."""
    wanted = where.used & (lost | ~covered if fallback == "nearest" else lost)
    index = nearest(
        where.positions.reshape(2, -1),
        wanted.ravel(),
        lax.stop_gradient(mixture.geometry[:2]),
        mixture.valid,
    )
    closest = lax.stop_gradient(values)[index].T.reshape(-1, *covered.shape)
    return closest if fallback == "nearest" else jnp.where(lost, closest, fallback)
